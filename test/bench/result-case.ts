/**
 * A made-up result for tests of summaries and reports: complete, with figures that are easy to check.
 */

import { Histogram } from '../../bench/histogram.ts';
import {
  type LoadRow,
  legsOf,
  type Result,
  type ResultArm,
  type Row,
  resultSchema,
} from '../../bench/result.ts';

export const caseRounds = 3;

/** Per arm: CPU us a request, p50 us on one connection, p99 us on sixteen, requests/s. */
const caseFigures: Readonly<Record<string, readonly [number, number, number, number]>> = {
  direct: [0, 100, 300, 80_000],
  'direct-again': [0, 110, 320, 80_000],
  tracecar: [20, 185, 900, 50_000],
  envoy: [50, 265, 1800, 20_000],
  'http-proxy': [80, 305, 5000, 12_000],
};

/** Rounds differ by this factor, for all arms alike: a ratio within a round does not see it. */
const roundFactors = [1, 1.5, 0.9];

export function makeResult(change: Partial<Result> = {}): Result {
  const arms: ResultArm[] = Object.keys(caseFigures).map((name) => ({
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
  const present = arms.filter((arm) => arm.missing === undefined);
  return {
    schema: resultSchema,
    date: '2026-01-02T03:04:05.000Z',
    commit: 'abc1234',
    command: ['npm', 'run', 'bench'],
    options: { rounds: caseRounds, startRounds: 2, seconds: 0.5, tolerateNoise: false },
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
    rows: present.flatMap((arm) => rowsOf(arm.name)),
    spansCollected: 500,
    crossChecks: [],
    ...change,
  };
}

/** The result with one row changed: `find` picks it, `change` is laid over it. */
export function changeRow(
  result: Result,
  find: (row: Row) => boolean,
  change: Partial<LoadRow>,
): Result {
  const rows = result.rows.map((row) => (find(row) ? ({ ...row, ...change } as Row) : row));
  return { ...result, rows };
}

function rowsOf(arm: string): readonly Row[] {
  const rows: Row[] = [];
  for (let round = 0; round < caseRounds; round++) {
    for (const leg of legsOf(arm, round, 2)) rows.push(makeRow(arm, round, leg));
  }
  return rows;
}

function makeRow(arm: string, round: number, leg: Row['leg']): Row {
  const base = { round, place: 0, arm, faults: [] };
  if (leg === 'start') {
    return { ...base, leg, firstAnswerMs: 90 + round, rssKb: 65_536, anonymousKb: 20_000 };
  }
  const [cpuUs, p50Us, p99Us, requestsPerSecond] = caseFigures[arm]!;
  const factor = roundFactors[round]!;
  const latency = new Histogram();
  const us = (leg === 'single' ? p50Us : p99Us) * factor;
  for (let index = 0; index < 100; index++) latency.record(us * 1000);
  return {
    ...base,
    leg,
    elapsedSeconds: 1,
    requests: 10_000,
    requestsPerSecond: requestsPerSecond / factor,
    errors: 0,
    cpuUs: cpuUs * 10_000 * factor,
    proxyCoreBusy: 1,
    loadCoreBusy: 0.5,
    foreign: 0,
    stolen: 0,
    ...(leg === 'saturation' ? {} : { latency: latency.toSparse(), latenessP99Us: 90 }),
  };
}
