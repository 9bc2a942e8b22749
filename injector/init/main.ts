/**
 * `tracecar init`: redirects a pod's TCP connections to its sidecar, then ends.
 *
 * Runs as an init container with NET_ADMIN and nothing else; running it again changes nothing. Status
 * 0 when the kernel holds the rules, 1 when it does not, 2 for a wrong flag. The rules outlive it: if
 * the sidecar is down, connections fail instead of going past it.
 */

import { applyRules } from './apply.ts';
import { parseInitOptions } from './options.ts';
import { installPreload } from './preload-copy.ts';
import { capturePorts, printRules } from './rules.ts';

/** Gives the exit status. Throws UsageError. */
export async function runInit(args: readonly string[]): Promise<number> {
  const options = parseInitOptions(args, process.env);
  const rules = printRules(options.rules);
  if (options.isPrintOnly) {
    process.stdout.write(rules);
    return 0;
  }
  if (options.preloadFolder !== undefined) {
    const problem = installPreload(options.preloadFolder);
    if (problem !== '') return complain(problem);
  }
  const problem = await applyRules(rules);
  if (problem !== '') return complain(problem);
  const { inbound, outbound } = capturePorts;
  process.stdout.write(
    `tracecar init: TCP to this pod goes to port ${inbound}, TCP from it to port ${outbound}\n`,
  );
  return 0;
}

function complain(problem: string): number {
  process.stderr.write(`tracecar init: ${problem}\n`);
  return 1;
}
