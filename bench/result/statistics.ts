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
  /** 95 % bootstrap interval of the median. */
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
 * The 95 % percentile-bootstrap interval of the median of `values` (at least one). Three rounds give
 * little more than their range; that is what three rounds are worth.
 */
export function medianInterval(values: readonly number[], seed = 1): readonly [number, number] {
  const random = seededRandom(seed);
  const medians: number[] = [];
  for (let index = 0; index < resamples; index++) {
    medians.push(median(values.map(() => values[randomBelow(random, values.length)]!)));
  }
  medians.sort((left, right) => left - right);
  return [medians[Math.floor(resamples * 0.025)]!, medians[Math.ceil(resamples * 0.975) - 1]!];
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
