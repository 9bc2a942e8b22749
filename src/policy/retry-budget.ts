/**
 * The retry budget: retries may be a fifth of the requests plus ten a second, never a storm.
 *
 * A token bucket in thousandths of a retry, so that ratios add up exactly. Each first attempt puts
 * its share in, time puts its own in, a retry takes a whole one out. It holds at most ten seconds'
 * worth, so that a quiet hour does not pay for a flood (reference/reliability.md section 4, fault
 * 28).
 */

import type { Milliseconds } from '../base/clock.ts';

const SECONDS_HELD = 10;
/** One retry, in the bucket's unit. */
const RETRY = 1_000;

export class RetryBudget {
  readonly #perRequest: number;
  readonly #perMs: number;
  readonly #most: number;
  #tokens: number;
  #filledAtMs: Milliseconds;

  /** `ratio` of requests (0.2), and `perSecond` retries that are always allowed (10). */
  constructor(ratio: number, perSecond: number, now: Milliseconds) {
    this.#perRequest = Math.round(ratio * RETRY);
    this.#perMs = (perSecond * RETRY) / 1000;
    this.#most = perSecond * RETRY * SECONDS_HELD;
    this.#tokens = perSecond * RETRY;
    this.#filledAtMs = now;
  }

  /** Counts a first attempt. One addition: it is on the hot path. */
  onRequest(): void {
    this.#tokens += this.#perRequest;
  }

  /** Takes one retry out, or says no. */
  take(now: Milliseconds): boolean {
    const tokens = this.#tokens + (now - this.#filledAtMs) * this.#perMs;
    this.#filledAtMs = now;
    this.#tokens = Math.min(tokens, this.#most);
    if (this.#tokens < RETRY) return false;
    this.#tokens -= RETRY;
    return true;
  }
}
