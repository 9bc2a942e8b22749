/**
 * The retry budget as numbers: time is an argument.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RetryBudget } from '../../src/policy/retry-budget.ts';

function takeAll(budget: RetryBudget, now: number): number {
  let taken = 0;
  while (budget.take(now)) taken++;
  return taken;
}

test('it begins with one second of retries', () => {
  assert.equal(takeAll(new RetryBudget(0.2, 10, 0), 0), 10);
});

test('a fifth of the requests may be retried beyond that', () => {
  const budget = new RetryBudget(0.2, 10, 0);
  takeAll(budget, 0);
  for (let index = 0; index < 100; index++) budget.onRequest();
  assert.equal(takeAll(budget, 0), 20);
});

test('ten a second come back with time', () => {
  const budget = new RetryBudget(0.2, 10, 0);
  takeAll(budget, 0);
  assert.equal(takeAll(budget, 99), 0);
  assert.equal(takeAll(budget, 1_000), 10);
});

test('a quiet hour or a million requests save no more than ten seconds of retries', () => {
  const quiet = new RetryBudget(0.2, 10, 0);
  assert.equal(takeAll(quiet, 3_600_000), 100);
  const busy = new RetryBudget(0.2, 10, 0);
  for (let index = 0; index < 1_000_000; index++) busy.onRequest();
  assert.equal(takeAll(busy, 0), 100);
});
