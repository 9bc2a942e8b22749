/**
 * Verdicts: what a ratio or a difference may be said to be, beside the noise of two identical arms.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { targetRows } from '../../bench/draw/targets-table.ts';
import type { Row } from '../../bench/result/row.ts';
import { type Figure, read, Summary } from '../../bench/result/summary.ts';
import { judgeTargets, type TargetOutcome } from '../../bench/result/targets.ts';
import {
  bandAround,
  bandAroundZero,
  judgeDifference,
  judgeRatio,
  noiseTolerated,
  tooFewRounds,
  tooNoisy,
} from '../../bench/result/verdict.ts';
import { judged, makeResult, measured } from './result-case.ts';
import { histogramsOf } from './scenario-case.ts';

const cpu = read.cpuUsPerRequest;
const absent: Figure = { state: 'absent' };

test('no difference is said only of an interval wholly inside the band around 1', () => {
  const band = measured(0.97, 1.02);
  assert.equal(judgeRatio(measured(0.5, 0.9), band), 'lower');
  assert.equal(judgeRatio(measured(0.98, 1.03), band), 'no difference', 'up to 1 / 0.97');
  assert.equal(judgeRatio(measured(0.5, 0.98), band), 'open');
  assert.equal(judgeRatio(measured(1.02, 1.2), band), 'open');
  assert.equal(judgeRatio(measured(0.2, 5), band), 'open', 'a wide one proves nothing');
  assert.equal(judgeRatio(measured(1.04, 1.2), band), 'higher');
  assert.equal(judgeRatio(measured(0.97, 0.99), absent), 'lower');
  assert.equal(judgeRatio(measured(0.97, 1.01), absent), 'open');
  assert.equal(judgeRatio(absent, band), 'absent');
  assert.equal(judgeRatio({ state: 'unproven', dropped: 2, rounds: 3 }, band), 'unproven');
  const summary = new Summary(makeResult());
  assert.equal(summary.verdict('tracecar', 'envoy', 'saturation', cpu), 'lower');
  assert.equal(summary.verdict('tracecar-aa', 'tracecar', 'saturation', cpu), 'no difference');
});

test('a band wider than 25 % proves nothing of what is inside it, on either side', () => {
  assert.equal(judgeRatio(measured(0.99, 1.01), measured(0.9, 1.24)), 'no difference');
  for (const band of [measured(0.9, 1.26), measured(0.79, 1.01)]) {
    assert.equal(judgeRatio(measured(0.99, 1.01), band), tooNoisy);
    assert.equal(judgeRatio(measured(0.5, 0.99), band), tooNoisy);
    assert.equal(judgeRatio(measured(0.5, 0.6), band), 'lower', 'beyond even that noise');
    assert.equal(judgeRatio(measured(1.5, 1.6), band), 'higher');
  }
});

test('a band that reaches 0 is no band of ratios, and nothing is judged by it', () => {
  for (const low of [0, -2]) {
    assert.equal(bandAround(measured(low, 1.1)), undefined);
    assert.equal(judgeRatio(measured(1, 1.01), measured(low, 1.1)), 'open');
    assert.equal(judgeRatio(measured(0.1, 0.2), measured(low, 1.1)), 'open');
  }
  assert.deepEqual(bandAroundZero(measured(-2, 1.1)), { least: -2, most: 2 });
  assert.equal(bandAroundZero(absent), undefined);
});

test('a difference is judged in its own unit, against that of two identical arms', () => {
  const judge = (low: number, high: number, share = measured(0.95, 1.05)) =>
    judgeDifference(measured(low, high), measured(-4, 10), share);
  assert.equal(judge(-30, -11), 'lower');
  assert.equal(judge(-30, -9), 'open');
  assert.equal(judge(-9, 10), 'no difference');
  assert.equal(judge(11, 12), 'higher');
  assert.equal(judge(-9, 10, measured(0.95, 1.4)), tooNoisy);
  assert.equal(judge(-9, 10, absent), tooNoisy);
  assert.equal(judge(11, 12, measured(0.95, 1.4)), 'higher');
  assert.equal(judgeDifference(measured(-9, -8), absent, absent), 'open');
  assert.equal(judgeDifference(absent, absent, absent), 'absent');
});

/**
 * What the target added-p50-single says where the arms have these p50 of one connection, in us; `keeps`
 * says which arms there are, `change` is done to every row.
 */
