/**
 * Start, drain and memory: what their reports read from rows.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Summary } from '../../bench/result/summary.ts';
import { reportMemory } from '../../bench/scenarios/memory-report.ts';
import {
  firstOverSteady,
  lostInDrain,
  reportStartDrain,
} from '../../bench/scenarios/start-drain-report.ts';
import { histogramsOf, latencyRow, resultOf } from './scenario-case.ts';

function drainSummary(errors: number, loadAfterSignalMs: number): Summary {
  const rows = [0, 1, 2].flatMap((round) => [
    { ...latencyRow('tracecar', 'start', round, 0, { firstAnswerMs: 100 }), histograms: {} },
    {
      ...latencyRow('tracecar', 'fresh', round, 300),
      histograms: histogramsOf({ latency: 300, steady: 200 }),
    },
    latencyRow('tracecar', 'drain', round, 200, {
      errors: round === 2 ? errors : 0,
      drainMs: 5100,
      loadAfterSignalMs: round === 2 ? loadAfterSignalMs : 3000,
    }),
  ]);
  return new Summary(resultOf('start-drain', ['tracecar'], rows));
}

test('the first requests are held against the last of the same copy', () => {
  const row = drainSummary(0, 3000).result.rows.find(({ point }) => point === 'fresh')!;
  assert.ok(Math.abs(firstOverSteady(row)! - 1.5) < 0.01);
});

test('lost requests of all drains add up', () => {
  const figure = lostInDrain(drainSummary(2, 3000));
  assert.ok(figure.state === 'measured' && figure.spread.median === 2);
});

test('a load that outlasted the listening time proves nothing', () => {
  assert.equal(lostInDrain(drainSummary(2, 5200)).state, 'unproven');
});

test('every figure of start and drain is in its table', () => {
  const [start, drain] = reportStartDrain(drainSummary(0, 3000)).tables;
  assert.match(start!.rows[0]!.join(' '), /^tracecar 100 .* 1\.50 /);
  assert.deepEqual(drain!.rows[0]!.slice(2, 4), ['0 [0..0]', '5100 [5100..5100]']);
});

test('memory has a row for each arm and two series in its plot', () => {
  const values = { rssKb: 81_920, privateKb: 40_960, pssKb: 50_000 };
  const rows = [0, 1, 2].flatMap((round) => [
    latencyRow('tracecar', 'load', round, 200, values),
    latencyRow('tracecar', 'idle', round, 200, { ...values, idlePrivateBytes: 3000 }),
  ]);
  const { tables, plots } = reportMemory(new Summary(resultOf('memory', ['tracecar'], rows)));
  assert.match(tables[0]!.rows[0]!.join(' '), /83\.9 .* 41\.9 .* 3000 /);
  assert.deepEqual(
    plots[0]!.series.map(({ points }) => points[0]!.y),
    [83.88608, 41.94304],
  );
});
