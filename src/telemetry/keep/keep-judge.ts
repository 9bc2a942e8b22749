/**
 * The judge of an exchange that the head sampler did not choose: whether its trace is kept all the
 * same, and why.
 *
 *   a cause or a status of 500 and more ── error, as many a second and route as the settings allow
 *   refused by REGISTRY_ONLY ───────────── denied
 *   a caller refused by a policy ───────── denied, as many a second and route as errors
 *   not the first attempt ──────────────── retry
 *   longer than the limit, or 3 x p99 ──── slow, as many a second and route
 *
 * Hot: a usual exchange costs five comparisons. What a budget refuses is counted like what it allows.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { failure } from '../../model/failure.ts';
import type { KeepState } from '../metrics/keep-state.ts';
import { type ExchangeRecord, SampledBy } from '../record/exchange-record.ts';
import type { KeepSettings } from '../settings/tracing-choices.ts';

/** Traces by the `SampledBy` that they were kept for, or would have been. */
export interface KeepCounts {
  readonly kept: Float64Array;
  readonly refused: Float64Array;
}

/** An error, or slow, and over the budget. */
export const REFUSED = -1;

const FIRST_SERVER_ERROR = 500;
const FIRST_ERROR = 400;
const REASONS = Math.max(...Object.values(SampledBy)) + 1;
const clientGone = failure['client-gone'].code;
const noRoute = failure['no-route'].code;
const egressDenied = failure['egress-denied'].code;
/** Denials of callers, who may be anybody, as often as they like. */
const callerDenied: ReadonlySet<number> = new Set([
  failure['no-identity'].code,
  failure.denied.code,
  failure['policy-unsupported'].code,
]);

export class KeepJudge {
  readonly counts: KeepCounts = {
    kept: new Float64Array(REASONS),
    refused: new Float64Array(REASONS),
  };
  readonly #settings: KeepSettings;
  readonly #firstError: number;

  constructor(settings: KeepSettings) {
    this.#settings = settings;
    this.#firstError = settings.keeps4xx ? FIRST_ERROR : FIRST_SERVER_ERROR;
  }

  /** Whether something went wrong that is worth a trace; a downstream that left is not. */
  isError({ status, causeCode }: ExchangeRecord): boolean {
    if (causeCode === clientGone || causeCode === noRoute) return false;
    return causeCode !== 0 || status >= this.#firstError;
  }

  /** The `SampledBy` of a trace that is to be kept, None, or REFUSED. `elapsedUs`: so far. */
  judge(record: ExchangeRecord, keep: KeepState, elapsedUs: number, now: Milliseconds): number {
    if (this.isError(record)) {
      if (record.causeCode === egressDenied) return this.#keep(SampledBy.Denied);
      if (record.attempt > 0) return this.#keep(SampledBy.Retry);
      const by = callerDenied.has(record.causeCode) ? SampledBy.Denied : SampledBy.Error;
      const isAllowed = keep.budget.errors.take(this.#settings.errorsPerSecond, now);
      return isAllowed ? this.#keep(by) : this.#refuse(by);
    }
    if (record.attempt > 0) return this.#keep(SampledBy.Retry);
    if (elapsedUs <= keep.slowUs && elapsedUs <= this.#settings.slowUs) return SampledBy.None;
    const isAllowed = keep.budget.slow.take(this.#settings.slowPerSecond, now);
    return isAllowed ? this.#keep(SampledBy.Slow) : this.#refuse(SampledBy.Slow);
  }

  #keep(by: number): number {
    this.counts.kept[by]!++;
    return by;
  }

  #refuse(by: number): number {
    this.counts.refused[by]!++;
    return REFUSED;
  }
}
