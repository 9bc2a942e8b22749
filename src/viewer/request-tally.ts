/**
 * Requests added up: how many, how many failed, how long they took.
 *
 * A tally is what rows of the metric store add themselves to; the figures that people read are made
 * of it here. Pure numbers, no clock.
 */

import { latencyBoundsUs } from '../telemetry/metrics/latency-histogram.ts';
import type { RequestFigures } from './view-answers.ts';

/** Upper bounds of all tallies, in seconds; one bucket more. */
export const boundsSeconds: readonly number[] = latencyBoundsUs.map((us) => us / 1e6);

/** Sums of one set of requests. */
export class RequestTally {
  requests = 0;
  errors = 0;
  clientErrors = 0;
  sumSeconds = 0;
  readonly buckets = new Float64Array(boundsSeconds.length + 1);
  /** By status; '' = none was received. */
  readonly statuses = new Map<string, number>();

  add(other: RequestTally): void {
    this.requests += other.requests;
    this.errors += other.errors;
    this.clientErrors += other.clientErrors;
    this.sumSeconds += other.sumSeconds;
    for (let at = 0; at < this.buckets.length; at++) this.buckets[at]! += other.buckets[at]!;
    for (const [status, count] of other.statuses) this.addStatus(status, count);
  }

  addStatus(status: string, count: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + count);
  }
}

/** What people read of a tally that was counted in `seconds`. */
export function figuresOf(tally: RequestTally, seconds: number): RequestFigures {
  const { requests, errors, clientErrors } = tally;
  const [low, high] = wilson(errors, requests);
  return {
    requests,
    ratePerSecond: seconds > 0 ? requests / seconds : 0,
    errors,
    clientErrors,
    errorShare: requests === 0 ? null : errors / requests,
    errorShareLow: requests === 0 ? null : low,
    errorShareHigh: requests === 0 ? null : high,
    p50Ms: percentileMs(tally.buckets, 0.5),
    p95Ms: percentileMs(tally.buckets, 0.95),
    p99Ms: percentileMs(tally.buckets, 0.99),
    meanMs: requests === 0 ? null : (tally.sumSeconds / requests) * 1000,
  };
}

/** 97.5 % of a normal distribution lie below it. */
const z = 1.959964;

/** Wilson's score interval of 95 % for `hits` of `all` (E. B. Wilson 1927); 0 to 1 without any. */
export function wilson(hits: number, all: number): readonly [low: number, high: number] {
  if (all === 0) return [0, 1];
  const share = hits / all;
  const square = (z * z) / all;
  const middle = share + square / 2;
  const half = z * Math.sqrt((share * (1 - share)) / all + square / (4 * all));
  const low = hits === 0 ? 0 : (middle - half) / (1 + square);
  const high = hits === all ? 1 : (middle + half) / (1 + square);
  return [Math.max(0, low), Math.min(1, high)];
}

/**
 * Milliseconds below which `share` of the requests lie: interpolated in its bucket, whose bounds it
 * never leaves. In the last bucket, which has no upper bound, it is the lower one. Null without any.
 */
export function percentileMs(buckets: ArrayLike<number>, share: number): number | null {
  let all = 0;
  for (let at = 0; at < buckets.length; at++) all += buckets[at]!;
  if (all === 0) return null;
  const wanted = share * all;
  let below = 0;
  for (let at = 0; at < boundsSeconds.length; at++) {
    const count = buckets[at]!;
    if (count > 0 && below + count >= wanted) {
      const from = at === 0 ? 0 : boundsSeconds[at - 1]!;
      const part = Math.max(0, wanted - below) / count;
      return (from + (boundsSeconds[at]! - from) * part) * 1000;
    }
    below += count;
  }
  return boundsSeconds.at(-1)! * 1000;
}
