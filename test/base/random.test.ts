/**
 * The two sources of randomness: one repeatable, one not.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';

test('the same seed gives the same numbers, another seed others', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 10 }, () => random.u32());
  };
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
});

test('numbers are whole, in range, and use all 32 bits', () => {
  for (const random of [seededRandom(9), systemRandom]) {
    let seen = 0;
    for (let count = 0; count < 10_000; count++) {
      const value = random.u32();
      assert.ok(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff);
      seen |= value;
    }
    assert.equal(seen >>> 0, 0xffff_ffff);
  }
});

test('numbers below a bound are below it, and evenly spread', () => {
  for (const random of [seededRandom(9), systemRandom]) {
    const counts = [0, 0, 0, 0, 0, 0, 0];
    for (let count = 0; count < 7_000; count++) counts[randomBelow(random, 7)]!++;
    for (const count of counts) assert.ok(count > 850 && count < 1_150, `${counts}`);
    assert.equal(randomBelow(random, 1), 0);
  }
});
