/**
 * When a batch that could not be delivered is tried again: back-off that doubles, drawn so that
 * sidecars which lost one collector do not come back in step, and what the collector itself asks for.
 *
 * Which failures are worth it is the transport's to say (OTLP 1.10, "Failures": 429, 502, 503, 504
 * and no connection): it reports them as a RetryableError. All others are final.
 */

import { type Random, randomBelow } from '../../base/random.ts';
import type { TelemetryLimits } from '../../model/telemetry-limits.ts';

/** A failure after which the same bytes may be sent again. */
export class RetryableError extends Error {
  /** What the collector's Retry-After asks for, in milliseconds; 0 when it does not. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.name = 'RetryableError';
    this.retryAfterMs = retryAfterMs;
  }
}

type RetryLimits = Pick<
  TelemetryLimits,
  'exportBackoffMs' | 'exportBackoffMsMax' | 'exportRetryAfterMsMax'
>;

/**
 * Milliseconds until the next try after `failures` in a row, 1 or more: half to all of the back-off,
 * and never less than `retryAfterMs`, as far as that is believed.
 */
export function nextDelay(
  failures: number,
  retryAfterMs: number,
  random: Random,
  limits: RetryLimits,
): number {
  const { exportBackoffMs, exportBackoffMsMax, exportRetryAfterMsMax } = limits;
  const whole = Math.min(exportBackoffMsMax, exportBackoffMs * 2 ** (failures - 1));
  const drawn = Math.ceil(whole / 2) + randomBelow(random, Math.floor(whole / 2) + 1);
  return Math.max(drawn, Math.min(retryAfterMs, exportRetryAfterMsMax));
}
