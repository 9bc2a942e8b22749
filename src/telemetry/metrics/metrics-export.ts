/**
 * Metrics by OTLP: snapshots of the counters to a collector's `/v1/metrics`, by OpenTelemetry's exporter.
 *
 * Worker only, and loaded only when metrics are sent. One export is under way at a time; of the
 * snapshots that come meanwhile the newest follows. A collector that has no place for metrics (404,
 * 405, 415: Jaeger has none), or whose answers have no end, is left alone for a while, and the log says
 * so once.
 */

import { type HrTime, ValueType } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import type { Resource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type HistogramMetricData,
  type MetricData,
  type ResourceMetrics,
  type SumMetricData,
} from '@opentelemetry/sdk-metrics';
import type { Clock, Milliseconds } from '../../base/clock.ts';
import { metricAttributes, metricNames } from '../../model/metric-names.ts';
import type { TelemetryLimits } from '../../model/telemetry-limits.ts';
import type { MetricsSettings } from '../settings/settings.ts';
import type { OwnPath } from '../transport/own-path.ts';
import {
  describeError,
  EndlessAnswer,
  ignorePartialSuccess,
  replaceTransport,
} from '../transport/own-transport.ts';
import { latencyBoundsUs } from './latency-histogram.ts';
import { type MetricsSnapshot, seriesOf } from './metrics-snapshot.ts';
import { type DurationPoint, durationPoints } from './semantic-metrics.ts';
import { zoneFlows } from './zone-bytes.ts';

export interface MetricsExportOptions {
  readonly settings: MetricsSettings;
  readonly limits: TelemetryLimits;
  readonly clock: Clock;
  readonly resource: Resource;
  /** Tracecar's own: the scope's. */
  readonly version: string;
  /** Since when counts are counted, wall-clock. */
  readonly startEpochMs: number;
  readonly knownMethods: readonly string[] | undefined;
  readonly warn: (text: string) => void;
  /** By which the collector is reached; undefined: it is dialled. */
  readonly path?: OwnPath | undefined;
}

const NO_SUCH_PLACE = [404, 405, 415];

export class MetricsExport {
  /** Exports that have failed, since the start. */
  failed = 0;
  readonly #options: MetricsExportOptions;
  readonly #exporter: OTLPMetricExporter;
  #underWay: Promise<void> | undefined;
  #next: MetricsSnapshot | undefined;
  #pausedUntil: Milliseconds = 0;
  /** The log has said why nothing is sent for a while. */
  #isUnwanted = false;
  #warnedUntil: Milliseconds = 0;

  constructor(options: MetricsExportOptions) {
    this.#options = options;
    const { otlp, timeoutMs } = options.settings;
    const { path } = options;
    this.#exporter = new OTLPMetricExporter({
      url: otlp.url,
      headers: { ...otlp.headers },
      timeoutMillis: Math.min(otlp.timeoutMs, timeoutMs),
      compression: otlp.compression as Compression,
      userAgent: `tracecar/${options.version}`,
      ...(path && { httpAgentOptions: () => path.agentFor(otlp, 'metrics') }),
    });
    // What has failed is not tried again: the next counts say all.
    replaceTransport(this.#exporter, { isWhole: true });
    ignorePartialSuccess(this.#exporter);
  }

  /** Sends it, or keeps it until the one before has its answer. */
  take(snapshot: MetricsSnapshot): void {
    if (this.#isPaused) return;
    this.#next = snapshot;
    this.#underWay ??= this.#exportAll();
  }

  /** Resolves when everything that was taken has an answer, also a bad one. */
  async flush(): Promise<void> {
    await this.#underWay;
  }

  /** There is one to send. */
  async #exportAll(): Promise<void> {
    for (let snapshot = this.#next; snapshot !== undefined; snapshot = this.#next) {
      this.#next = undefined;
      this.#judge(await this.#export(resourceMetrics(snapshot, this.#options)));
      if (this.#isPaused) this.#next = undefined;
    }
    this.#underWay = undefined;
  }

  get #isPaused(): boolean {
    return this.#options.clock.now() < this.#pausedUntil;
  }

  #export(metrics: ResourceMetrics): Promise<ExportResult> {
    return new Promise((resolve) => {
      try {
        this.#exporter.export(metrics, resolve);
      } catch (error) {
        resolve({ code: ExportResultCode.FAILED, error: error as Error });
      }
    });
  }

  #judge(result: ExportResult): void {
    if (result.code === ExportResultCode.SUCCESS) {
      this.#isUnwanted = false;
      return;
    }
    this.failed++;
    const { clock, limits, settings, warn } = this.#options;
    const now = clock.now();
    const where = new URL(settings.otlp.url);
    const place = `${where.protocol}//${where.host}${where.pathname}`;
    const refusal = refusalOf(result.error);
    if (refusal !== undefined) {
      this.#pausedUntil = now + limits.metricPauseMs;
      if (this.#isUnwanted) return;
      this.#isUnwanted = true;
      const minutes = limits.metricPauseMs / 60_000;
      warn(
        `telemetry: ${place} ${refusal}; it is asked again every ${minutes} minutes. ` +
          'OTEL_METRICS_EXPORTER=none ends it; the metrics port has them all the same',
      );
    } else if (now >= this.#warnedUntil) {
      // Spans that are lost are told every minute; of counts nothing is lost.
      this.#warnedUntil = now + limits.metricPauseMs;
      const reason = result.error ? describeError(result.error) : 'no reason was given';
      warn(`telemetry: metrics were not delivered to ${place}: ${reason}`);
    }
  }
}

