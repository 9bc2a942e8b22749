/**
 * Picks an endpoint of a cluster: least-request of two random choices, or round robin.
 *
 * Pure: load and randomness are arguments, the only state is the caller's cursor. It does not know
 * whether an endpoint is up; one that has just failed is left out by `avoid`. Two random choices
 * keep the choice O(1) and avoid the herd that "the least loaded of all" makes (Mitzenmacher 2001).
 */

import { type Random, randomBelow } from '../base/random.ts';
import type { BalancingPolicy } from '../model/routing-table.ts';

/** What the choice looks at: requests under way to one endpoint, from all clusters it is in. */
export interface EndpointLoad {
  readonly inFlight: number;
}

/** Where round robin stands; one per cluster, kept across table swaps. */
export interface PickState {
  cursor: number;
}

/** A round robin that begins at a random place, so that many proxies do not move in step. */
export function startPicking(random: Random): PickState {
  return { cursor: random.u32() };
}

/**
 * Index of the endpoint to use, or -1 when there is none. `avoid` is the index of an endpoint that
 * has just failed, or -1; it is chosen only when it is the only one.
 */
export function pickEndpoint(
  policy: BalancingPolicy,
  state: PickState,
  endpoints: readonly EndpointLoad[],
  random: Random,
  avoid: number,
): number {
  const count = endpoints.length;
  if (count < 2) return count - 1;
  if (policy === 'round-robin') return nextInTurn(state, count, avoid);
  return lessLoadedOfTwo(endpoints, random, avoid);
}

function nextInTurn(state: PickState, count: number, avoid: number): number {
  let index = state.cursor % count;
  if (index === avoid) index = (index + 1) % count;
  state.cursor = index + 1;
  return index;
}

function lessLoadedOfTwo(
  endpoints: readonly EndpointLoad[],
  random: Random,
  avoid: number,
): number {
  const count = endpoints.length;
  let first = randomBelow(random, count);
  if (first === avoid) first = (first + 1) % count;
  let second = randomBelow(random, count - 1);
  if (second >= first) second++;
  if (second === avoid) return first;
  return endpoints[second]!.inFlight < endpoints[first]!.inFlight ? second : first;
}