function addedOutcome(
  us: Readonly<Record<string, number>>,
  keeps: (arm: string) => boolean = () => true,
  change: (row: Row) => Row = (row) => row,
): TargetOutcome {
  const whole = makeResult();
  const rowsKept = whole.rows.filter(({ arm }) => keeps(arm)).map(change);
  const base = { ...whole, rows: rowsKept, cells: whole.cells.filter(({ arm }) => keeps(arm)) };
  const rows = base.rows.map((row): Row => {
    const each = us[row.arm];
    return row.point !== 'single' || each === undefined
      ? row
      : { ...row, histograms: histogramsOf({ latency: each }) };
  });
  const outcomes = judgeTargets(new Map([['hop', new Summary({ ...base, rows })]]));
  return outcomes.find(({ target }) => target.id === 'added-p50-single')!;
}

test('an added latency is missed where the rival adds less than nothing and ours is huge', () => {
  const us = {
    ...{ direct: 100, 'direct-again': 102, envoy: 90 },
    ...{ tracecar: 900, 'tracecar-aa': 905 },
  };
  const outcome = addedOutcome(us);
  assert.equal(outcome.verdict, 'missed');
  const [what, limit, shown, verdict] = targetRows([outcome])[1]!;
  assert.deepEqual([what, limit], ['added p50, 1000/s on 1 connection', '<= 0.75 x Envoy']);
  // 799 us less 0.75 x -11 us.
  assert.match(shown!, /^-; ours - 0\.75 x theirs, us: 80\d \[80\d\.\.80\d\]; A\/A \+-[456]$/);
  assert.equal(verdict, 'missed');
});

test('an added latency is judged by the difference, and the multiple stands beside it', () => {
  const direct = { direct: 100, 'direct-again': 102 };
  const met = addedOutcome({ ...direct, tracecar: 151, 'tracecar-aa': 155, envoy: 201 });
  assert.equal(met.verdict, 'met');
  assert.match(
    targetRows([met])[1]![2]!,
    /^0\.50; ours - 0\.75 x theirs, us: -2[45] \[.*\]; A\/A \+-[345]$/,
  );
  const missed = { ...direct, tracecar: 190, 'tracecar-aa': 188, envoy: 201 };
  assert.equal(addedOutcome(missed).verdict, 'missed');
  // Ours adds less than the direct arms differ by, the rival too: its multiple is not printed.
  assert.equal(addedOutcome({ ...direct, tracecar: 101.2, envoy: 102 }).times, undefined);
  // Envoy and direct differ by round, so ours is above the limit in one of three.
  assert.equal(addedOutcome({ tracecar: 220 }).verdict, 'open');
});

test('an added latency is open while two identical Tracecars differ by as much', () => {
  const us = { direct: 100, 'direct-again': 102, tracecar: 151, envoy: 201 };
  const open = addedOutcome({ ...us, 'tracecar-aa': 180 });
  assert.equal(open.openBecause, 'two identical Tracecars differ by as much');
  assert.ok(open.bandUs! > 28 && open.bandUs! < 30, `${open.bandUs}`);
  const below = addedOutcome({ ...us, 'tracecar-aa': 122 });
  assert.equal(below.verdict, 'open', 'whichever of the two is above');
  const missed = addedOutcome({ ...us, tracecar: 190, 'tracecar-aa': 220 });
  assert.equal(missed.verdict, 'open', 'and that holds for a missed one');
});

test('without a second, identical Tracecar an added latency is open, and the row says so', () => {
  const us = { direct: 100, 'direct-again': 102, tracecar: 151, envoy: 201 };
  const outcome = addedOutcome(us, (arm) => arm !== 'tracecar-aa');
  assert.equal(outcome.openBecause, 'two identical Tracecars were not measured beside it');
  assert.match(targetRows([outcome])[1]![2]!, /; no A\/A$/);
});

