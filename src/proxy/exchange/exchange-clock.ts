/**
 * The clock of one exchange: everything in it that can be late, and which failure that is.
 *
 * The limits of the parts are the parts' own (a slow body is the request relay's matter, a slow
 * head the response relay's); the route's timeout and the silence on both sides are kept here. One
 * deadline of the connection stands for all of them, at the earliest.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { type Failure, failure } from '../../model/failure.ts';
import type { TrafficLimits } from '../../model/limits.ts';
import type { RequestRelay } from './request-relay.ts';
import type { ResponseRelay } from './response-relay.ts';

const never = Number.POSITIVE_INFINITY;

export class ExchangeClock {
  readonly #limits: TrafficLimits;
  readonly #request: RequestRelay;
  readonly #response: ResponseRelay;
  /** When the route's timeout passes; Infinity = it sets none. */
  #routeAtMs: Milliseconds = never;
  /** When a byte last moved, either way. */
  #activeMs: Milliseconds = 0.5;

  constructor(limits: TrafficLimits, request: RequestRelay, response: ResponseRelay) {
    this.#limits = limits;
    this.#request = request;
    this.#response = response;
  }

  begin(now: Milliseconds): void {
    this.#routeAtMs = never;
    this.#activeMs = now;
  }

  /** The whole exchange has `timeoutMs` from now; Infinity for no limit. */
  setRouteTimeout(now: Milliseconds, timeoutMs: Milliseconds): void {
    this.#routeAtMs = now + timeoutMs;
  }

  /** A byte has moved. */
  onActivity(now: Milliseconds): void {
    this.#activeMs = now;
  }

  /** The next moment at which something may be late. `isBodyAwaited`: the downstream could send. */
  next(isBodyAwaited: boolean): Milliseconds {
    const silentAt = this.#activeMs + this.#limits.streamIdleMs;
    const at = Math.min(this.#routeAtMs, silentAt, this.#response.deadline());
    return isBodyAwaited ? Math.min(at, this.#request.deadline()) : at;
  }

  /** What is late at `now`, or undefined. */
  late(now: Milliseconds, isBodyAwaited: boolean): Failure | undefined {
    if (now >= this.#routeAtMs) return failure['request-timeout'];
    if (now >= this.#response.deadline()) return failure['response-head-timeout'];
    if (isBodyAwaited && this.#request.isTooSlow(now)) return failure['request-body-timeout'];
    if (now >= this.#activeMs + this.#limits.streamIdleMs) return failure['stream-idle-timeout'];
    return undefined;
  }
}
