/**
 * The choice of an endpoint: a pure function of loads, a cursor and random numbers.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pickEndpoint, startPicking } from '../../src/balancing/pick-endpoint.ts';
import { seededRandom } from '../../src/base/random.ts';

const loads = (...inFlight: number[]) => inFlight.map((each) => ({ inFlight: each }));

test('of no endpoints none is picked, of one that one, even when it has just failed', () => {
  for (const policy of ['least-request', 'round-robin'] as const) {
    const random = seededRandom(1);
    assert.equal(pickEndpoint(policy, { cursor: 0 }, [], random, -1), -1);
    assert.equal(pickEndpoint(policy, { cursor: 0 }, loads(9), random, 0), 0);
  }
});

test('round robin goes through all endpoints in turn', () => {
  const state = { cursor: 0xffff_ffff };
  const random = seededRandom(1);
  const picks = Array.from({ length: 6 }, () =>
    pickEndpoint('round-robin', state, loads(0, 0, 0), random, -1),
  );
  assert.deepEqual([...picks].sort(), [0, 0, 1, 1, 2, 2]);
  assert.deepEqual(picks.slice(0, 3), picks.slice(3));
});

test('round robin begins at a random place', () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 50; seed++) {
    const state = startPicking(seededRandom(seed));
    firsts.add(pickEndpoint('round-robin', state, loads(0, 0, 0), seededRandom(0), -1));
  }
  assert.deepEqual([...firsts].sort(), [0, 1, 2]);
});

test('of two random choices the less loaded one is taken', () => {
  const random = seededRandom(3);
  const picks = [0, 0, 0];
  for (let index = 0; index < 3_000; index++) {
    picks[pickEndpoint('least-request', { cursor: 0 }, loads(5, 1, 9), random, -1)]!++;
  }
  // The busiest loses every pair it is in, the idlest wins its two of three.
  assert.equal(picks[2], 0);
  assert.ok(picks[1]! > 1_850 && picks[1]! < 2_150, `${picks}`);
});

test('equal loads are shared evenly', () => {
  const random = seededRandom(4);
  const picks = [0, 0, 0, 0];
  for (let index = 0; index < 8_000; index++) {
    picks[pickEndpoint('least-request', { cursor: 0 }, loads(2, 2, 2, 2), random, -1)]!++;
  }
  for (const count of picks) assert.ok(count > 1_800 && count < 2_200, `${picks}`);
});

test('an endpoint that has just failed is left out while there is another', () => {
  const random = seededRandom(5);
  for (const policy of ['least-request', 'round-robin'] as const) {
    const state = { cursor: 0 };
    for (let index = 0; index < 200; index++) {
      assert.notEqual(pickEndpoint(policy, state, loads(0, 9, 9), random, 0), 0);
      assert.equal(pickEndpoint(policy, state, loads(0, 9), random, 1), 0);
    }
  }
});
