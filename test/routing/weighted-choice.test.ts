/** Laws of the weighted choice: exact in every window, spread evenly, bounded in time and memory. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seededRandom } from '../../src/base/random.ts';
import type { Rule } from '../../src/model/routing-table.ts';
import { nextWeighted, startWeights, weightsKey } from '../../src/routing/weighted-choice.ts';

const weightLists = fc
  .array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 6 })
  .filter((weights) => weights.some((weight) => weight > 0));

function divisorOf(weights: readonly number[]): number {
  for (let divisor = Math.max(...weights); divisor > 1; divisor--) {
    if (weights.every((weight) => weight % divisor === 0)) return divisor;
  }
  return 1;
}

function pick(weights: readonly number[], count: number, seed: number): number[] {
  const state = startWeights(weights, seededRandom(seed));
  return Array.from({ length: count }, () => nextWeighted(state));
}

test('every window of the divided sum has each backend exactly as often as its weight', () => {
  fc.assert(
    fc.property(weightLists, fc.nat(), (weights, seed) => {
      const divisor = divisorOf(weights);
      const window = weights.reduce((sum, weight) => sum + weight, 0) / divisor;
      const picks = pick(weights, 3 * window, seed);
      for (let start = 0; start <= 2 * window; start++) {
        const counts = weights.map(() => 0);
        for (const index of picks.slice(start, start + window)) counts[index]! += 1;
        assert.deepEqual(
          counts,
          weights.map((weight) => weight / divisor),
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('60 and 40 are exact over every five requests', () => {
  const picks = pick([60, 40], 1_000, 7);
  for (let start = 0; start + 5 <= picks.length; start++) {
    assert.equal(picks.slice(start, start + 5).filter((index) => index === 0).length, 3);
  }
});

test('picks are spread: two backends of equal weight take turns', () => {
  const picks = pick([5, 5], 20, 1);
  for (let index = 1; index < picks.length; index++) {
    assert.notEqual(picks[index], picks[index - 1]);
  }
});

test('many fresh counters share their first picks out by weight', () => {
  const random = seededRandom(3);
  let first = 0;
  for (let proxy = 0; proxy < 5_000; proxy++) {
    if (nextWeighted(startWeights([60, 40], random)) === 0) first += 1;
  }
  assert.ok(Math.abs(first / 5_000 - 0.6) < 0.03, `${first} of 5000 first picks went to 60`);
});

test('a weight of 0 gets nothing', () => {
  assert.ok(!pick([0, 3, 0, 2], 500, 5).some((index) => index === 0 || index === 2));
});

test('a single backend takes everything', () => {
  assert.deepEqual(pick([1], 3, 1), [0, 0, 0]);
});

test('no pick is possible when every weight is 0', () => {
  assert.deepEqual(pick([0, 0], 2, 1), [-1, -1]);
});

test('huge coprime weights start at once and keep their shares', () => {
  const weights = [2_147_483_647, 2_147_483_646, 1];
  const state = startWeights(weights, seededRandom(9));
  assert.equal(state.credits.length, 3);
  const counts = [0, 0, 0];
  for (let index = 0; index < 100_000; index++) counts[nextWeighted(state)]! += 1;
  assert.ok(Math.abs(counts[0]! - 50_000) <= 1, `${counts}`);
});

test('the key of a counter is the identity and the weights of its rule, nothing else', () => {
  const edits = { remove: [], set: [], add: [] };
  const backend = (cluster: string, weight: number) => ({
    cluster,
    weight,
    requestHeaders: edits,
    responseHeaders: edits,
  });
  const rule: Rule = {
    identity: 'default/reviews-route/http[0]',
    resource: '',
    route: '',
    index: 0,
    origin: '',
    matches: [],
    backends: [backend('v1', 60), backend('v2', 40)],
    timeoutMs: 1,
    requestHeaders: edits,
    responseHeaders: edits,
    broken: undefined,
  };
  const moved = {
    ...rule,
    origin: 'other.yaml:1:1',
    backends: [backend('v5', 60), backend('v6', 40)],
  };
  assert.equal(weightsKey(rule), weightsKey(moved));
  assert.notEqual(
    weightsKey(rule),
    weightsKey({ ...rule, backends: [backend('v1', 40), backend('v2', 60)] }),
  );
  assert.notEqual(
    weightsKey(rule),
    weightsKey({ ...rule, identity: 'default/reviews-route/http[1]' }),
  );
});
