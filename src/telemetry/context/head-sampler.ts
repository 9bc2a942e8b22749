/**
 * Head sampling: which traces are exported, decided from the trace id when a span begins.
 *
 * Every hop with the same ratio decides alike, and a higher ratio keeps a superset: the last 56 bits
 * of the trace id are compared with one threshold (OpenTelemetry's consistent probability sampling;
 * a ratio of 0.25 keeps ids from 0xc0_0000_0000_0000 up).
 */

import type { SamplerSettings } from '../settings/settings.ts';

const BITS_24 = 0x100_0000;
const BITS_32 = 0x1_0000_0000;

export class HeadSampler {
  readonly isParentBased: boolean;
  /** A threshold as TraceContext has it: of a trace that is in the ratio. */
  readonly thresholdHigh: number;
  readonly thresholdLow: number;

  constructor(settings: SamplerSettings) {
    this.isParentBased = settings.isParentBased;
    // 56 bits do not fit a double's 53; a threshold of 24 + 32 bits loses nothing that matters.
    const threshold = (1 - settings.ratio) * BITS_24;
    this.thresholdHigh = Math.floor(threshold);
    this.thresholdLow = Math.floor((threshold - this.thresholdHigh) * BITS_32) | 0;
  }

  /** Whether a trace is in the ratio: by 56 bits of randomness, high 24 and low 32 bits. */
  isInRatio(high: number, low: number): boolean {
    return reaches(high, low, this.thresholdHigh, this.thresholdLow);
  }
}

/** Whether the randomness is at least the threshold. Of `high` the low 24 bits count. */
export function reaches(
  high: number,
  low: number,
  thresholdHigh: number,
  thresholdLow: number,
): boolean {
  const top = high & 0xff_ffff;
  return top > thresholdHigh || (top === thresholdHigh && low >>> 0 >= thresholdLow >>> 0);
}
