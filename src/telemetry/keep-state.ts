/**
 * What the requests of one series may keep, and from which duration on they are slow.
 *
 * Two token buckets and one limit: `RequestSeries` has one, the judge asks it (keep-judge.ts), and
 * slow-limit.ts learns the limit from the series' own histogram, off the request.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { SlowWindow } from './slow-limit.ts';

/** Tokens that come with time; it holds those of one second, and one at least. Full at first. */
export class TokenBucket {
  #tokens = -1.5;
  #filledAt: Milliseconds = 0.5;

  /** Takes one out, or says no. `perSecond`: as many come; 0: never one. */
  take(perSecond: number, now: Milliseconds): boolean {
    if (perSecond <= 0) return false;
    const most = Math.max(1, perSecond);
    const gained = Math.max(0, now - this.#filledAt) * (perSecond / 1_000);
    const isFirst = this.#tokens < 0;
    const tokens = isFirst ? most : Math.min(most, this.#tokens + gained);
    this.#filledAt = now;
    this.#tokens = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
  }
}

export class KeepState {
  /** Traces that are kept for an error, and for being slow. */
  readonly errors = new TokenBucket();
  readonly slow = new TokenBucket();
  /** What takes longer is slow; Infinity until enough is known. Microseconds. */
  slowUs = Number.POSITIVE_INFINITY;
  /** Of slow-limit.ts; undefined until the series has counted anything. */
  window: SlowWindow | undefined = undefined;
}
