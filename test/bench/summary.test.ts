/**
 * From rows to figures: ratios within a round, dropped rows counted, and no number from too few.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countVerdicts, reasonLines, targetRows } from '../../bench/draw/targets-table.ts';
import type { Result, Row } from '../../bench/result/row.ts';
import { type Figure, isWrong, read, Summary } from '../../bench/result/summary.ts';
import type { Target } from '../../bench/result/target.ts';
import { judgeTargets, targets } from '../../bench/result/targets.ts';
import { changeRow, judged, makeResult, measured } from './result-case.ts';

const cpu = read.cpuUsPerRequest;

function medianOf(figure: Figure): number {
  assert.equal(figure.state, 'measured');
  return figure.state === 'measured' ? figure.spread.median : Number.NaN;
}

function isClose(value: number, wanted: number): void {
  assert.ok(Math.abs(value - wanted) <= Math.abs(wanted) * 0.02, `${value}, not ${wanted}`);
}

test('a figure is the median over rounds', () => {
  const summary = new Summary(makeResult());
  isClose(medianOf(summary.figure('tracecar', 'saturation', cpu)), 20);
  isClose(medianOf(summary.figure('tracecar', 'many', read.p99Us)), 900);
  isClose(medianOf(summary.figure('tracecar', 'start', read.startMs)), 90.5);
  isClose(medianOf(summary.figure('tracecar', 'saturation', read.coreShare)), 1);
});

test('a ratio does not see what made a round slow', () => {
  const ratio = new Summary(makeResult()).ratio('tracecar', 'envoy', 'saturation', cpu);
  assert.ok(ratio.state === 'measured');
  isClose(ratio.spread.least, 0.4);
  isClose(ratio.spread.most, 0.4);
});

test('a difference is taken inside a round', () => {
  const figure = new Summary(makeResult()).difference('envoy', 'tracecar', 'saturation', cpu);
  assert.ok(figure.state === 'measured');
  isClose(figure.spread.least, 27);
  isClose(figure.spread.median, 30);
});

test('two points of one arm are compared inside a round', () => {
  const ratio = new Summary(makeResult()).pointRatio('tracecar', 'many', 'single', read.p99Us);
  isClose(medianOf(ratio), 900 / 185);
});

test('added latency is over the mean of the two direct arms of the same round', () => {
  const summary = new Summary(makeResult());
  isClose(medianOf(summary.added('tracecar', 'single', 0.5)), 80);
  isClose(summary.addedTimes('tracecar', 'envoy', 'single', 0.5)!, 0.5);
  isClose(medianOf(summary.addedOver('tracecar', 'envoy', 'single', 0.5, 0.75)), 80 - 0.75 * 160);
  const noise = medianOf(summary.directNoise('single', 0.5));
  assert.ok(noise > 9 && noise < 11, `two direct arms 10 us apart: ${noise}`);
  assert.equal(summary.added('direct', 'single', 0.5).state, 'absent');
  assert.equal(summary.added('tracecar', 'saturation', 0.5).state, 'absent');
});

test('rounds are merged into one histogram, never their percentiles', () => {
  isClose(new Summary(makeResult()).merged('tracecar', 'single', 0.99), 185 * 1.5);
  const onlyLast = changeRow(makeResult(), (row) => row.round < 2, { faults: ['stolen: 9 %'] });
  isClose(new Summary(onlyLast).merged('tracecar', 'single', 0.99), 185 * 0.9);
});

test('a megabyte is 10^6 bytes, a MiB 2^20', () => {
  const summary = new Summary(makeResult());
  assert.equal(medianOf(summary.figure('tracecar', 'start', read.rssMb)), 67.108864);
  const row = { values: { privateKb: 2048 } } as unknown as Row;
  assert.deepEqual([read.privateMb(row), read.privateMib(row)], [2.097152, 2]);
});

test('a row with a fault is dropped and counted', () => {
  const result = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation' && row.round === 1,
    { faults: ["others on the proxy's core: 60.0 %"], values: { cpuUs: 9e9 } },
  );
  const figure = new Summary(result).figure('tracecar', 'saturation', cpu);
  assert.deepEqual(figure, { state: 'unproven', dropped: 1, rounds: 3 });
  const { rows, kinds } = new Summary(result).faults();
  assert.equal(rows, 1);
  assert.deepEqual([...kinds], [["others on the proxy's core", 1]]);
});

test('a disturbed load spoils latencies and rates, and leaves what the proxy used', () => {
  const late = changeRow(makeResult(), (row) => row.arm === 'tracecar', {
    faults: [
      'generator late, p99: 300 us',
      'load core busy: 90.0 %',
      "time stolen from the load's core: 5.0 %",
      "others on the load's core: 8.0 %",
    ],
  });
  const summary = new Summary(late);
  isClose(medianOf(summary.figure('tracecar', 'saturation', cpu)), 20);
  const requests = summary.figure('tracecar', 'saturation', read.requestsPerSecond);
  assert.equal(requests.state, 'unproven', 'how many there were is what the load made of it');
  assert.equal(summary.figure('tracecar', 'many', read.p99Us).state, 'unproven');
  assert.ok(Number.isNaN(summary.merged('tracecar', 'single', 0.99)));
});

test('one dropped round of four leaves a figure that says so', () => {
  const base = makeResult();
  const fourth = base.rows
    .filter((row) => row.round === 2)
    .map((row) => ({ ...row, round: 3, faults: row.arm === 'envoy' ? ['stolen: 9 %'] : [] }));
  const summary = new Summary({ ...base, rounds: 4, rows: [...base.rows, ...fourth] });
  const figure = summary.figure('envoy', 'saturation', cpu);
  assert.ok(figure.state === 'measured');
  assert.deepEqual([figure.dropped, figure.rounds, figure.spread.rounds], [1, 4, 3]);
  const ratio = summary.ratio('tracecar', 'envoy', 'saturation', cpu);
  assert.ok(ratio.state === 'measured' && ratio.dropped === 1);
});

test('an arm that failed in every round is unproven, not absent', () => {
  const base = makeResult();
  const rows = base.rows.map((row) =>
    row.arm === 'envoy' ? { ...row, faults: ['failed: it ended'], values: {} } : row,
  );
  const failed: Result = { ...base, rows, tolerateNoise: true };
  const unproven = { state: 'unproven', dropped: 3, rounds: 3 };
  assert.deepEqual(new Summary(failed).figure('envoy', 'saturation', cpu), unproven);
});

test('tolerated noise keeps noisy rows, but never wrong answers', () => {
  const noisy = changeRow(makeResult({ tolerateNoise: true }), () => true, {
    faults: ['noise: 1 %'],
  });
  isClose(medianOf(new Summary(noisy).figure('tracecar', 'saturation', cpu)), 20);
  const wrong = changeRow(noisy, (row) => row.point === 'saturation', { values: { errors: 3 } });
  assert.equal(new Summary(wrong).figure('tracecar', 'saturation', cpu).state, 'unproven');
});

test('a row is wrong by its answers or its failure, and never by noise', () => {
  const row = makeResult().rows[0]!;
  assert.ok(isWrong({ ...row, values: { errors: 1 } }));
  for (const fault of ['wrong answers: 3 body', 'failed: it ended']) {
    assert.ok(isWrong({ ...row, faults: [fault] }), fault);
  }
  const noise = ["others on the proxy's core: 9.0 %", 'generator late, p99: 300 us'];
  assert.ok(!isWrong({ ...row, faults: noise }));
});

test('a figure tells whose rows it rests on', () => {
  const summary = new Summary(makeResult());
  const ratio = summary.reading((each) => each.ratio('tracecar', 'envoy', 'saturation', cpu));
  assert.deepEqual([...ratio.arms].sort(), ['envoy', 'tracecar']);
  const added = summary.reading((each) => each.added('tracecar', 'single', 0.5));
  assert.deepEqual([...added.arms].sort(), ['direct', 'direct-again', 'tracecar']);
});

test('direct has no CPU time of a proxy, and a missing arm has no figures', () => {
  const summary = new Summary(makeResult());
  assert.equal(summary.figure('direct', 'single', cpu).state, 'absent');
  assert.equal(summary.figure('haproxy', 'saturation', cpu).state, 'absent');
  assert.equal(summary.ratio('tracecar', 'haproxy', 'saturation', cpu).state, 'absent');
});

test('the band is what two identical arms differ by', () => {
  isClose(medianOf(new Summary(makeResult()).band('saturation', cpu)), 1.02);
});

test('a target is met, missed, or open where nothing was proven', () => {
  const verdicts = (result: Result) =>
    judgeTargets(new Map([['hop', new Summary(result)]])).map(({ target, verdict }) => [
      `${target.what} ${target.unit}`,
      verdict,
    ]);
  assert.deepEqual(verdicts(makeResult()).slice(0, 6), [
    ['CPU per request, one plain hop x Envoy', 'met'],
    ['for comparison: the same, Envoy with every statistic rejected x that Envoy', 'no target'],
    ['CPU per request, one plain hop x HAProxy', 'not measured'],
    ['CPU per request, 100 % of spans exported x Envoy with its tracer', 'not measured'],
    ['added p50, 1000/s on 1 connection x Envoy', 'met'],
    ['added p99, 1000/s on 1 connection x Envoy', 'met'],
  ]);
  assert.equal(verdicts(makeResult({ tolerateNoise: true }))[0]![1], 'open');
  const slow = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation',
    { values: { cpuUs: 500_000 } },
  );
  assert.equal(verdicts(slow)[0]![1], 'missed');
});

test('fewer than three rounds give no verdict, but a sum over the run does', () => {
  const figure = measured(0.5, 0.6);
  assert.ok(figure.state === 'measured');
  const of = (rounds: number): Figure => ({ ...figure, spread: { ...figure.spread, rounds } });
  assert.deepEqual(judged(of(3)), ['met', undefined]);
  assert.deepEqual(judged(of(2)), ['open', '2 of the 3 rounds that a verdict needs']);
  assert.deepEqual(judged(of(1), { isTotal: true }), ['met', undefined]);
});

test('a count has the range of its rounds, and too many dropped rounds are said', () => {
  const figure = new Summary(makeResult()).count('envoy', 'saturation', cpu);
  assert.ok(figure.state === 'measured');
  const { low, high, least, most } = figure.spread;
  assert.deepEqual([low, high], [least, most]);
  assert.equal(new Summary(makeResult()).count('haproxy', 'saturation', cpu).state, 'absent');
  const dropped: Figure = { state: 'unproven', dropped: 2, rounds: 5 };
  assert.deepEqual(judged(dropped), ['open', '2 of 5 rounds had to be dropped']);
});

test('a row for comparison has its figure, no limit and no verdict, and is not counted', () => {
  const about = { id: 'x', scenario: 'hop', what: 'beside', limit: 1, unit: 'x', digits: 2 };
  const beside: Target = { ...about, isInformation: true, measure: () => measured(2, 3) };
  const met: Target = { ...about, what: 'asked', measure: () => measured(0.5, 0.6) };
  const summaries = new Map([['hop', new Summary(makeResult())]]);
  const outcomes = judgeTargets(summaries, [met, beside]);
  assert.deepEqual(targetRows(outcomes)[2], ['beside', '- (x)', '2.50 [2.00..3.00]', 'no target']);
  assert.equal(countVerdicts(outcomes), '1 of 1 targets met.');
  assert.deepEqual(reasonLines(outcomes), []);
  assert.equal(judgeTargets(new Map(), [beside])[0]!.verdict, 'no target');
});

test('every target has an id of its own', () => {
  const ids = targets.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test('a scenario without a result is not measured', () => {
  const target = { scenario: 'edits', limit: 1 } as Target;
  const [outcome] = judgeTargets(new Map(), [target]);
  assert.equal(outcome!.verdict, 'not measured');
});
