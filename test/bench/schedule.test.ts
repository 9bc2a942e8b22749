/**
 * The order of arms: a Latin square in which nobody is always first and nobody always follows another.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planRounds, williamsSquare } from '../../bench/schedule.ts';

const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12];

test('every row has every arm once', () => {
  for (const arms of sizes) {
    const wanted = Array.from({ length: arms }, (_, arm) => arm);
    for (const row of williamsSquare(arms)) {
      assert.deepEqual(
        [...row].sort((left, right) => left - right),
        wanted,
      );
    }
  }
});

test('over the square every arm stands in every place equally often', () => {
  for (const arms of sizes) {
    const rows = williamsSquare(arms);
    for (let place = 0; place < arms; place++) {
      const counts = Array.from({ length: arms }, () => 0);
      for (const row of rows) counts[row[place]!]!++;
      assert.deepEqual(new Set(counts), new Set([rows.length / arms]));
    }
  }
});

test('over the square every arm follows every other equally often', () => {
  for (const arms of sizes.filter((each) => each > 1)) {
    const follows = new Map<string, number>();
    for (const row of williamsSquare(arms)) {
      for (let place = 1; place < arms; place++) {
        const pair = `${row[place - 1]} ${row[place]}`;
        follows.set(pair, (follows.get(pair) ?? 0) + 1);
      }
    }
    assert.equal(follows.size, arms * (arms - 1));
    assert.equal(new Set(follows.values()).size, 1, `${arms} arms`);
  }
});

test('more rounds than rows begin the square again', () => {
  const plan = planRounds(2, 5);
  assert.equal(plan.length, 5);
  assert.deepEqual(plan[4], plan[0]);
  assert.notDeepEqual(plan[1], plan[0]);
});

test('a square of no arms is refused', () => {
  assert.throws(() => williamsSquare(0), RangeError);
});
