/**
 * What scenarios that load running arms have in common: their pace, the steps of their ladders, and
 * how an open loop follows from the place of a row.
 *
 * The seed is the round's: all arms of a round get the same arrivals.
 */

import type { OpenLoop } from '../load/load-order.ts';
import type { RowPlace, Scale, Scenario } from './scenario.ts';

/** By scale, the steps that a ladder has. */
export type Ladders = Readonly<Record<Scale, readonly number[]>>;

/** Seconds of one load at each scale, and rounds of the quick one. */
export function paceOf(quickSeconds: number, fullSeconds = 2, quickRounds = 3): Scenario['pace'] {
  const paces = {
    quick: { rounds: quickRounds, seconds: quickSeconds },
    full: { rounds: 5, seconds: fullSeconds },
    publish: { rounds: 21, seconds: 5 },
  };
  return (scale) => paces[scale];
}

/** The step of any scale whose point it is; throws an Error, because points are our own. */
export function stepAt(point: string, ladders: Ladders, pointOf: (step: number) => string): number {
  const found = Object.values(ladders)
    .flat()
    .find((step) => pointOf(step) === point);
  if (found === undefined) throw new Error(`the ladder has no step "${point}"`);
  return found;
}

/** Everything else follows from the row's place. */
export type OpenLoad = Omit<OpenLoop, 'kind' | 'port' | 'warmSeconds' | 'seconds' | 'seed'>;

export function openLoop(port: number, { round, seconds }: RowPlace, load: OpenLoad): OpenLoop {
  const warmSeconds = Math.min(1, seconds / 4);
  return { kind: 'open', port, warmSeconds, seconds, seed: round + 1, ...load };
}
