/**
 * Head sampling: which traces are exported, decided from the trace id when a span begins.
 *
 * Every hop with the same ratio decides alike, and a higher ratio keeps a superset: the last 56 bits
 * of the trace id are compared with one threshold (OpenTelemetry's consistent probability sampling;
 * a ratio of 0.25 keeps ids from 0xc0_0000_0000_0000 up).
 */

import type { SamplerSettings } from './settings.ts';

const BITS_24 = 0x100_0000;
const BITS_32 = 0x1_0000_0000;

export class HeadSampler {
  readonly isParentBased: boolean;
  readonly #thresholdHigh: number;
  readonly #thresholdLow: number;

  constructor(settings: SamplerSettings) {
    this.isParentBased = settings.isParentBased;
    // 56 bits do not fit a double's 53; a threshold of 24 + 32 bits loses nothing that matters.
    const threshold = (1 - settings.ratio) * BITS_24;
    this.#thresholdHigh = Math.floor(threshold);
    this.#thresholdLow = Math.floor((threshold - this.#thresholdHigh) * BITS_32);
  }

  /** Whether a trace is in the ratio: by the low 24 bits of its third word and by its fourth. */
  isInRatio(traceId2: number, traceId3: number): boolean {
    const high = traceId2 & 0xff_ffff;
    return (
      high > this.#thresholdHigh ||
      (high === this.#thresholdHigh && traceId3 >>> 0 >= this.#thresholdLow)
    );
  }
}
