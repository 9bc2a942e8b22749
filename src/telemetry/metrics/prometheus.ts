/**
 * The page of metrics for Prometheus: made when asked for, nothing is kept (docs/metrics.md).
 *
 * Families appear in one order, each with HELP and TYPE; counters end in `_total`, times are seconds
 * but where a dashboard of others wants milliseconds. Telemetry's own counters have the names of
 * semantic conventions (reference/tracing.md 2.3).
 */

import { failures } from '../../model/failure.ts';
import type { Direction } from '../../model/routing-table.ts';
import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { detectedByWords, detectedWords, detectionPlace } from '../record/detection.ts';
import { ExemplarBook, type ExemplarEntry } from './exemplars.ts';
import { addIstioMetrics, type ClusterLabels } from './istio-metrics.ts';
import { type MetricIdentity, metricIdentity } from './metric-identity.ts';
import { MetricText, printLabels, type Steps, type TextFormat } from './metric-text.ts';
import type { ConnectionCounts, MetricRegistry, RequestSeries } from './metrics.ts';
import { addSemanticMetrics, durationPoints } from './semantic-metrics.ts';
import { addSpanMetrics } from './span-metrics.ts';
import type { SpanCounts } from './worker-counters.ts';
import { zoneFlows } from './zone-bytes.ts';

/** What a page says beside the registry, and how. */
export interface PageOptions {
  readonly format: TextFormat;
  readonly identity: MetricIdentity;
  /** Of the NameTable, from its id 1 on: who peers have proved to be. */
  readonly names?: readonly string[];
  /** By name of the cluster. */
  readonly clusters: ReadonlyMap<string, ClusterLabels>;
  readonly exemplars: readonly ExemplarEntry[];
  /** Spans that may wait for their export. */
  readonly queueMax?: number;
}

const plainPage: PageOptions = {
  format: 'prometheus',
  identity: metricIdentity({}, {}, undefined),
  clusters: new Map(),
  exemplars: [],
};

/** A page is sent in parts of about this size: no request waits for the whole of a large one. */
const PART_LENGTH = 64 * 1024;

/** The page in parts, the last one ending in a newline. `addMore` adds families of others at its end. */
export function* renderParts(
  registry: MetricRegistry,
  options: PageOptions,
  addMore: (text: MetricText) => void = () => {},
): Iterable<string> {
  const text = new MetricText(options.format);
  for (const _ of addAll(text, registry, options)) {
    if (text.length >= PART_LENGTH) yield text.take();
  }
  addMore(text);
  text.end();
  yield text.take();
}

/** The whole page of what the registry has. */
export function renderPrometheus(
  registry: MetricRegistry,
  options: PageOptions = plainPage,
): string {
  return [...renderParts(registry, options)].join('');
}

function* addAll(text: MetricText, registry: MetricRegistry, options: PageOptions): Steps {
  const { identity, clusters, exemplars, names = [] } = options;
  const { queueMax = telemetryLimits.spanQueueMax } = options;
  const book = new ExemplarBook(exemplars);
  const series = registry.allSeries();
  yield* addRequests(text, series);
  yield* addFailures(text, series);
  yield* addDurations(text, series);
  yield* addSemanticMetrics(text, durationPoints(series, identity.knownMethods), book);
  yield* addIstioMetrics(text, registry, { identity, clusters, names });
  yield* addSpanMetrics(text, registry, identity, book);
  addConnections(text, registry);
  addConnectionFailures(text, registry);
  addDetections(text, registry);
  addPolicies(text, registry);
  addZones(text, registry);
  const counts = registry.spanCounts?.();
  if (counts !== undefined) addSpans(text, counts, queueMax);
}

function seriesLabels(series: RequestSeries): string {
  const { direction, listener, route, rule, cluster, subset } = series.labels;
  return printLabels([
    ['direction', direction],
    ['listener', listener],
    ['route', route],
    ['rule', rule],
    ['cluster', cluster],
    ['subset', subset],
  ]);
}

function* addRequests(text: MetricText, all: readonly RequestSeries[]): Steps {
  const name = 'tracecar_requests_total';
  text.family(name, 'counter', 'Requests that have ended, by status sent downstream; 0: none was.');
  for (const series of all) {
    const labels = seriesLabels(series);
    for (const { status, count } of series.statuses()) {
      yield text.sample(name, `${labels},status="${status}"`, count);
    }
  }
}

