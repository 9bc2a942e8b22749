/**
 * What a way of loading the rules can do: nft-backend.ts and iptables-backend.ts keep this contract,
 * apply.ts goes through it.
 *
 * A problem is one line for a person, empty when there is none; nothing here rejects.
 */

import type { RuleOptions } from './rules.ts';
import type { RunProgram } from './run-program.ts';

export interface Backend {
  readonly name: BackendName;
  /** What would be loaded where nothing is loaded yet. */
  print(options: RuleOptions): string;
  /** Loads the rules in place of those that an earlier run left. The problem. */
  apply(options: RuleOptions, run: RunProgram): Promise<string>;
  /** One line for each difference between what is loaded and what `options` say. */
  differences(options: RuleOptions, run: RunProgram): Promise<readonly string[]>;
  /** Where rules of ours are loaded, for a person; empty: nowhere. */
  loadedIn(run: RunProgram): Promise<string>;
  /** Takes every rule of ours out, where there is one. The problem. */
  remove(run: RunProgram): Promise<string>;
}

export const backendNames = ['nft', 'iptables'] as const;
export type BackendName = (typeof backendNames)[number];
