import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type InterceptionArm,
  type InterceptionResult,
  type InterceptionRow,
  publishedInterception,
  readInterceptionResult,
  tableOf,
  verdictOf,
  withInterceptionSection,
} from '../../bench/interception-report.ts';
import { Histogram } from '../../bench/load/histogram.ts';
import { spreadOf } from '../../bench/result/statistics.ts';

const program = join(import.meta.dirname, '../../bench/interception.ts');
const quiet = { wallUs: 1e6, cpuUs: 1e5, stolenUs: 0, foreignUs: 0, loadBusy: 0.5 };

function timesOf(us: number): number[] {
  const histogram = new Histogram();
  histogram.record(us * 1000);
  return histogram.toSparse();
}

const called = (arm: InterceptionArm, round: number, us: number): InterceptionRow => ({
  ...quiet,
  ...{ arm, load: 'first byte', round, times: timesOf(us) },
});

const streamed = (arm: InterceptionArm, round: number, streamUs: number): InterceptionRow => ({
  ...quiet,
  ...{ arm, load: 'stream', round, bytes: 1e9, streamUs },
});

const rounds = [0, 1, 2];

function resultOf(rows: readonly InterceptionRow[]): InterceptionResult {
  return {
    schema: 'tracecar-interception-bench-1',
    date: '2026-11-26T02:00:00.000Z',
    commit: 'abc',
    options: { rounds: 3, idleRounds: 3 },
    machine: {
      ...{ cpu: 'a processor', cores: 2, memoryMb: 1, kernel: '6', node: '26', mitigations: {} },
      ...{ loadAverage: 0, idleBusy: 0 },
    },
    haproxy: '2.6',
    pinning: { proxy: 0, load: 1 },
    rows,
  };
}

function rowOf(rows: readonly InterceptionRow[], figure: string): string[] {
  return tableOf(resultOf(rows)).find(([name]) => name!.startsWith(figure))!;
}

test('what an arm adds is its percentile less that of direct in the same round', () => {
  const rows = rounds.flatMap((round) => [
    called('direct', round, 100 * (round + 1)),
    called('tracecar', round, 100 * (round + 1) + 40),
  ]);
  const [, limit, measured, verdict] = rowOf(rows, 'connect and first byte, added p50, Tracecar');
  assert.equal(limit, '<= 60 us');
  // A histogram's bucket is at most 0.4 % wide on either side.
  assert.ok(Math.abs(Number.parseInt(measured!, 10) - 40) <= 3, measured!);
  assert.equal(verdict, 'met');
});

test('a round with a disturbed row is dropped and counted, and two rounds prove nothing', () => {
  const rows = rounds.flatMap((round) => [
    called('direct', round, 100),
    { ...called('tracecar', round, 110), foreignUs: round === 1 ? 60_000 : 0 },
  ]);
  const [, , measured, verdict] = rowOf(rows, 'connect and first byte, added p50, Tracecar');
  assert.match(measured!, / \(1d\)$/);
  assert.equal(verdict, 'open');
});

test('memory is said for a socket, of which an intercepted connection has two', () => {
  const idle = { ...quiet, arm: 'tracecar', load: 'idle', connections: 1000 } as const;
  const rows = rounds.map((round) => ({ ...idle, round, privateBytes: 10_000_000 }));
  const [, , measured, verdict] = rowOf(rows, 'private memory');
  assert.equal(measured, '5000 [5000..5000] bytes');
  assert.equal(verdict, 'missed');
});

test('a full core of the load flatters the ratio of throughputs, which then meets nothing', () => {
  const rows = rounds.flatMap((round) => [
    streamed('tracecar', round, 1000),
    streamed('haproxy', round, 900),
  ]);
  assert.deepEqual(rowOf(rows, 'opaque throughput, Tracecar').slice(2), [
    '0.90 [0.90..0.90] x',
    'met',
  ]);
  const full = rows.map((row) => ({ ...row, cpuUs: 500, loadBusy: 1 }));
  const [name, , , verdict] = rowOf(full, 'opaque throughput, Tracecar');
  assert.match(name!, /the load's core was full/);
  assert.equal(verdict, 'open');
});

test('a verdict needs three rounds and the whole interval on one side', () => {
  const limit = { kind: '>=', value: 0.8 } as const;
  assert.equal(verdictOf(spreadOf([0.8, 0.9, 1]), limit), 'met');
  assert.equal(verdictOf(spreadOf([0.7, 0.9, 1]), limit), 'open');
  assert.equal(verdictOf(spreadOf([0.5, 0.6, 0.7]), limit), 'missed');
  assert.equal(verdictOf(spreadOf([1, 1]), limit), 'open');
  assert.equal(verdictOf(undefined, limit), 'open');
  assert.equal(verdictOf(spreadOf([1, 1, 1]), undefined), '-');
});

test("the README's table of interception is the published result's, and nobody's typing", () => {
  const text = readFileSync(join(import.meta.dirname, '../../bench/README.md'), 'utf8');
  const drawn = withInterceptionSection(text, readInterceptionResult(publishedInterception));
  assert.equal(text, drawn, 'run: node bench/interception.ts --readme');
});

test('a README without the marks of the drawn part is an error', () => {
  assert.throws(() => withInterceptionSection('# Bench\n', resultOf([])), /lost the/);
});

test('a wrong option is one line and status 2', () => {
  for (const wrong of ['--round', '--rounds=0', '--idle-rounds=9']) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, wrong], {
      encoding: 'utf8',
    });
    assert.deepEqual([status, stdout, stderr.trim().split('\n').length], [2, '', 1], stderr);
  }
});
