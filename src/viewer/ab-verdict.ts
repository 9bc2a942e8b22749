/**
 * What the counts of a route's subsets prove, in a sentence, and what they do not.
 *
 * Errors differ when the 95 % intervals of two shares do not meet. Latencies differ when the two
 * histograms are further apart than chance would have them in one of a thousand comparisons
 * (Kolmogorov and Smirnov: the largest distance of the cumulated shares, against
 * 1.95 * sqrt((n + m) / (n * m))) and the p95 differs by a fifth. Everything else is called alike.
 */

import { printShare } from './share-text.ts';
import { printDuration } from './time-bar.ts';
import type { AbSubset } from './view-answers.ts';

/** For one chance in a thousand; requests of one moment are not independent, so 5 % is too weak. */
const distanceFactor = 1.95;
const p95TimesMin = 1.2;

export function verdictOf(subsets: readonly AbSubset[]): string {
  const known = subsets.filter(({ requests }) => requests > 0);
  if (known.length === 0) return 'No requests in this time.';
  if (known.length === 1) {
    return `Only ${subsetName(known[0]!)} got requests in this time: nothing to compare with.`;
  }
  return `${errorVerdict(known)} ${latencyVerdict(known)}`;
}

/** `v2`, or words for the empty name. */
export function subsetName({ subset }: Pick<AbSubset, 'subset'>): string {
  return subset === '' ? 'no subset' : subset;
}

function errorVerdict(subsets: readonly AbSubset[]): string {
  const [worst, best] = ends(subsets, ({ errorShare }) => errorShare ?? 0);
  if ((worst.errorShareLow ?? 0) <= (best.errorShareHigh ?? 1)) {
    return 'The counts prove no difference in errors: the 95 % intervals overlap.';
  }
  return (
    `${subsetName(worst)} fails more often than ${subsetName(best)}: ` +
    `${printShare(worst.errorShare)} against ${printShare(best.errorShare)}; their 95 % intervals ` +
    'do not meet.'
  );
}

function latencyVerdict(subsets: readonly AbSubset[]): string {
  const [slowest, fastest] = ends(subsets, ({ p95Ms }) => p95Ms ?? 0);
  const [slowMs, fastMs] = [slowest.p95Ms ?? 0, fastest.p95Ms ?? 0];
  if (slowMs < fastMs * p95TimesMin || !areFar(slowest, fastest)) return 'Latencies are alike.';
  const ms = (value: number): string => printDuration(value * 1e6, false);
  return `${subsetName(slowest)} is slower: p95 ${ms(slowMs)} against ${ms(fastMs)}.`;
}

/** The subsets with the most and the least of something. */
function ends(
  subsets: readonly AbSubset[],
  of: (subset: AbSubset) => number,
): readonly [most: AbSubset, least: AbSubset] {
  const sorted = [...subsets].sort((one, other) => of(other) - of(one));
  return [sorted[0]!, sorted.at(-1)!];
}

function areFar(one: AbSubset, other: AbSubset): boolean {
  let [first, second, distance] = [0, 0, 0];
  one.buckets.forEach(({ requests }, index) => {
    first += requests / one.requests;
    second += (other.buckets[index]?.requests ?? 0) / other.requests;
    distance = Math.max(distance, Math.abs(first - second));
  });
  const { requests: n } = one;
  const { requests: m } = other;
  return distance > distanceFactor * Math.sqrt((n + m) / (n * m));
}
