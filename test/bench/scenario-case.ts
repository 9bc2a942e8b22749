/**
 * Small made-up results for tests of what scenarios say: rows with latencies all alike.
 */

import { Histogram } from '../../bench/load/histogram.ts';
import type { Result, Row } from '../../bench/result/row.ts';
import { makeResult } from './result-case.ts';

/** Histograms whose durations are all the same, in us, by name. */
export function histogramsOf(us: Readonly<Record<string, number>>): Record<string, number[]> {
  const entries = Object.entries(us).map(([name, each]) => {
    const histogram = new Histogram();
    for (let index = 0; index < 100; index++) histogram.record(each * 1000);
    return [name, histogram.toSparse()] as const;
  });
  return Object.fromEntries(entries);
}

export function latencyRow(
  arm: string,
  point: string,
  round: number,
  us: number,
  values: Readonly<Record<string, number>> = {},
): Row {
  const histograms = histogramsOf({ latency: us });
  const counted = { requests: 1000, errors: 0, ...values };
  return { round, place: 0, arm, point, faults: [], values: counted, histograms };
}

/** A whole result of three rounds that has these rows. */
export function resultOf(scenario: string, names: readonly string[], rows: readonly Row[]): Result {
  const cells = rows.filter(({ round }) => round === 0).map(({ arm, point }) => ({ arm, point }));
  const arms = names.map((name) => ({ name, label: name, setting: 'made up', version: '1' }));
  return makeResult({ scenario, title: scenario, arms, cells, rows });
}