function* addFailures(text: MetricText, all: readonly RequestSeries[]): Steps {
  const name = 'tracecar_request_failures_total';
  text.family(name, 'counter', 'Requests that failed here, by cause and flag; see docs/causes.md.');
  for (const series of all) {
    const labels = seriesLabels(series);
    const causes = series.causes();
    for (const { code, cause, flag } of failures) {
      const count = causes[code]!;
      if (count > 0) text.sample(name, `${labels},cause="${cause}",flag="${flag}"`, count);
    }
    yield;
  }
}

function* addDurations(text: MetricText, all: readonly RequestSeries[]): Steps {
  const name = 'tracecar_request_duration_seconds';
  text.family(
    name,
    'histogram',
    'From the first byte of a request to the last of its response.',
    'seconds',
  );
  for (const series of all) {
    const total = series.total();
    if (total.count === 0) continue;
    yield text.duration(name, seriesLabels(series), total, 1_000_000);
  }
}

const connectionFamilies: readonly (readonly [
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  field: Exclude<keyof ConnectionCounts, 'causes' | 'detections' | 'opaquePeers' | 'countOpaque'>,
])[] = [
  [
    'tracecar_downstream_connections_open',
    'gauge',
    'Downstream connections open now.',
    'downstreamOpen',
  ],
  [
    'tracecar_downstream_connections_total',
    'counter',
    'Downstream connections accepted.',
    'downstreamTotal',
  ],
  ['tracecar_upstream_connections_open', 'gauge', 'Upstream connections open now.', 'upstreamOpen'],
  [
    'tracecar_upstream_connections_total',
    'counter',
    'Upstream connections opened.',
    'upstreamTotal',
  ],
  [
    'tracecar_upstream_connect_failures_total',
    'counter',
    'Upstream connects that failed.',
    'upstreamFailed',
  ],
  [
    'tracecar_opaque_connections_total',
    'counter',
    'Connections relayed unread, captured or upgraded, that have ended.',
    'opaqueTotal',
  ],
  [
    'tracecar_opaque_sent_bytes_total',
    'counter',
    'Bytes that such connections carried upstream.',
    'opaqueSentBytes',
  ],
  [
    'tracecar_opaque_received_bytes_total',
    'counter',
    'Bytes that such connections carried downstream.',
    'opaqueReceivedBytes',
  ],
  [
    'tracecar_wrong_protocol_total',
    'counter',
    'Captured connections that spoke something else than what was declared.',
    'wrongProtocol',
  ],
  [
    'tracecar_mesh_handshakes_total',
    'counter',
    'Handshakes of mutual TLS between sidecars that came well.',
    'meshHandshakes',
  ],
  [
    'tracecar_mesh_handshakes_failed_total',
    'counter',
    'Those that did not; the log says why.',
    'meshHandshakesFailed',
  ],
  [
    'tracecar_mesh_handshakes_refused_total',
    'counter',
    'Of the failed ones, those that were not begun: too many were waiting.',
    'meshHandshakesRefused',
  ],
  [
    'tracecar_plaintext_connections_total',
    'counter',
    'Connections without mutual TLS, of a workload that has an identity.',
    'plaintextTotal',
  ],
  [
    'tracecar_baggage_dropped_total',
    'counter',
    'Requests that went on without their baggage: more than 64 members or 8192 bytes.',
    'baggageDropped',
  ],
  [
    'tracecar_forced_samples_capped_total',
    'counter',
    'Requests from outside the mesh that asked to be sampled, beyond 100 a second.',
    'forcedCapped',
  ],
  [
    'tracecar_open_requests_overflow_total',
    'counter',
    'Requests that calls cannot be tied to by a header: too many were open.',
    'openOverflow',
  ],
  ['tracecar_requests_active', 'gauge', 'Requests under way.', 'exchangesActive'],
];

const directions: readonly Direction[] = ['inbound', 'outbound'];

function addConnections(text: MetricText, registry: MetricRegistry): void {
  for (const [name, type, help, field] of connectionFamilies) {
    text.family(name, type, help);
    for (const direction of directions) {
      text.sample(name, `direction="${direction}"`, registry.connectionGauge(direction)[field]);
    }
  }
}

