/**
 * What is said about several rounds: a median, its spread, and how sure we may be of it.
 *
 * The unit is the round, never the request: requests inside one round share its noise, and pooling
 * them gives intervals that are ten times too narrow (reference/performance.md 8.3). Everything here
 * is pure, and the bootstrap draws from a seed, so a report drawn twice is the same report.
 */

import { randomBelow, seededRandom } from '../../src/base/random.ts';

/** A figure over rounds, in the unit of its values. */
export interface Spread {
  readonly median: number;
  /** Ends of the bootstrap interval of the median, meant for 95 %; see intervalOf for what it covers. */
  readonly low: number;
  readonly high: number;
  /** The extremes of the rounds. */
  readonly least: number;
  readonly most: number;
  /** How many rounds it rests on. */
  readonly rounds: number;
}

const resamples = 2000;

/** The middle value, or the mean of the two middle ones; throws RangeError when there is none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values have no median');
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The percentile-bootstrap interval of the median of `values` (at least one), meant for 95 %. Of few
 * rounds it is their range and covers less: intervalOf says how much.
 */
export function medianInterval(values: readonly number[]): readonly [number, number] {
  const count = values.length;
  const draws = drawsOf(count);
  const middle = count >> 1;
  const sample = new Float64Array(count);
  const medians = new Float64Array(resamples);
  for (let index = 0; index < resamples; index++) {
    const from = index * count;
    // Few values: they are in order sooner by insertion than by a call of sort.
    for (let at = 0; at < count; at++) {
      const value = values[draws[from + at]!]!;
      let place = at;
      for (; place > 0 && sample[place - 1]! > value; place--) sample[place] = sample[place - 1]!;
      sample[place] = value;
    }
    medians[index] =
      count % 2 === 1 ? sample[middle]! : (sample[middle - 1]! + sample[middle]!) / 2;
  }
  medians.sort();
  return [medians[Math.floor(resamples * 0.025)]!, medians[Math.ceil(resamples * 0.975) - 1]!];
}

/** By how many rounds there are. */
const drawn = new Map<number, Uint16Array>();

/** Which of `count` rounds each resample has; the same for every figure of so many rounds. */
function drawsOf(count: number): Uint16Array {
  const known = drawn.get(count);
  if (known !== undefined) return known;
  const random = seededRandom(1);
  const draws = Uint16Array.from({ length: resamples * count }, () => randomBelow(random, count));
  drawn.set(count, draws);
  return draws;
}

/** What medianInterval gives for so many rounds. */
export interface IntervalQuality {
  /** It runs from the least to the most of the rounds. */
  readonly isRange: boolean;
  /**
   * How often it holds the true median, 0 to 1, whatever the distribution: between the i-th and the j-th
   * of n independent rounds the median lies unless fewer than i, or more than j - 1, of them are below
   * it, and each is with probability 1/2. At best: rounds that drift together cover less.
   */
  readonly coverage: number;
}

/** Of `rounds` (at least 1) rounds that were kept. */
export function intervalOf(rounds: number): IntervalQuality {
  // The interval of the numbers 1 to n tells which of the sorted rounds its ends are.
  const [low, high] = medianInterval(Array.from({ length: rounds }, (_, index) => index + 1));
  const outside =
    fewerBelow(rounds, Math.floor(low)) + fewerBelow(rounds, rounds + 1 - Math.ceil(high));
  return {
    isRange: low === 1 && high === rounds,
    coverage: Math.max(0, 1 - outside),
  };
}

/** The chance that fewer than `limit` of `rounds` fall below their true median. */
function fewerBelow(rounds: number, limit: number): number {
  let sum = 0;
  let term = 0.5 ** rounds;
  for (let below = 0; below < limit; below++) {
    sum += term;
    term *= (rounds - below) / (below + 1);
  }
  return sum;
}

/** All of it at once; throws RangeError when `values` is empty. */
export function spreadOf(values: readonly number[]): Spread {
  const [low, high] = medianInterval(values);
  return {
    median: median(values),
    low,
    high,
    least: Math.min(...values),
    most: Math.max(...values),
    rounds: values.length,
  };
}
