/**
 * The order of arms: a Latin square in which nobody is always first and nobody always follows another.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderCells, williamsSquare } from '../../bench/rounds/schedule.ts';

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

test('a round goes point by point, its arms in the order of the square', () => {
  const cells = ['low', 'high'].flatMap((point) => ['a', 'b'].map((arm) => ({ arm, point })));
  const names = (round: number) =>
    orderCells(cells, round).map(({ arm, point }) => `${point} ${arm}`);
  assert.deepEqual(names(0), ['low a', 'low b', 'high a', 'high b']);
  assert.deepEqual(names(1), ['low b', 'low a', 'high b', 'high a']);
  assert.deepEqual(names(2), names(0), 'more rounds than rows begin the square again');
});

test('a cell of the first rounds is left out of the others', () => {
  const cells = [
    { arm: 'a', point: 'start', rounds: 2 },
    { arm: 'a', point: 'load' },
  ];
  assert.equal(orderCells(cells, 1).length, 2);
  assert.deepEqual(orderCells(cells, 2), [cells[1]]);
});

test('a square of no arms is refused', () => {
  assert.throws(() => williamsSquare(0), RangeError);
});
