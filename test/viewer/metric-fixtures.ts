/**
 * Metrics as a sidecar sends them, as OTLP JSON: durations of requests by their attributes.
 */

import { metricAttributes, metricNames } from '../../src/model/metric-names.ts';
import { attributeList } from './span-fixtures.ts';

export interface PointFixture {
  /** By our words; absent: not known. */
  readonly route?: string;
  readonly subset?: string;
  readonly peer?: string;
  readonly status?: number;
  readonly errorType?: string;
  /** Requests since the start that took about so long. */
  readonly requests: number;
  readonly durationMs?: number;
}

export interface ReportFixture {
  readonly service: string;
  /** Tells processes of one service apart. */
  readonly pod?: string;
  readonly kind?: 'server' | 'client';
  readonly startMs: number;
  readonly timeMs: number;
  readonly isDelta?: boolean;
  readonly points: readonly PointFixture[];
}

/** Bounds in seconds, as a sidecar has them. */
const bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1];

function nanoseconds(ms: number): string {
  return String(BigInt(ms) * 1_000_000n);
}

/** The body of an export request with one report. */
export function metricsBody(report: ReportFixture): { resourceMetrics: readonly unknown[] } {
  const { service, pod = `${service}-1`, kind = 'client', startMs, timeMs } = report;
  const dataPoints = report.points.map((point) => {
    const seconds = (point.durationMs ?? 3) / 1000;
    const bucket = bounds.findIndex((bound) => seconds <= bound);
    const counts: string[] = Array.from({ length: bounds.length + 1 }, () => '0');
    counts[bucket === -1 ? bounds.length : bucket] = String(point.requests);
    return {
      startTimeUnixNano: nanoseconds(startMs),
      timeUnixNano: nanoseconds(timeMs),
      count: String(point.requests),
      sum: point.requests * seconds,
      bucketCounts: counts,
      explicitBounds: bounds,
      attributes: attributeList(
        Object.fromEntries(
          Object.entries({
            [metricAttributes.method]: 'GET',
            [metricAttributes.status]: point.status,
            [metricAttributes.errorType]: point.errorType,
            [metricAttributes.peerService]: point.peer,
            [metricAttributes.route]: point.route,
            [metricAttributes.subset]: point.subset,
          }).filter((pair): pair is [string, string | number] => pair[1] !== undefined),
        ),
      ),
    };
  });
  const name = kind === 'client' ? metricNames.clientDuration : metricNames.serverDuration;
  const histogram = { aggregationTemporality: report.isDelta === true ? 1 : 2, dataPoints };
  return {
    resourceMetrics: [
      {
        resource: { attributes: attributeList({ 'service.name': service, 'k8s.pod.name': pod }) },
        scopeMetrics: [{ scope: { name: 'tracecar' }, metrics: [{ name, unit: 's', histogram }] }],
      },
    ],
  };
}

/** Sends a report as an exporter does. */
export async function sendMetrics(baseOtlp: string, report: ReportFixture): Promise<Response> {
  return fetch(`${baseOtlp}/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(metricsBody(report)),
  });
}
