/**
 * Medians and their bootstrap intervals: what every figure of the bench is said with.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intervalOf, median, medianInterval, spreadOf } from '../../bench/result/statistics.ts';
import { randomBelow, seededRandom } from '../../src/base/random.ts';

test('the median of an odd count is the middle value, whatever the order', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([7]), 7);
});

test('the median of an even count is the mean of the two middle values', () => {
  assert.equal(median([1, 10, 2, 4]), 3);
});

test('no values have no median', () => {
  assert.throws(() => median([]), RangeError);
});

test('the median leaves its argument alone', () => {
  const values = [3, 1, 2];
  median(values);
  assert.deepEqual(values, [3, 1, 2]);
});

test('the same rounds give the same interval, and it holds the median', () => {
  const values = [10.1, 9.8, 10.4, 12.9, 10.0, 9.9, 10.2];
  const first = medianInterval(values);
  assert.deepEqual(medianInterval(values), first);
  assert.ok(first[0] <= median(values) && median(values) <= first[1]);
  assert.ok(first[0] >= 9.8 && first[1] <= 12.9);
});

test('rounds that agree give a narrower interval than rounds that do not', () => {
  const width = ([from, to]: readonly [number, number]) => to - from;
  const calm = medianInterval([10, 10.1, 9.9, 10, 10.1, 9.9, 10]);
  const wild = medianInterval([10, 14, 6, 12, 8, 15, 5]);
  assert.ok(width(calm) < width(wild) / 5);
});

test('a spread tells the extremes and the number of rounds', () => {
  const { median: middle, least, most, low, high, rounds } = spreadOf([4, 2, 8]);
  assert.deepEqual([middle, least, most, rounds], [4, 2, 8, 3]);
  assert.ok(least <= low && low <= middle && middle <= high && high <= most);
});

test('of few rounds the interval is their range, and covers what that covers', () => {
  const known = [
    [1, true, 0],
    [2, true, 1 / 2],
    [3, true, 3 / 4],
    [5, true, 15 / 16],
    [7, false, 7 / 8],
  ] as const;
  for (const [rounds, isRange, coverage] of known) {
    assert.deepEqual(intervalOf(rounds), { isRange, coverage }, `${rounds} rounds`);
  }
  const { isRange, coverage } = intervalOf(21);
  assert.ok(!isRange && coverage > 0.9 && coverage < 0.97, `${coverage}`);
});

test('the stated coverage is what intervals of made-up rounds have', () => {
  const random = seededRandom(7);
  for (const rounds of [3, 5, 7]) {
    const runs = 1500;
    let held = 0;
    for (let run = 0; run < runs; run++) {
      // Skewed, with its median at 0.25.
      const values = Array.from(
        { length: rounds },
        () => (randomBelow(random, 1 << 20) / (1 << 20)) ** 2,
      );
      const [low, high] = medianInterval(values);
      if (low <= 0.25 && 0.25 <= high) held++;
    }
    const { coverage } = intervalOf(rounds);
    assert.ok(
      Math.abs(held / runs - coverage) < 0.04,
      `${rounds}: ${held / runs}, not ${coverage}`,
    );
  }
});
