/**
 * Ready-made readers: one number out of a row, in the unit of the name; undefined where it has none.
 *
 * Whether the row counts is not asked here; Summary drops rows.
 */

import { Histogram } from '../load/histogram.ts';
import type { Row } from './row.ts';

export type Reader = ((row: Row) => number | undefined) & {
  /** It reads times of requests or how many there were, which a disturbed load spoils. */
  readonly readsLatency?: true;
};

/** Histograms of requests' times; those of edits come from the sidecar. */
const requestTimes: readonly string[] = ['latency', 'service', 'steady'];

/** Marks a reader of what the load saw: requests' times, or their rate. */
export function latencyReader(read: (row: Row) => number | undefined): Reader {
  return Object.assign(read, { readsLatency: true } as const);
}

/** A value of the row as it stands there. */
export function value(name: string): Reader {
  return (row) => row.values[name];
}

/** A value divided by the requests that were sent. */
export function perRequest(name: string): Reader {
  return ({ values }) => divide(values[name], values.requests);
}

/** A percentile in us, by default from the time a request was due; `share` is 0 to 1. */
export function percentile(share: number, histogram = 'latency'): Reader {
  const read = (row: Row) => {
    const counts = row.histograms?.[histogram];
    if (counts === undefined) return undefined;
    const whole = new Histogram();
    whole.add(counts);
    const ns = whole.percentile(share);
    return Number.isNaN(ns) ? undefined : ns / 1000;
  };
  return requestTimes.includes(histogram) ? latencyReader(read) : read;
}

export const read = {
  /** All threads. */
  cpuUsPerRequest: perRequest('cpuUs'),
  /** The main thread. */
  hotCpuUsPerRequest: perRequest('hotCpuUs'),
  requestsPerSecond: latencyReader(value('requestsPerSecond')),
  p50Us: percentile(0.5),
  p90Us: percentile(0.9),
  p99Us: percentile(0.99),
  p999Us: percentile(0.999),
  serviceP50Us: percentile(0.5, 'service'),
  serviceP99Us: percentile(0.99, 'service'),
  rssMb: memory('rssKb', 1e6),
  anonymousMb: memory('anonymousKb', 1e6),
  privateMb: memory('privateKb', 1e6),
  privateMib: memory('privateKb', 1_048_576),
  pssMb: memory('pssKb', 1e6),
  startMs: value('firstAnswerMs'),
  /** Share of one core that the proxy used: far below 1 at saturation, the load was the limit. */
  coreShare: ({ values }: Row) => {
    const seconds = values.elapsedSeconds;
    return divide(values.cpuUs, seconds === undefined ? undefined : seconds * 1e6);
  },
} satisfies Record<string, Reader>;

/** Units of so many bytes, from /proc's kB, which have 1024: a megabyte is 10^6 bytes, a MiB 2^20. */
function memory(name: string, bytes: number): Reader {
  return ({ values }) => divide(values[name], bytes / 1024);
}

function divide(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined ? undefined : above / below;
}
