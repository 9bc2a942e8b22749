/**
 * Flows beside neighbours and churn: a difference is one only outside of what two calm flows differ by.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Summary } from '../../bench/result/summary.ts';
import { badNeighbours } from '../../bench/scenarios/bad-neighbours.ts';
import { badKinds, reportBadNeighbours } from '../../bench/scenarios/bad-neighbours-report.ts';
import { CalmPoint, calmVerdict } from '../../bench/scenarios/disturbed.ts';
import { idleConnections, manyConnections } from '../../bench/scenarios/many-connections.ts';
import { ManyPoint, reportManyConnections } from '../../bench/scenarios/many-connections-report.ts';
import { latencyRow, resultOf } from './scenario-case.ts';

const rounds = [0, 1, 2];

/** Rounds of one arm whose calm flow has 100 us; `again` and `beside` are those of the other two. */
function flowsOf(arm: string, point: string, again: readonly number[], beside: readonly number[]) {
  return rounds.flatMap((round) => [
    latencyRow(arm, CalmPoint.Calm, round, 100 * (round + 1)),
    latencyRow(arm, CalmPoint.Again, round, again[round]! * (round + 1)),
    latencyRow(arm, point, round, beside[round]! * (round + 1), { neighbourActs: 70 }),
  ]);
}

function verdictOf(again: readonly number[], beside: readonly number[]): string {
  const rows = flowsOf('tracecar', 'reset', again, beside);
  return calmVerdict(
    new Summary(resultOf('bad-neighbours', ['tracecar'], rows)),
    'tracecar',
    'reset',
  );
}

test('a neighbour is felt only outside of what two calm flows differ by', () => {
  assert.equal(verdictOf([99, 105, 110], [150, 160, 170]), 'higher');
  assert.equal(verdictOf([99, 105, 110], [101, 102, 103]), 'no difference');
  assert.equal(verdictOf([99, 105, 110], [105, 120, 130]), 'open');
  assert.match(verdictOf([50, 150, 200], [101, 102, 103]), /^open: the noise/);
});

test('without a second calm flow there is no verdict', () => {
  const rows = flowsOf('tracecar', 'reset', [100, 100, 100], [150, 150, 150]);
  const kept = rows.filter(({ point }) => point !== CalmPoint.Again);
  const summary = new Summary(resultOf('bad-neighbours', ['tracecar'], kept));
  assert.equal(calmVerdict(summary, 'tracecar', 'reset'), '-');
});

test('each neighbour has its row, with its multiple of the calm flow and what it did', () => {
  const rows = flowsOf('tracecar', 'reset', [100, 101, 102], [200, 200, 200]);
  const summary = new Summary(resultOf('bad-neighbours', ['tracecar'], rows));
  const [p99, times, acts] = reportBadNeighbours(summary).tables;
  assert.equal(times!.rows.length, badKinds.length);
  const place = badKinds.indexOf('reset');
  assert.match(times!.rows[place]![1]!, /^2\.00 \[/);
  assert.equal(times!.rows[place]![2], 'higher');
  assert.match(p99!.rows[place + 2]![1]!, /^\d+ \[/);
  assert.equal(acts!.rows[place]![1], '70 [70..70]');
  assert.equal(times!.rows[0]![1], '-');
});

test('bystanders of churn are told with the idle connections that were held beside them', () => {
  const held = rounds.slice(0, 1).map((round) => ({
    ...latencyRow('tracecar', ManyPoint.Held, round, 1),
    values: { errors: 0, idle: 8800, idleBytes: 3000 },
    histograms: {},
  }));
  const rows = [...held, ...flowsOf('tracecar', ManyPoint.Churn, [100, 101, 102], [100, 101, 102])];
  const result = resultOf('many-connections', ['tracecar'], rows);
  const cells = result.cells.map((cell) =>
    cell.point === ManyPoint.Held ? { ...cell, rounds: 1 } : cell,
  );
  const [table] = reportManyConnections(new Summary({ ...result, cells })).tables;
  const [, idle, bytes, , , , times, verdict] = table!.rows[0]!;
  assert.deepEqual([idle, bytes, verdict], ['8800', '3000', 'no difference']);
  assert.match(times!, /^1\.01 \[/);
});

test('as many idle connections as descriptors allow, and a sidecar has room for', () => {
  assert.equal(idleConnections(20_000), 8800);
  assert.equal(idleConnections(1_000_000), 8800);
  assert.equal(idleConnections(4096), 1802);
});

test('direct is measured beside each neighbour and churn: what they cost the load shows there', () => {
  for (const scenario of [badNeighbours, manyConnections]) {
    for (const scale of ['quick', 'full', 'publish'] as const) {
      const cells = scenario.cells(scale);
      const points = (arm: string) =>
        new Set(cells.filter((cell) => cell.arm === arm).map(({ point }) => point));
      const missing = points('tracecar').difference(points('direct'));
      missing.delete(CalmPoint.Again);
      assert.deepEqual([...missing], [], scenario.name);
    }
  }
});
