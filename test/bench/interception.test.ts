/**
 * One captured connection: what its report and its targets say of small made-up results, and what a
 * machine without network namespaces gets.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { notesOf } from '../../bench/draw/about.ts';
import { targetRows } from '../../bench/draw/targets-table.ts';
import { captureTargets } from '../../bench/result/capture-targets.ts';
import type { Row } from '../../bench/result/row.ts';
import { Summary } from '../../bench/result/summary.ts';
import { judgeTargets, type TargetOutcome } from '../../bench/result/targets.ts';
import { describeArms } from '../../bench/rounds/rounds.ts';
import { interception, lacksPods } from '../../bench/scenarios/interception.ts';
import {
  InterceptionPoint,
  reportInterception,
} from '../../bench/scenarios/interception-report.ts';
import { latencyRow, resultOf } from './scenario-case.ts';

const { FirstByte, Stream, Idle, Lookup } = InterceptionPoint;
const names = ['direct', 'tracecar', 'haproxy'];
const rounds = [0, 1, 2];

function valueRow(
  arm: string,
  point: string,
  round: number,
  values: Readonly<Record<string, number>>,
): Row {
  return { round, place: 0, arm, point, faults: [], values: { errors: 0, ...values } };
}

const streamed = (arm: string, round: number, streamUs: number, loadCoreBusy = 0.5) =>
  valueRow(arm, Stream, round, { bytes: 1e9, streamUs, cpuUs: streamUs / 2, loadCoreBusy });

function outcomeOf(id: string, rows: readonly Row[]): TargetOutcome {
  const summary = new Summary(resultOf('interception', names, rows));
  const list = captureTargets.filter((target) => target.id === id);
  return judgeTargets(new Map([['interception', summary]]), list)[0]!;
}

test('what a captured connection adds is over direct in the same round, judged in us', () => {
  const rows = rounds.flatMap((round) => [
    latencyRow('direct', FirstByte, round, 100 * (round + 1)),
    latencyRow('tracecar', FirstByte, round, 100 * (round + 1) + 40),
  ]);
  const outcome = outcomeOf('capture-first-byte', rows);
  assert.equal(outcome.verdict, 'met');
  assert.equal(targetRows([outcome])[1]![1], '<= 60 us');
  const slow = rows.map((row) =>
    row.arm === 'tracecar' ? latencyRow('tracecar', FirstByte, row.round, 1000) : row,
  );
  assert.equal(outcomeOf('capture-first-byte', slow).verdict, 'missed');
});

test('throughput must be at least its share of HAProxy in every round of the interval', () => {
  const rows = (us: readonly number[]) =>
    rounds.flatMap((round) => [
      streamed('tracecar', round, us[round]!),
      streamed('haproxy', round, 1000),
    ]);
  const met = outcomeOf('capture-throughput', rows([1250, 1000, 900]));
  assert.equal(met.verdict, 'met');
  assert.equal(targetRows([met])[1]![1], '>= 0.8 x HAProxy, TCP mode');
  assert.equal(outcomeOf('capture-throughput', rows([1300, 1000, 900])).verdict, 'open');
  assert.equal(outcomeOf('capture-throughput', rows([1300, 1400, 1500])).verdict, 'missed');
});

test('a full core of the load flatters the ratio of throughputs, which then meets nothing', () => {
  const rows = rounds.flatMap((round) => [
    streamed('tracecar', round, 1000),
    streamed('haproxy', round, 1000, 1),
  ]);
  const { verdict, openBecause } = outcomeOf('capture-throughput', rows);
  assert.deepEqual([verdict, openBecause?.startsWith("the load's core was full")], ['open', true]);
  // What is missed in spite of it is missed.
  const slow = rows.map((row) =>
    row.arm === 'tracecar' ? streamed('tracecar', row.round, 9e3) : row,
  );
  assert.equal(outcomeOf('capture-throughput', slow).verdict, 'missed');
});

test('memory is said for a socket, and the lookup with both of its parts', () => {
  const rows = rounds.flatMap((round) => [
    valueRow('tracecar', Idle, round, { socketBytes: 3000 }),
    valueRow('tracecar', Lookup, round, { askUs: 2.5, findUs: 0.1, lookupUs: 2.6 }),
  ]);
  assert.equal(outcomeOf('capture-idle-socket', rows).verdict, 'met');
  assert.equal(outcomeOf('capture-lookup', rows).verdict, 'met');
  const { tables } = reportInterception(new Summary(resultOf('interception', names, rows)));
  const measured = tables.at(-1)!.rows.map(([, figure]) => figure);
  assert.deepEqual(measured, [
    '3000 [3000..3000]',
    '2.50 [2.50..2.50]',
    '0.10 [0.10..0.10]',
    '2.60 [2.60..2.60]',
  ]);
});

test('without network namespaces every arm is named as missing, and nothing is left out in silence', () => {
  const lacking = {
    missing: 'no network namespaces: this user is not root',
    install: 'as root: x',
  };
  const arms = describeArms(interception.arms, 'nginx', lacking);
  assert.ok(arms.length > 3 && arms.every((arm) => arm.missing === lacking.missing));
  const result = { ...resultOf('interception', names, []), arms };
  const notes = notesOf(new Summary(result));
  assert.match(
    notes.join('\n'),
    /^Tracecar is missing: no network namespaces: .*; to have it: as root: x$/m,
  );
  // Each target is said to be not measured.
  const summaries = new Map([['interception', new Summary(result)]]);
  const verdicts = judgeTargets(summaries, captureTargets).map(({ verdict }) => verdict);
  assert.deepEqual(new Set(verdicts), new Set(['not measured']));
});

test('what is lacking for pods is a reason and a command, or nothing', () => {
  const lacking = lacksPods();
  if (lacking === undefined) return;
  assert.match(lacking.missing, /^no network namespaces: /);
  assert.match(lacking.install, /apt-get/);
});

test('the old command is the scenario under its name', () => {
  const program = join(import.meta.dirname, '../../bench/interception.ts');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  assert.match(run('--help').stdout, /^npm run bench \[-- OPTIONS\]/);
  // It is named already, so that one file can be asked for, which is refused here for what it is.
  const { status, stderr } = run('--json', import.meta.filename);
  assert.equal(status, 2);
  assert.match(stderr, /it is not overwritten/);
});
