/**
 * Verdicts: what a ratio or a difference may be said to be, beside the noise of two identical arms.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { targetRows } from '../../bench/draw/targets-table.ts';
import type { Row } from '../../bench/result/row.ts';
import { type Figure, read, Summary } from '../../bench/result/summary.ts';
import { judgeTargets, type Target, type TargetOutcome } from '../../bench/result/targets.ts';
import {
  bandAround,
  bandAroundZero,
  judgeDifference,
  judgeRatio,
  tooNoisy,
} from '../../bench/result/verdict.ts';
import { makeResult, measured } from './result-case.ts';
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

/** What the target added-p50-single says where the arms have these p50 of one connection, in us. */
function addedOutcome(us: Readonly<Record<string, number>>): TargetOutcome {
  const base = makeResult();
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
  const us = { direct: 100, 'direct-again': 102, tracecar: 900, envoy: 90 };
  const outcome = addedOutcome(us);
  assert.equal(outcome.verdict, 'missed');
  const [what, limit, shown, verdict] = targetRows([outcome])[1]!;
  assert.deepEqual([what, limit], ['added p50, 1000/s on 1 connection', '<= 0.75 x Envoy']);
  // 799 us less 0.75 x -11 us.
  assert.match(shown!, /^-; ours - 0\.75 x theirs, us: 80\d \[80\d\.\.80\d\]$/);
  assert.equal(verdict, 'missed');
});

test('an added latency is judged by the difference, and the multiple stands beside it', () => {
  const direct = { direct: 100, 'direct-again': 102 };
  const met = addedOutcome({ ...direct, tracecar: 151, envoy: 201 });
  assert.equal(met.verdict, 'met');
  assert.match(targetRows([met])[1]![2]!, /^0\.50; ours - 0\.75 x theirs, us: -2[45] \[/);
  assert.equal(addedOutcome({ ...direct, tracecar: 190, envoy: 201 }).verdict, 'missed');
  // Ours adds less than the direct arms differ by, the rival too: its multiple is not printed.
  assert.equal(addedOutcome({ ...direct, tracecar: 101.2, envoy: 102 }).times, undefined);
  // Envoy and direct differ by round, so ours is above the limit in one of three.
  assert.equal(addedOutcome({ tracecar: 220 }).verdict, 'open');
});

/** The verdict on a made-up target, and why it is open. */
function judged(figure: Figure, more: Partial<Target> = {}): readonly (string | undefined)[] {
  const about = { id: 'x', scenario: 'hop', what: 'dead', limit: 1, unit: 'x', digits: 2 };
  const target: Target = { ...about, ...more, measure: () => figure };
  const summaries = new Map([['hop', new Summary(makeResult())]]);
  const { verdict, openBecause } = judgeTargets(summaries, [target])[0]!;
  return [verdict, openBecause];
}

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
