/**
 * The list of scenarios, in the order in which a full run takes them.
 */

import { badNeighbours } from './bad-neighbours.ts';
import { bodies } from './bodies.ts';
import { connections } from './connections.ts';
import { edits } from './edits.ts';
import { hop } from './hop.ts';
import { interception } from './interception.ts';
import { manyConnections } from './many-connections.ts';
import { memory } from './memory.ts';
import { pair } from './pair.ts';
import { prices } from './prices.ts';
import { rates } from './rates.ts';
import { routes } from './routes.ts';
import type { Scenario } from './scenario.ts';
import { startDrain } from './start-drain.ts';
import { streams } from './streams.ts';
import { tracing } from './tracing.ts';

export const scenarios: readonly Scenario[] = [
  hop,
  connections,
  rates,
  bodies,
  prices,
  tracing,
  routes,
  edits,
  startDrain,
  memory,
  interception,
  pair,
  manyConnections,
  badNeighbours,
  streams,
];

/** By name or id, whatever the case; undefined when there is none. */
export function findScenario(name: string): Scenario | undefined {
  const wanted = name.toLowerCase();
  return scenarios.find((each) => each.name === wanted || each.id.toLowerCase() === wanted);
}
