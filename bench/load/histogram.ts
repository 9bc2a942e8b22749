/**
 * A log-linear histogram of durations in nanoseconds: what the generator records and results keep.
 *
 * Values up to 127 ns have a bucket each; above, every power of two is cut in 128, so a percentile is
 * at most 0.4 % away from the exact one. Durations above 4.29 s count as that. Histograms add up,
 * percentiles do not: rounds are merged here and never averaged.
 *
 *    [0..127] one each | [128..255] 128 buckets of 1 | [256..511] 128 of 2 | [512..1023] 128 of 4 ...
 */

const perPower = 128;
const powers = 26;
const longestNs = 0xffff_ffff;

/** The JSON form: bucket numbers and their counts, zeros left out: [bucket, count, bucket, ...]. */
export type SparseCounts = readonly number[];

export class Histogram {
  readonly #counts = new Float64Array(perPower * powers);
  #total = 0;

  /** How many durations it holds. */
  get total(): number {
    return this.#total;
  }

  /** Counts one duration; below 0 counts as 0. */
  record(ns: number): void {
    this.#counts[bucketOf(ns)]!++;
    this.#total++;
  }

  /** Adds all that another one counted, in its JSON form. */
  add(counts: SparseCounts): void {
    for (let index = 0; index + 1 < counts.length; index += 2) {
      const bucket = counts[index]!;
      const count = counts[index + 1]!;
      if (!(bucket >= 0 && bucket < this.#counts.length && count > 0)) {
        throw new RangeError(`no bucket ${bucket} with count ${count} in a histogram`);
      }
      this.#counts[bucket]! += count;
      this.#total += count;
    }
  }

  /** The duration (ns) that a `share` (0 to 1) of all do not exceed; NaN when it is empty. */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(this.#total * share));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= wanted) return middleOf(bucket);
    }
    return Number.NaN;
  }

  toSparse(): number[] {
    const sparse: number[] = [];
    this.#counts.forEach((count, bucket) => {
      if (count > 0) sparse.push(bucket, count);
    });
    return sparse;
  }
}

function bucketOf(ns: number): number {
  const value = ns >= longestNs ? longestNs : ns > 0 ? Math.floor(ns) : 0;
  if (value < perPower) return value;
  const shift = 24 - Math.clz32(value);
  return (shift + 1) * perPower + (Math.floor(value / 2 ** shift) - perPower);
}

function middleOf(bucket: number): number {
  if (bucket < perPower) return bucket;
  const shift = Math.floor(bucket / perPower) - 1;
  const width = 2 ** shift;
  return ((bucket % perPower) + perPower) * width + (width - 1) / 2;
}
