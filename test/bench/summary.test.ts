/**
 * From rows to figures: ratios within a round, dropped rows counted, and no number from too few.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Figure, Summary } from '../../bench/summary.ts';
import { judgeTargets } from '../../bench/targets.ts';
import { changeRow, makeResult } from './result-case.ts';

function medianOf(figure: Figure): number {
  assert.equal(figure.state, 'measured');
  return figure.state === 'measured' ? figure.spread.median : Number.NaN;
}

function isClose(value: number, wanted: number): void {
  assert.ok(Math.abs(value - wanted) <= Math.abs(wanted) * 0.02, `${value}, not ${wanted}`);
}

test('a figure is the median over rounds', () => {
  const summary = new Summary(makeResult());
  isClose(medianOf(summary.figure('tracecar', 'cpuUs')), 20);
  isClose(medianOf(summary.figure('tracecar', 'p99Us')), 900);
  isClose(medianOf(summary.figure('tracecar', 'rssMb')), 64);
  isClose(medianOf(summary.figure('tracecar', 'startMs')), 90.5);
});

test('a ratio does not see what made a round slow', () => {
  const ratio = new Summary(makeResult()).ratio('tracecar', 'envoy', 'cpuUs');
  assert.ok(ratio.state === 'measured');
  isClose(ratio.spread.lowest, 0.4);
  isClose(ratio.spread.highest, 0.4);
});

test('added latency is over the mean of the two direct arms of the same round', () => {
  const summary = new Summary(makeResult());
  isClose(medianOf(summary.figure('tracecar', 'addedP50Us')), 80);
  isClose(medianOf(summary.ratio('tracecar', 'envoy', 'addedP50Us')), 0.5);
  const noise = medianOf(summary.noiseP50Us());
  assert.ok(noise > 9 && noise < 11, `two direct arms 10 us apart: ${noise}`);
});

test('a row with a fault is dropped and counted', () => {
  const result = changeRow(
    makeResult({ options: { rounds: 3, startRounds: 2, seconds: 0.5, tolerateNoise: false } }),
    (row) => row.arm === 'tracecar' && row.leg === 'saturation' && row.round === 1,
    { faults: ["others on the proxy's core: 60.0 %"], cpuUs: 9e9 },
  );
  const figure = new Summary(result).figure('tracecar', 'cpuUs');
  assert.deepEqual(figure, { state: 'unproven', dropped: 1, rounds: 3 });
  const { rows, kinds } = new Summary(result).faults();
  assert.equal(rows, 1);
  assert.deepEqual([...kinds], [["others on the proxy's core", 1]]);
});

test('one dropped round of four leaves a figure that says so', () => {
  const base = makeResult();
  const fourth = base.rows
    .filter((row) => row.round === 2)
    .map((row) => ({ ...row, round: 3, faults: row.arm === 'envoy' ? ['stolen: 9 %'] : [] }));
  const summary = new Summary({
    ...base,
    options: { ...base.options, rounds: 4 },
    rows: [...base.rows, ...fourth],
  });
  const figure = summary.figure('envoy', 'cpuUs');
  assert.ok(figure.state === 'measured');
  assert.deepEqual([figure.dropped, figure.spread.rounds], [1, 3]);
  const ratio = summary.ratio('tracecar', 'envoy', 'cpuUs');
  assert.ok(ratio.state === 'measured' && ratio.dropped === 1);
});

test('tolerated noise keeps noisy rows, but never wrong answers', () => {
  const options = { rounds: 3, startRounds: 2, seconds: 0.5, tolerateNoise: true };
  const noisy = changeRow(makeResult({ options }), () => true, { faults: ['noise: 1 %'] });
  isClose(medianOf(new Summary(noisy).figure('tracecar', 'cpuUs')), 20);
  const wrong = changeRow(noisy, (row) => row.leg === 'saturation', { errors: 3 });
  assert.equal(new Summary(wrong).figure('tracecar', 'cpuUs').state, 'unproven');
});

test('direct has no CPU time of a proxy, and a missing arm has no figures', () => {
  const summary = new Summary(makeResult());
  assert.equal(summary.figure('direct', 'cpuUs').state, 'absent');
  assert.equal(summary.figure('haproxy', 'cpuUs').state, 'absent');
  assert.equal(summary.ratio('tracecar', 'haproxy', 'cpuUs').state, 'absent');
});

test('a target is met, missed, or open where nothing was proven', () => {
  const verdicts = judgeTargets(new Summary(makeResult())).map(({ target, verdict }) => [
    `${target.figure} ${target.unit}`,
    verdict,
  ]);
  assert.deepEqual(Object.fromEntries(verdicts), {
    'cpuUs x Envoy': 'met',
    'cpuUs x HAProxy': 'open',
    'cpuUs x http-proxy': 'met',
    'requestsPerSecond x http-proxy': 'met',
    'requestsPerSecond x Envoy': 'met',
    'p99Us x Envoy': 'met',
    'rssMb MB': 'met',
    'startMs ms': 'met',
  });
  const options = { ...makeResult().options, tolerateNoise: true };
  const smoke = judgeTargets(new Summary(makeResult({ options })));
  assert.deepEqual(new Set(smoke.map((outcome) => outcome.verdict)), new Set(['open']));
  const slow = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.leg === 'saturation',
    { cpuUs: 500_000 },
  );
  assert.equal(judgeTargets(new Summary(slow))[0]!.verdict, 'missed');
});
