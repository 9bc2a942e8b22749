/**
 * Durations in fine cells, and the bucket of Prometheus that one belongs to: no allocation.
 *
 *   microseconds ─► fine cell: 8 linear steps a power of two, for percentiles within 12.5 %
 *                ─► bucket of Prometheus: the bounds below, exact
 *
 * The fine cell of a value names the first bucket that it can be in, so one more comparison finds the
 * exact one: the bounds are further apart than a cell is wide.
 */

/** Upper bounds in microseconds, inclusive: semantic conventions' list and three below it. */
export const latencyBoundsUs: readonly number[] = [
  500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000,
  1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

const STEPS = 8;
const CELLS = 30 * STEPS;
const MAX_US = 2 ** 31 - 1;

/** Index of the cell that holds `us` (a whole number from 0 to MAX_US). */
function cellOf(us: number): number {
  if (us < STEPS) return us;
  const exponent = 28 - Math.clz32(us);
  return (exponent << 3) + (us >>> exponent);
}

/** Smallest value of a cell. */
function cellStart(cell: number): number {
  if (cell < STEPS) return cell;
  const exponent = (cell >> 3) - 1;
  return (STEPS + (cell & 7)) * 2 ** exponent;
}

const firstBucket = new Uint8Array(CELLS);
for (let cell = 0; cell < CELLS; cell++) {
  const start = cellStart(cell);
  const bucket = latencyBoundsUs.findIndex((bound) => start <= bound);
  firstBucket[cell] = bucket === -1 ? latencyBoundsUs.length : bucket;
}

/** Index of the bound that `us` is not above; the number of bounds when it is above all. */
function bucketIn(cell: number, us: number): number {
  const bucket = firstBucket[cell]!;
  return bucket < latencyBoundsUs.length && us > latencyBoundsUs[bucket]! ? bucket + 1 : bucket;
}

/** Bucket of `us`, which is at least 0. */
export function bucketOf(us: number): number {
  return bucketIn(cellOf(us < MAX_US ? us | 0 : MAX_US), us);
}

export class LatencyHistogram {
  /** Counts since the start, each wraps at 2^32. */
  readonly cells = new Uint32Array(CELLS);

  /**
   * Counts `us` and returns its bucket. At least 0; a fraction is cut, 35 minutes and more are counted
   * alike.
   */
  observe(us: number): number {
    const cell = cellOf(us < MAX_US ? us | 0 : MAX_US);
    this.cells[cell]!++;
    return bucketIn(cell, us);
  }

  /** The value below which a `share` (0 to 1) of all values lies, at most 12.5 % too low; 0 if empty. */
  percentileUs(share: number): number {
    let count = 0;
    for (const each of this.cells) count += each;
    let left = Math.ceil(count * share);
    for (let cell = 0; cell < CELLS; cell++) {
      left -= this.cells[cell]!;
      if (left <= 0) return count === 0 ? 0 : cellStart(cell);
    }
    return MAX_US;
  }

  /**
   * The same of the values since the cells were as in `base` (a copy of them); -1 when they are fewer
   * than `countMin`.
   */
  percentileSinceUs(base: Uint32Array, share: number, countMin: number): number {
    let count = 0;
    for (let cell = 0; cell < CELLS; cell++) count += (this.cells[cell]! - base[cell]!) >>> 0;
    if (count < countMin) return -1;
    let left = Math.ceil(count * share);
    for (let cell = 0; cell < CELLS; cell++) {
      left -= (this.cells[cell]! - base[cell]!) >>> 0;
      if (left <= 0) return cellStart(cell);
    }
    return MAX_US;
  }
}
