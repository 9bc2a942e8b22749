/**
 * The one clock of the generator and its pacer: both threads must read the same numbers.
 *
 * performance.now() starts at another time in every thread, and turning one into the other costs the
 * first cold call's 100 us of error, which is as much as we want to measure.
 */

/** Milliseconds of the machine's monotonic clock, of nanosecond resolution. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