/** Why the collector is left alone; undefined: it is asked again soon. */
function refusalOf(error: Error | undefined): string | undefined {
  if (error instanceof EndlessAnswer)
    return `does not end its answers to metrics (${error.message})`;
  const { code } = (error ?? {}) as { readonly code?: unknown };
  const isPlaceless = typeof code === 'number' && NO_SUCH_PLACE.includes(code);
  return isPlaceless ? `takes no metrics (${code})` : undefined;
}

/** What the exporter takes, of a snapshot. */
export function resourceMetrics(
  snapshot: MetricsSnapshot,
  {
    resource,
    version,
    startEpochMs,
    knownMethods,
  }: Pick<MetricsExportOptions, 'resource' | 'version' | 'startEpochMs' | 'knownMethods'>,
): ResourceMetrics {
  const times = { startTime: hrTime(startEpochMs), endTime: hrTime(snapshot.epochMs) };
  const points = durationPoints(seriesOf(snapshot), knownMethods);
  const of = (direction: string) => points.filter((point) => point.direction === direction);
  const metrics: MetricData[] = [
    durations(
      metricNames.serverDuration,
      'Duration of HTTP server requests.',
      of('inbound'),
      times,
    ),
    durations(
      metricNames.clientDuration,
      'Duration of HTTP client requests.',
      of('outbound'),
      times,
    ),
    zoneBytes(snapshot, times),
  ];
  return {
    resource,
    scopeMetrics: [
      {
        scope: { name: 'tracecar', version },
        metrics: metrics.filter(({ dataPoints }) => dataPoints.length > 0),
      },
    ],
  };
}

interface Times {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

const boundsInSeconds = latencyBoundsUs.map((us) => us / 1_000_000);

function durations(
  name: string,
  description: string,
  points: readonly DurationPoint[],
  times: Times,
): HistogramMetricData {
  return {
    descriptor: { name, description, unit: 's', valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: points.map(({ attributes, sum }) => ({
      ...times,
      attributes: Object.fromEntries(attributes),
      value: {
        buckets: { boundaries: boundsInSeconds, counts: [...sum.counts] },
        sum: sum.sumUs / 1_000_000,
        count: sum.count,
      },
    })),
  };
}

function zoneBytes({ zones }: MetricsSnapshot, times: Times): SumMetricData {
  return {
    descriptor: {
      name: metricNames.zoneBytes,
      description: 'Bytes of bodies, by zone.',
      unit: 'By',
      valueType: ValueType.INT,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.SUM,
    isMonotonic: true,
    dataPoints: zoneFlows(zones).map(({ direction, source, destination, bytes }) => ({
      ...times,
      attributes: {
        [metricAttributes.direction]: direction,
        [metricAttributes.sourceZone]: source,
        [metricAttributes.destinationZone]: destination,
      },
      value: bytes,
    })),
  };
}

/** The SDK's enum of 'none' and 'gzip', which its exporter does not export. */
type Compression = NonNullable<
  NonNullable<ConstructorParameters<typeof OTLPMetricExporter>[0]>['compression']
>;

function hrTime(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1_000);
  return [seconds, Math.round((epochMs - seconds * 1_000) * 1_000_000)];
}
