/**
 * Weighted choice: smooth weighted round robin, exact over every window of the weights' sum.
 *
 * The weights are divided by their common divisor; in any run of sum(weights) picks each backend is
 * chosen exactly as often as its weight says, spread as evenly as whole picks can be. The state is
 * two numbers a backend, whatever the weights. Who keeps a state, and for how long, is `proxy`'s.
 *
 *   credits of a 3:1 choice   [3, 1] pick 0   [2, 2] pick 0   [1, 3] pick 1   [4, 0] pick 0   again
 */

import { assert } from '../base/assert.ts';
import { type Random, randomBelow } from '../base/random.ts';
import type { Rule } from '../model/routing-table.ts';

/** One rule's counter. `credits` sum to 0 between picks; all fields belong to this file. */
export interface WeightState {
  readonly weights: Float64Array;
  readonly credits: Float64Array;
  /** Sum of the divided weights: the window; 0 when every weight is 0. */
  readonly sum: number;
}

/**
 * How far into its window a fresh state may begin. A start anywhere would need as many steps as the
 * sum of the weights (up to 2^32 for coprime ones); beyond some thousand the picks look the same.
 */
const START_STEPS_MAX = 4_096;

/**
 * A fresh counter, begun at a random place of its window, so that many proxies which start together
 * do not all send their first request to the same backend.
 *
 * @param weights whole numbers from 0 to 2^31 - 1, at least one
 */
export function startWeights(weights: readonly number[], random: Random): WeightState {
  assert(weights.length > 0, 'a weighted choice needs a backend');
  let divisor = 0;
  for (const weight of weights) divisor = commonDivisor(divisor, weight);
  const divided = Float64Array.from(weights, (weight) => (divisor === 0 ? 0 : weight / divisor));
  let sum = 0;
  for (const weight of divided) sum += weight;
  const state: WeightState = { weights: divided, credits: new Float64Array(weights.length), sum };
  const steps = sum === 0 ? 0 : randomBelow(random, Math.min(sum, START_STEPS_MAX));
  for (let step = 0; step < steps; step++) nextWeighted(state);
  return state;
}

/** Index of the backend that is next; -1 when every weight is 0. Allocates nothing. */
export function nextWeighted(state: WeightState): number {
  const { weights, credits } = state;
  const count = weights.length;
  if (state.sum === 0) return -1;
  if (count === 1) return 0;
  let best = 0;
  let bestCredit = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    const credit = credits[index]! + weights[index]!;
    credits[index] = credit;
    if (credit > bestCredit) {
      best = index;
      bestCredit = credit;
    }
  }
  credits[best] = bestCredit - state.sum;
  return best;
}

/**
 * Two rules with the same key share a counter: a swap of tables that leaves a rule's weights alone
 * does not restart its window. For use when a table is applied, not per request.
 */
export function weightsKey(rule: Pick<Rule, 'identity' | 'backends'>): string {
  return `${rule.identity} ${rule.backends.map((backend) => backend.weight).join(',')}`;
}

function commonDivisor(first: number, second: number): number {
  let larger = first;
  let smaller = second;
  while (smaller !== 0) {
    const rest = larger % smaller;
    larger = smaller;
    smaller = rest;
  }
  return larger;
}
