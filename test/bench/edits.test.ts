/**
 * Edits under load: what is counted as failed, what is compared with what, and the split by weight.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Summary } from '../../bench/result/summary.ts';
import { judgeTargets, targets } from '../../bench/result/targets.ts';
import { editsFailed, parsedToEffectMs, reportEdits } from '../../bench/scenarios/edits-report.ts';
import { compareToWeights, countSubsets } from '../../bench/scenarios/subset-counts.ts';
import { histogramsOf, latencyRow, resultOf } from './scenario-case.ts';

const rounds = [0, 1, 2];

function summaryOf(failed: number, lostEdits: number): Summary {
  const rows = rounds.flatMap((round) => {
    const edited = { edits: 20, applied: 20, lostEdits: round === 0 ? lostEdits : 0 };
    const each = latencyRow('edits', 'each', round, 250, {
      ...edited,
      errors: round === 1 ? failed : 0,
    });
    const faults = round === 1 && failed > 0 ? ['wrong answers: 1 cut'] : [];
    const times = histogramsOf({ latency: 250, parsed: 4000, effect: 90_000 });
    return [
      latencyRow('edits', 'none', round, 200),
      { ...each, faults, histograms: times },
      latencyRow('edits', 'storm', round, 300, { edits: 1000, applied: 40, lostEdits: 0 }),
    ];
  });
  return new Summary(resultOf('edits', ['edits'], rows));
}

test('no request and no edit lost is zero failed', () => {
  const figure = editsFailed(summaryOf(0, 0));
  assert.ok(figure.state === 'measured' && figure.spread.high === 0);
});

test('a failed request counts although its row is dropped, and so does a lost edit', () => {
  const figure = editsFailed(summaryOf(2, 1));
  assert.ok(figure.state === 'measured' && figure.spread.median === 3);
});

test('nothing failed is a verdict only after a thousand configurations that were applied', () => {
  const target = targets.find(({ id }) => id === 'edits-failed')!;
  const judged = (applied: number) => {
    const { result } = summaryOf(0, 0);
    const rows = result.rows.map((row) =>
      row.point === 'none' ? row : { ...row, values: { ...row.values, applied } },
    );
    const summaries = new Map([['edits', new Summary({ ...result, rows })]]);
    const { verdict, openBecause } = judgeTargets(summaries, [target])[0]!;
    return [verdict, openBecause];
  };
  // Six rows of edits; a storm writes a thousand in each of its three.
  assert.deepEqual(judged(100), ['open', '600 of 1000 configurations were applied']);
  assert.deepEqual(judged(200), ['met', undefined]);
});

test('a row without an answer proves nothing', () => {
  const summary = summaryOf(0, 0);
  const rows = summary.result.rows.map((row) =>
    row.point === 'storm' && row.round === 2 ? { ...row, faults: ['failed: x'], values: {} } : row,
  );
  assert.equal(editsFailed(new Summary({ ...summary.result, rows })).state, 'unproven');
});

test('times of effect are read in milliseconds', () => {
  const figure = parsedToEffectMs(summaryOf(0, 0));
  assert.ok(figure.state === 'measured' && Math.abs(figure.spread.median - 4) < 0.05);
});

test('the report sets each point against the same load without edits', () => {
  const { tables, text } = reportEdits(summaryOf(0, 0));
  assert.match(text[0]!, /^3060 edits written, 180 configurations applied; /);
  const [none, each, storm] = tables[0]!.rows;
  assert.equal(none![8], '-');
  assert.match(each![8]!, /^50 \[50\.\.50\]$/);
  assert.match(storm![8]!, /^(99|100|101) /);
});

test('requests are counted by subset, and an exact split has no error', () => {
  const page = [
    '# TYPE tracecar_requests_total counter',
    'tracecar_requests_total{route="a",cluster="c",subset="v1",status="200"} 60',
    'tracecar_requests_total{route="b",cluster="c",subset="v1",status="404"} 600',
    'tracecar_requests_total{route="b",cluster="c",subset="v2",status="200"} 440',
    'tracecar_request_failures_total{subset="v2"} 5',
  ].join('\n');
  const counts = countSubsets(page);
  assert.deepEqual(counts, { v1: 660, v2: 440 });
  const exact = compareToWeights({ v1: 0, v2: 0 }, counts);
  assert.ok(exact.weightErrorPercent! < 1e-9 && exact.weightChiSquare! < 1e-9);
  const swapped = compareToWeights({ v1: 0, v2: 0 }, { v1: 400, v2: 600 });
  assert.ok(Math.abs(swapped.weightErrorPercent! - 20) < 1e-9 && swapped.weightChiSquare! > 3.84);
});
