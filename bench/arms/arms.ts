/**
 * The list of all arms, by name. Order is the order of every table.
 */

import { relayArm } from './ablation.ts';
import type { Arm } from './arm.ts';
import { nodeArms } from './node-arms.ts';
import { rivalArms } from './rivals.ts';
import { tracecarArms } from './tracecar.ts';

export const arms: readonly Arm[] = [...tracecarArms, relayArm, ...rivalArms, ...nodeArms];

/** The arm of that name; throws an Error, because names stand in our own code. */
export function armOf(name: string): Arm {
  const found = arms.find((arm) => arm.name === name);
  if (found === undefined) throw new Error(`there is no arm "${name}"`);
  return found;
}