test('what answered wrongly, or broke, in a single row meets no target, and the row says who', () => {
  const us = {
    ...{ direct: 100, 'direct-again': 102, envoy: 201 },
    ...{ tracecar: 151, 'tracecar-aa': 155 },
  };
  for (const fault of ['wrong answers: 1 body', 'failed: it ended']) {
    const wrong = (arm: string) => (row: Row) =>
      row.arm === arm && row.point === 'many' && row.round === 0
        ? { ...row, faults: [fault] }
        : row;
    const outcome = addedOutcome(us, undefined, wrong('tracecar'));
    assert.equal(outcome.openBecause, 'wrong answers or failures of tracecar');
    const rival = addedOutcome(us, undefined, wrong('envoy'));
    assert.equal(rival.openBecause, 'wrong answers or failures of envoy');
    assert.equal(
      addedOutcome(us, undefined, wrong('http-proxy')).verdict,
      'met',
      'it is not in it',
    );
  }
  const missed = { ...us, tracecar: 190, 'tracecar-aa': 188 };
  const wrong = (row: Row) =>
    row.round === 0 ? { ...row, faults: ['wrong answers: 1 cut'] } : row;
  const late = (row: Row) => (row.point === 'many' ? wrong(row) : row);
  assert.equal(addedOutcome(missed, undefined, late).verdict, 'missed', 'missed is missed');
});

test('neither one or two rounds nor a run that tolerated noise give a verdict', () => {
  const band = measured(0.97, 1.02);
  const rounds = (figure: Figure, count: number): Figure =>
    figure.state === 'measured'
      ? { ...figure, spread: { ...figure.spread, rounds: count } }
      : figure;
  for (const count of [1, 2]) {
    assert.equal(judgeRatio(rounds(measured(0.5, 0.6), count), band), tooFewRounds);
    assert.equal(judgeRatio(measured(0.5, 0.6), rounds(band, count)), tooFewRounds);
    const few = rounds(measured(-30, -20), count);
    assert.equal(judgeDifference(few, measured(-1, 1), band), tooFewRounds);
  }
  assert.equal(judgeRatio(rounds(measured(0.5, 0.6), 3), band), 'lower');
  const summary = (tolerateNoise: boolean) => new Summary(makeResult({ tolerateNoise }));
  const of = (each: Summary) => each.verdict('tracecar', 'envoy', 'saturation', cpu);
  assert.deepEqual([of(summary(false)), of(summary(true))], ['lower', noiseTolerated]);
});

test('a target with a multiple is judged by its difference, against 0 and not its limit', () => {
  const added = (low: number, high: number) =>
    judged(measured(low, high), { limit: 0.75, times: () => 0.5 })[0];
  assert.deepEqual([added(-1, 0), added(-1, 0.5), added(0.2, 0.5)], ['met', 'open', 'missed']);
});

test('a target with a band is met up to its end, missed above it, open in between', () => {
  const inBand = (figure: Figure, band: Figure) => judged(figure, { band: () => band });
  const inside = 'the limit is inside the interval';
  assert.deepEqual(inBand(measured(1.02, 1.03), measured(0.97, 1.03)), ['met', undefined]);
  assert.deepEqual(inBand(measured(1.02, 1.04), measured(0.97, 1.03)), ['open', inside]);
  assert.deepEqual(inBand(measured(0.4, 2.5), measured(0.97, 1.03)), ['open', inside]);
  assert.deepEqual(inBand(measured(1.02, 1.04), measured(0.999, 1.001)), ['missed', undefined]);
  const unknown = 'what two identical arms show was not proven';
  assert.deepEqual(inBand(measured(0.5, 0.6), { state: 'absent' }), ['open', unknown]);
  assert.deepEqual(inBand(measured(0.5, 0.6), measured(-0.1, 1.1)), ['open', unknown]);
  const noisy = 'the noise of this run is wider than 25 %';
  assert.deepEqual(inBand(measured(1.1, 1.2), measured(0.97, 1.3)), ['open', noisy]);
  assert.deepEqual(inBand(measured(0.5, 0.6), measured(0.97, 1.3)), ['open', noisy]);
  assert.deepEqual(inBand(measured(1.4, 1.6), measured(0.97, 1.3)), ['missed', undefined]);
});
