/**
 * The metrics in Prometheus' text format 0.0.4: made when asked for, nothing is kept.
 *
 * Families appear in one order, each with HELP and TYPE; counters end in `_total`, times are seconds.
 * Telemetry's own counters have the names of semantic conventions (reference/tracing.md 2.3).
 */

import { failures } from '../model/failure.ts';
import type { Direction } from '../model/routing-table.ts';
import { detectedByWords, detectedWords, detectionPlace } from './detection.ts';
import { latencyBoundsUs } from './latency-histogram.ts';
import type { ConnectionCounts, MetricRegistry, RequestSeries } from './metrics.ts';
import type { SpanCounts } from './worker-counters.ts';

/** The whole page, ending in a newline. */
export function renderPrometheus(registry: MetricRegistry): string {
  const page = new Page();
  const series = registry.allSeries();
  addRequests(page, series);
  addFailures(page, series);
  addDurations(page, series);
  addConnections(page, registry);
  addConnectionFailures(page, registry);
  addDetections(page, registry);
  const counts = registry.spanCounts?.();
  if (counts !== undefined) addSpans(page, counts);
  return page.text();
}

type LabelPair = readonly [name: string, value: string];

class Page {
  readonly #lines: string[] = [];

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  sample(name: string, labels: string, value: number): void {
    this.#lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${value}`);
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

/** `a="b",c="d"` with the three escapes of the format. */
function printLabels(pairs: readonly LabelPair[]): string {
  return pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',');
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
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

function addRequests(page: Page, all: readonly RequestSeries[]): void {
  const name = 'tracecar_requests_total';
  page.family(name, 'counter', 'Requests that have ended, by status sent downstream; 0: none was.');
  for (const series of all) {
    const labels = seriesLabels(series);
    for (const { status, count } of series.statuses()) {
      page.sample(name, `${labels},status="${status}"`, count);
    }
  }
}

function addFailures(page: Page, all: readonly RequestSeries[]): void {
  const name = 'tracecar_request_failures_total';
  page.family(name, 'counter', 'Requests that failed here, by cause and flag; see docs/causes.md.');
  for (const series of all) {
    const labels = seriesLabels(series);
    for (const { code, cause, flag } of failures) {
      const count = series.causes[code]!;
      if (count > 0) page.sample(name, `${labels},cause="${cause}",flag="${flag}"`, count);
    }
  }
}

function addDurations(page: Page, all: readonly RequestSeries[]): void {
  const name = 'tracecar_request_duration_seconds';
  page.family(name, 'histogram', 'From the first byte of a request to the last of its response.');
  for (const series of all) {
    const { buckets, count, sumUs } = series.latency;
    if (count === 0) continue;
    const labels = seriesLabels(series);
    let below = 0;
    for (const [index, bound] of latencyBoundsUs.entries()) {
      below += buckets[index]!;
      page.sample(`${name}_bucket`, `${labels},le="${bound / 1_000_000}"`, below);
    }
    page.sample(`${name}_bucket`, `${labels},le="+Inf"`, count);
    page.sample(`${name}_sum`, labels, sumUs / 1_000_000);
    page.sample(`${name}_count`, labels, count);
  }
}

const connectionFamilies: readonly (readonly [
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  field: Exclude<keyof ConnectionCounts, 'causes' | 'detections'>,
])[] = [
  [
    'tracecar_downstream_connections',
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
  ['tracecar_upstream_connections', 'gauge', 'Upstream connections open now.', 'upstreamOpen'],
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
  ['tracecar_requests_active', 'gauge', 'Requests under way.', 'exchangesActive'],
];

const directions: readonly Direction[] = ['inbound', 'outbound'];

function addConnections(page: Page, registry: MetricRegistry): void {
  for (const [name, type, help, field] of connectionFamilies) {
    page.family(name, type, help);
    for (const direction of directions) {
      page.sample(name, `direction="${direction}"`, registry.connectionGauge(direction)[field]);
    }
  }
}

function addConnectionFailures(page: Page, registry: MetricRegistry): void {
  const name = 'tracecar_connection_failures_total';
  const help = 'Connections that were not read and failed, by cause and flag; see docs/causes.md.';
  page.family(name, 'counter', help);
  for (const direction of directions) {
    const { causes } = registry.connectionGauge(direction);
    for (const { code, cause, flag } of failures) {
      const labels = `direction="${direction}",cause="${cause}",flag="${flag}"`;
      if (causes[code]! > 0) page.sample(name, labels, causes[code]!);
    }
  }
}

function addDetections(page: Page, registry: MetricRegistry): void {
  const name = 'tracecar_detections_total';
  page.family(name, 'counter', 'Captured connections by what they speak and how that is known.');
  for (const direction of directions) {
    const { detections } = registry.connectionGauge(direction);
    for (const [detected, verdict] of detectedWords.entries()) {
      for (const [how, by] of detectedByWords.entries()) {
        const count = detections[detectionPlace(detected, how)]!;
        if (count === 0) continue;
        page.sample(name, `direction="${direction}",verdict="${verdict}",by="${by}"`, count);
      }
    }
  }
}

function addSpans(page: Page, counts: SpanCounts): void {
  const started = 'otel_sdk_span_started_total';
  page.family(started, 'counter', 'Spans begun and ended, by sampling result.');
  page.sample(started, 'otel_span_sampling_result="RECORD_AND_SAMPLE"', counts.started);
  page.sample(started, 'otel_span_sampling_result="DROP"', counts.unsampled);
  const exported = 'otel_sdk_exporter_span_exported_total';
  page.family(exported, 'counter', 'Sampled spans that were sent, or lost (error_type).');
  page.sample(exported, 'error_type=""', counts.sent);
  page.sample(exported, 'error_type="queue_full"', counts.queueFull);
  page.sample(exported, 'error_type="_OTHER"', counts.dropped - counts.queueFull);
  const queued = 'otel_sdk_processor_span_queue_size';
  page.family(queued, 'gauge', 'Sampled spans that wait or are on their way.');
  page.sample(queued, '', counts.queued);
  const ring = 'tracecar_ring_dropped_records_total';
  page.family(ring, 'counter', 'Records that a full ring refused, sampled or not.');
  page.sample(ring, '', counts.ringDropped);
  const lines = 'tracecar_access_log_dropped_lines_total';
  page.family(lines, 'counter', 'Access log lines that stdout did not take.');
  page.sample(lines, '', counts.linesDropped);
}
