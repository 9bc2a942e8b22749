/**
 * Loads the rules by one back-end, verifies what the kernel holds then, and takes those of the other
 * away: rules are never in two places, and at no time in none.
 *
 * A problem or a difference is one line for a person; nothing here rejects.
 */

import { type Backend, type BackendName, backendNames } from './backend.ts';
import { iptablesBackend } from './iptables-backend.ts';
import { nftBackend } from './nft-backend.ts';
import type { RuleOptions } from './rules.ts';
import { type RunProgram, runProgram } from './run-program.ts';

export const backends: Readonly<Record<BackendName, Backend>> = {
  nft: nftBackend,
  iptables: iptablesBackend,
};

/** Empty, or one line for a person. */
export async function applyRules(
  backend: Backend,
  options: RuleOptions,
  run: RunProgram = runProgram,
): Promise<string> {
  const problem = await backend.apply(options, run);
  if (problem !== '') return problem;
  const [differences, leftOver] = await Promise.all([
    backend.differences(options, run),
    otherThan(backend).remove(run),
  ]);
  const [difference] = differences;
  return difference === undefined ? leftOver : `after it was written ${difference}`;
}

/** One line for each difference between what is loaded and what `options` say. */
export async function checkRules(
  backend: Backend,
  options: RuleOptions,
  run: RunProgram = runProgram,
): Promise<readonly string[]> {
  const [differences, elsewhere] = await Promise.all([
    backend.differences(options, run),
    otherThan(backend).loadedIn(run),
  ]);
  if (elsewhere === '') return differences;
  const hint = `(--backend ${otherThan(backend).name} checks them)`;
  return [...differences, `there are rules in ${elsewhere} ${hint}`];
}

/** Takes out whatever an earlier run loaded, by either back-end. Empty, or one line. */
export async function removeRules(run: RunProgram = runProgram): Promise<string> {
  const problems = await Promise.all(backendNames.map((name) => backends[name].remove(run)));
  return [...new Set(problems)].filter((problem) => problem !== '').join('; ');
}

function otherThan({ name }: Backend): Backend {
  return backends[name === 'nft' ? 'iptables' : 'nft'];
}
