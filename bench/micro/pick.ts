/**
 * What it costs to choose where a request goes: the weighted backend of a rule, then an endpoint.
 *
 * `node bench/micro/pick.ts`. Loads change as they do in traffic: what is chosen has one request more,
 * and the one chosen 64 picks ago has one less. Goal: below 50 ns each, whatever the number of
 * endpoints.
 */

import { type PickState, pickEndpoint, startPicking } from '../../src/balancing/pick-endpoint.ts';
import { seededRandom, systemRandom } from '../../src/base/random.ts';
import type { BalancingPolicy } from '../../src/model/routing-table.ts';
import { nextWeighted, startWeights } from '../../src/routing/weighted-choice.ts';
import { measureAll } from './measure.ts';

const UNDER_WAY = 64;
let checksum = 0;

function choosing(weights: readonly number[]): () => void {
  const state = startWeights(weights, seededRandom(1));
  return () => {
    checksum += nextWeighted(state);
  };
}

function picking(policy: BalancingPolicy, count: number, avoid = -1): () => void {
  const state: PickState = startPicking(seededRandom(2));
  const endpoints = Array.from({ length: count }, () => ({ inFlight: 0 }));
  const last = new Int32Array(UNDER_WAY).fill(-1);
  let turn = 0;
  return () => {
    const index = pickEndpoint(policy, state, endpoints, systemRandom, avoid);
    const ended = last[turn]!;
    if (ended >= 0) endpoints[ended]!.inFlight--;
    endpoints[index]!.inFlight++;
    last[turn] = index;
    turn = (turn + 1) % UNDER_WAY;
    checksum += index;
  };
}

measureAll('choice of backend and endpoint', [
  ['weighted, 1 backend', choosing([100])],
  ['weighted, 60/40', choosing([60, 40])],
  ['weighted, 10 backends', choosing([1, 2, 3, 4, 5, 6, 7, 8, 9, 55])],
  ['round robin, 2 endpoints', picking('round-robin', 2)],
  ['round robin, 1 000 endpoints', picking('round-robin', 1_000)],
  ['least request of two, 2 endpoints', picking('least-request', 2)],
  ['least request of two, 1 000 endpoints', picking('least-request', 1_000)],
  ['least request of two, one has failed', picking('least-request', 10, 3)],
]);
if (checksum === 0) throw new Error('nothing was measured');
