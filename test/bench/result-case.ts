/**
 * A made-up result for tests of summaries and reports: complete, with figures that are easy to check.
 */

import { Histogram } from '../../bench/load/histogram.ts';
import { resultSchema } from '../../bench/result/result.ts';
import type { Result, ResultArm, Row } from '../../bench/result/row.ts';
import { type Figure, Summary } from '../../bench/result/summary.ts';
import type { Target } from '../../bench/result/target.ts';
import { judgeTargets } from '../../bench/result/targets.ts';
import type { Cell } from '../../bench/scenarios/scenario.ts';

export const caseRounds = 3;

/** Per arm: CPU us a request, p50 us on one connection, p99 us on sixteen, requests/s. */
const caseFigures: Readonly<Record<string, readonly [number, number, number, number]>> = {
  direct: [0, 100, 300, 80_000],
  'direct-again': [0, 110, 320, 80_000],
  tracecar: [20, 185, 900, 50_000],
  'tracecar-aa': [20.4, 185, 900, 50_000],
  envoy: [50, 265, 1800, 20_000],
  'http-proxy': [80, 305, 5000, 12_000],
};

/** Rounds differ by this factor, for all arms alike: a ratio within a round does not see it. */
const roundFactors = [1, 1.5, 0.9];

export function makeResult(change: Partial<Result> = {}): Result {
  const names = Object.keys(caseFigures);
  const proxies = names.filter((name) => !name.startsWith('direct'));
  const arms: ResultArm[] = names.map((name) => ({
    name,
    label: name,
    setting: 'made up',
    version: '1',
  }));
  arms.push({
    name: 'haproxy',
    label: 'HAProxy',
    setting: 'made up',
    missing: 'not installed',
    install: 'npm run peers haproxy',
  });
  const cells: readonly Cell[] = [
    ...proxies.map((arm) => ({ arm, point: 'start', rounds: 2 })),
    ...proxies.map((arm) => ({ arm, point: 'saturation' })),
    ...names.map((arm) => ({ arm, point: 'single' })),
    ...names.map((arm) => ({ arm, point: 'many' })),
  ];
  return {
    schema: resultSchema,
    scenario: 'hop',
    title: 'One plain hop',
    scale: 'quick',
    date: '2026-01-02T03:04:05.000Z',
    commit: 'abc1234',
    command: ['npm', 'run', 'bench'],
    rounds: caseRounds,
    seconds: 0.5,
    tolerateNoise: false,
    keptAwake: true,
    durationSeconds: 60,
    machine: {
      cpu: 'a processor',
      cores: 2,
      memoryMb: 4096,
      kernel: '6.18',
      node: '26.10.0',
      mitigations: {},
      loadAverage: 0,
      idleBusy: 0.01,
    },
    pinning: { proxy: 0, load: 1 },
    backend: 'nginx 1.22.1',
    arms,
    cells,
    spansCollected: 500,
    crossChecks: [],
    rows: rowsOf(cells),
    ...change,
  };
}

/** Five rounds whose median is in the middle of these; the interval is from the least to the most. */
export function measured(low: number, high: number): Figure {
  const spread = { median: (low + high) / 2, low, high, least: low, most: high, rounds: 5 };
  return { state: 'measured', spread, dropped: 0, rounds: 5 };
}

/** What is laid over a row: its faults, and some of its values. */
export interface RowChange {
  readonly faults?: readonly string[];
  readonly values?: Readonly<Record<string, number>>;
}

/** The result with some rows changed: `find` picks them. */
export function changeRow(
  result: Result,
  find: (row: Row) => boolean,
  { faults, values }: RowChange,
): Result {
  const rows = result.rows.map((row) =>
    find(row)
      ? { ...row, faults: faults ?? row.faults, values: { ...row.values, ...values } }
      : row,
  );
  return { ...result, rows };
}

function rowsOf(cells: readonly Cell[]): readonly Row[] {
  const rows: Row[] = [];
  for (let round = 0; round < caseRounds; round++) {
    for (const cell of cells) {
      if (round < (cell.rounds ?? caseRounds)) rows.push(makeRow(cell, round));
    }
  }
  return rows;
}

function makeRow({ arm, point }: Cell, round: number): Row {
  const base = { round, place: 0, arm, point, faults: [] };
  if (point === 'start') {
    return { ...base, values: { firstAnswerMs: 90 + round, rssKb: 65_536, anonymousKb: 20_000 } };
  }
  const [cpuUs, p50Us, p99Us, requestsPerSecond] = caseFigures[arm]!;
  const factor = roundFactors[round]!;
  const latency = new Histogram();
  const us = (point === 'single' ? p50Us : p99Us) * factor;
  for (let index = 0; index < 100; index++) latency.record(us * 1000);
  const values = {
    elapsedSeconds: 0.2,
    requests: 10_000,
    requestsPerSecond: requestsPerSecond / factor,
    errors: 0,
    ...(cpuUs === 0 ? {} : { cpuUs: cpuUs * 10_000 * factor }),
  };
  if (point === 'saturation') return { ...base, values };
  return { ...base, values, histograms: { latency: latency.toSparse() } };
}

/** The verdict on a made-up target, and why it is open. */
export function judged(
  figure: Figure,
  more: Partial<Target> = {},
): readonly (string | undefined)[] {
  const about = { id: 'x', scenario: 'hop', what: 'dead', limit: 1, unit: 'x', digits: 2 };
  const target: Target = { ...about, ...more, measure: () => figure };
  const summaries = new Map([['hop', new Summary(makeResult())]]);
  const { verdict, openBecause } = judgeTargets(summaries, [target])[0]!;
  return [verdict, openBecause];
}
