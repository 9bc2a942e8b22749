/**
 * `tracecar init`: redirects a pod's TCP connections to its sidecar, then ends; with --await-proxy
 * only when the sidecar takes them, which holds the application back until then.
 *
 * Runs as an init container with NET_ADMIN and nothing else; running it again changes nothing. Status
 * 0 when the kernel holds the rules (and the sidecar takes traffic), 1 when not, 2 for a wrong flag;
 * `--check` says how they differ, `--remove` takes them out. The rules outlive it: if the sidecar is down, connections fail instead of going past it.
 */

import { readdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { systemClock } from '../../src/base/clock.ts';
import { ports } from '../patch-names.ts';
import { applyRules, backends, checkRules, removeRules } from './apply.ts';
import { awaitProxy } from './await-proxy.ts';
import type { Backend } from './backend.ts';
import { parseInitOptions } from './options.ts';
import { installPreload } from './preload-copy.ts';
import { capturePorts, type RuleOptions } from './rules.ts';

/** Gives the exit status. Throws UsageError. */
export async function runInit(args: readonly string[]): Promise<number> {
  const options = parseInitOptions(args, process.env);
  const backend = backends[options.backend];
  if (options.action === 'print') {
    process.stdout.write(backend.print(options.rules));
    return 0;
  }
  if (options.action === 'check') return check(backend, options.rules);
  if (options.action === 'remove') {
    const problem = await removeRules();
    if (problem !== '') return complain(problem);
    process.stdout.write('tracecar init: no connection is redirected\n');
    return 0;
  }
  if (isWholeMachine()) {
    return complain(
      "this is the machine's own network, not a pod's: every connection of the machine would be redirected; `--print` shows the rules, `ip netns exec NAME tracecar init` loads them elsewhere",
    );
  }
  if (options.preloadFolder !== undefined) {
    const problem = installPreload(options.preloadFolder);
    if (problem !== '') return complain(problem);
  }
  const problem = await applyRules(backend, options.rules);
  if (problem !== '') return complain(problem);
  const { inbound, outbound } = capturePorts;
  process.stdout.write(
    `tracecar init: TCP to this pod goes to port ${inbound}, TCP from it to port ${outbound}\n`,
  );
  return options.awaitProxyMs > 0 ? await holdBack(options.awaitProxyMs) : 0;
}

async function check(backend: Backend, rules: RuleOptions): Promise<number> {
  const differences = await checkRules(backend, rules);
  for (const difference of differences) complain(difference);
  if (differences.length > 0) return 1;
  process.stdout.write(
    `tracecar init: the rules are loaded as they should be, by ${backend.name}\n`,
  );
  return 0;
}

/** The pod goes on when this program ends, and a pod that is deleted meanwhile ends with it. */
async function holdBack(atMostMs: number): Promise<number> {
  // Process 1 of a container: the kernel drops signals that it has not asked for.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
  const problem = await awaitProxy({
    port: ports.health,
    atMostMs,
    clock: systemClock,
    onReason: (reason) => void complain(`waiting for the sidecar: ${reason}`),
  });
  return problem === '' ? 0 : complain(problem);
}

function complain(problem: string): number {
  process.stderr.write(`tracecar init: ${problem}\n`);
  return 1;
}

/**
 * Whether the rules would take the whole machine. A pod has the variables of its API server, a
 * container's program is process 1, and a namespace made by hand has a name or another process 1.
 */
function isWholeMachine(): boolean {
  if ((process.env.KUBERNETES_SERVICE_HOST ?? '') !== '' || process.pid === 1) return false;
  const own = statSync('/proc/self/ns/net').ino;
  try {
    if (statSync('/proc/1/ns/net').ino !== own) return false;
  } catch {
    // Process 1 may be hidden from us; the names decide.
  }
  try {
    return !readdirSync('/run/netns').some((name) => statSync(`/run/netns/${name}`).ino === own);
  } catch {
    return true;
  }
}
