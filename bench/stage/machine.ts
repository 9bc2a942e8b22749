/**
 * The machine a result was measured on, and the two cores a run takes.
 *
 * Linux only. With one core or without taskset nothing is pinned, and the result says so: such figures
 * compare arms roughly and are not for publishing.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../result/row.ts';
import { readAllowedCores, readCoreTimes } from './procfs.ts';
import type { Cores } from './stage.ts';

const vulnerabilities = '/sys/devices/system/cpu/vulnerabilities';

/** The first two cores we may use; undefined when there are not two, or no taskset. */
export function chooseCores(): Cores | undefined {
  const [proxy, load] = readAllowedCores();
  if (proxy === undefined || load === undefined) return undefined;
  const { status } = spawnSync('taskset', ['--version'], { stdio: 'ignore' });
  return status === 0 ? { proxy, load } : undefined;
}

/** Moves this process, all its threads, to the load's core. */
export function pinBench(cores: Cores): void {
  const args = ['-a', '-c', '-p', String(cores.load), String(process.pid)];
  execFileSync('taskset', args, { stdio: 'ignore' });
}

/** Looks at the machine for one second while nothing is asked of any arm. */
export async function describeMachine(cores: Cores | undefined): Promise<Machine> {
  const idleBusy = cores === undefined ? 0 : await measureIdle(cores);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    node: process.versions.node,
    mitigations: readMitigations(),
    loadAverage: loadavg()[0]!,
    idleBusy,
  };
}

/** What a run writes itself, or only people read: no part of what is measured. */
const notMeasured = [':(exclude)bench/results', ':(exclude,glob)**/*.md'];

/**
 * The commit; when files differ from it, or are not in it and not ignored, with `+` and a hash of the
 * difference, so that rounds of two states of one checkout are never taken for the same. Results and
 * texts do not count: a run that writes its own results into the checkout stays the same run. 'unknown'
 * outside a checkout.
 */
export function describeCommit(directory: string): string {
  const git = (...args: string[]) =>
    spawnSync('git', args, {
      cwd: directory,
      encoding: 'utf8',
      timeout: 5000,
      maxBuffer: 2 ** 26,
    }).stdout?.trim() ?? '';
  const commit = git('rev-parse', '--short', 'HEAD');
  if (commit === '') return 'unknown';
  const others = git('ls-files', '-z', '--others', '--exclude-standard', '.', ...notMeasured);
  const names = others.split('\0').filter((name) => name !== '');
  const hashes = names.length === 0 ? '' : git('hash-object', '--', ...names);
  const difference = git('diff', 'HEAD', '--', '.', ...notMeasured) + others + hashes;
  if (difference === '') return commit;
  return `${commit}+${createHash('sha256').update(difference).digest('hex').slice(0, 6)}`;
}

/** Share of both cores that is used by others during one second. */
async function measureIdle({ proxy, load }: Cores): Promise<number> {
  const unused = () =>
    [proxy, load].map(readCoreTimes).reduce((sum, core) => sum + core.idleUs + core.stolenUs, 0);
  const before = unused();
  const startedAt = performance.now();
  await sleep(1000);
  const wallUs = (performance.now() - startedAt) * 1000;
  return Math.max(0, 1 - (unused() - before) / (2 * wallUs));
}

function readMitigations(): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  try {
    for (const name of readdirSync(vulnerabilities)) {
      const state = readFileSync(`${vulnerabilities}/${name}`, 'utf8').trim();
      if (state !== 'Not affected') found[name] = state;
    }
  } catch {
    // No such folder: an old kernel, or a sandbox.
  }
  return found;
}
