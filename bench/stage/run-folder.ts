/**
 * A run's own folder below the one for temporary files, and what killed runs have left there.
 *
 * The folder names its owner: process id and the time it began, so that an id that was given to another
 * process since is not taken for it. A folder whose owner is gone is swept at the next start: processes
 * that work in it are ended, then it is removed. Folders of others, and without an owner, stay.
 */

import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHasEnded, parseStartTicks } from './procfs.ts';

const prefix = 'tracecar-bench-';
const ownerFile = 'owner';
/** Network namespaces that go with the folder, a name a line. */
const namespacesFile = 'namespaces';

/** Sweeps, then makes a folder that goes when this process exits; `progress` hears what was swept. */
export function openRunFolder(progress: (text: string) => void, parent = tmpdir()): string {
  for (const folder of sweepRunFolders(parent)) {
    progress(`removed ${folder}, which a run that was killed had left`);
  }
  const folder = mkdtempSync(join(parent, prefix));
  writeFileSync(join(folder, ownerFile), nameProcess(process.pid) ?? '');
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Says in the folder which network namespaces a sweep has to remove with it. */
export function ownNamespaces(folder: string, names: readonly string[]): void {
  writeFileSync(join(folder, namespacesFile), names.map((name) => `${name}\n`).join(''));
}

/** Ends and removes what runs that are gone left below `parent`; the folders that were removed. */
export function sweepRunFolders(parent: string): readonly string[] {
  const swept: string[] = [];
  for (const name of readdirSync(parent)) {
    const folder = join(parent, name);
    if (!name.startsWith(prefix) || !isStale(folder)) continue;
    for (const pid of processesIn(folder)) endProcess(pid);
    for (const name of namespacesOf(folder)) {
      spawnSync('ip', ['netns', 'delete', name]);
      rmSync(join('/etc/netns', name), { recursive: true, force: true });
    }
    try {
      rmSync(folder, { recursive: true, force: true });
      swept.push(folder);
    } catch {
      // Somebody writes into it at this moment: the next start will find it.
    }
  }
  return swept;
}

function namespacesOf(folder: string): readonly string[] {
  try {
    const lines = readFileSync(join(folder, namespacesFile), 'latin1').split('\n');
    return lines.filter((line) => /^tracecar-pods-[\w-]+$/.test(line));
  } catch {
    return [];
  }
}

/** Ours, and its owner no more the process that it names. */
function isStale(folder: string): boolean {
  try {
    const about = lstatSync(folder);
    if (!about.isDirectory() || about.uid !== process.getuid?.()) return false;
    const owner = readFileSync(join(folder, ownerFile), 'latin1');
    return owner !== '' && nameProcess(Number.parseInt(owner, 10)) !== owner;
  } catch {
    return false;
  }
}

/** 'PID TICKS-SINCE-BOOT'; undefined when there is no such process, or only what is left of one. */
function nameProcess(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return parseHasEnded(stat) ? undefined : `${pid} ${parseStartTicks(stat)}`;
  } catch {
    return undefined;
  }
}

/** Processes whose working folder is this one or below it: every child of a run has such a one. */
function processesIn(folder: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const place = readlinkSync(`/proc/${pid}/cwd`);
      return pid !== process.pid && (place === folder || place.startsWith(`${folder}/`));
    } catch {
      return false;
    }
  });
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
