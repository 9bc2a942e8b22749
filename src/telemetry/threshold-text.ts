/**
 * The threshold of a sampling ratio as `ot=th:` has it: 14 hex digits of 56 bits, zeros at the end cut
 * off (OpenTelemetry, "TraceState: Probability Sampling"): 1 is `0`, 0.25 is `c`, 0.01 `fd70a3d70a3d7`.
 *
 * Rounded as head-sampler.ts rounds it, so that what is written is what was compared with.
 */

const BITS_24 = 0x100_0000;
const BITS_32 = 0x1_0000_0000;

/** `ratio`: above 0, up to 1. */
export function thresholdText(ratio: number): string {
  const threshold = (1 - ratio) * BITS_24;
  const high = Math.floor(threshold);
  const low = Math.floor((threshold - high) * BITS_32);
  const digits = high.toString(16).padStart(6, '0') + low.toString(16).padStart(8, '0');
  return digits.replace(/0+$/, '') || '0';
}