function addConnectionFailures(text: MetricText, registry: MetricRegistry): void {
  const name = 'tracecar_connection_failures_total';
  const help = 'Connections that were not read and failed, by cause and flag; see docs/causes.md.';
  text.family(name, 'counter', help);
  for (const direction of directions) {
    const { causes } = registry.connectionGauge(direction);
    for (const { code, cause, flag } of failures) {
      const labels = `direction="${direction}",cause="${cause}",flag="${flag}"`;
      if (causes[code]! > 0) text.sample(name, labels, causes[code]!);
    }
  }
}

function addDetections(text: MetricText, registry: MetricRegistry): void {
  const name = 'tracecar_detections_total';
  text.family(name, 'counter', 'Captured connections by what they speak and how that is known.');
  for (const direction of directions) {
    const { detections } = registry.connectionGauge(direction);
    for (const [detected, verdict] of detectedWords.entries()) {
      for (const [how, by] of detectedByWords.entries()) {
        const count = detections[detectionPlace(detected, how)]!;
        if (count === 0) continue;
        text.sample(name, `direction="${direction}",verdict="${verdict}",by="${by}"`, count);
      }
    }
  }
}

function addPolicies(text: MetricText, registry: MetricRegistry): void {
  const name = 'tracecar_policy_decisions_total';
  text.family(name, 'counter', 'Calls that authorization policies denied, would have, or mark.');
  for (const [policy, { denied, wouldDeny, audited }] of registry.policies.all()) {
    const counts = { denied, would_deny: wouldDeny, audited };
    for (const [decision, count] of Object.entries(counts)) {
      if (count === 0) continue;
      const labels = printLabels([
        ['policy', policy],
        ['decision', decision],
      ]);
      text.sample(name, labels, count);
    }
  }
}

function addZones(text: MetricText, registry: MetricRegistry): void {
  const name = 'tracecar_bytes_total';
  text.family(name, 'counter', 'Bytes of bodies and opaque connections, by zones.');
  for (const { direction, source, destination, bytes } of zoneFlows(registry.zones.all())) {
    const labels = printLabels([
      ['direction', direction],
      ['source_zone', source],
      ['destination_zone', destination],
    ]);
    text.sample(name, labels, bytes);
  }
}

function addSpans(text: MetricText, counts: SpanCounts, queueMax: number): void {
  const started = 'otel_sdk_span_started_total';
  text.family(started, 'counter', 'Spans begun and ended, by sampling result.');
  text.sample(started, 'otel_span_sampling_result="RECORD_AND_SAMPLE"', counts.started);
  text.sample(started, 'otel_span_sampling_result="DROP"', counts.unsampled);
  const exported = 'otel_sdk_exporter_span_exported_total';
  text.family(exported, 'counter', 'Sampled spans that were sent, or lost (error_type).');
  text.sample(exported, 'error_type=""', counts.sent);
  text.sample(exported, 'error_type="queue_full"', counts.queueFull);
  text.sample(exported, 'error_type="_OTHER"', counts.dropped - counts.queueFull);
  const processed = 'otel_sdk_processor_span_processed_total';
  text.family(
    processed,
    'counter',
    'Sampled spans that left the queue: for export, or for want of room.',
  );
  text.sample(processed, 'error_type=""', counts.sent + counts.dropped - counts.queueFull);
  text.sample(processed, 'error_type="queue_full"', counts.queueFull);
  const queued = 'otel_sdk_processor_span_queue_size';
  text.family(queued, 'gauge', 'Sampled spans that wait or are on their way.');
  text.sample(queued, '', counts.queued);
  const capacity = 'otel_sdk_processor_span_queue_capacity';
  text.family(capacity, 'gauge', 'Sampled spans that may wait (OTEL_BSP_MAX_QUEUE_SIZE).');
  text.sample(capacity, '', queueMax);
  const ring = 'tracecar_ring_dropped_records_total';
  text.family(ring, 'counter', 'Records that a full ring refused, sampled or not.');
  text.sample(ring, '', counts.ringDropped);
  const lines = 'tracecar_access_log_dropped_lines_total';
  text.family(lines, 'counter', 'Access log lines that stdout did not take.');
  text.sample(lines, '', counts.linesDropped);
  const failed = 'tracecar_metric_exports_failed_total';
  text.family(failed, 'counter', 'Exports of metrics by OTLP that no collector took.');
  text.sample(failed, '', counts.metricsFailed ?? 0);
}
