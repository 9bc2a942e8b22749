/**
 * The cgroup that holds all pods of one cluster, in every hierarchy of this machine (v1 has many).
 *
 * It gives each cluster a root of its own, so two kubelets never share a folder, and it makes ending
 * precise: whatever runs in it is a pod's.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** Mount points of all hierarchies. */
function hierarchies(): string[] {
  return (
    readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
      .map(([, point]) => point!)
      // Containers and clusters may mount theirs anywhere: only the system's own counts.
      .filter((point) => point.startsWith('/sys/fs/cgroup'))
  );
}

export function makeCgroup(name: string): void {
  for (const hierarchy of hierarchies()) {
    const folder = join(hierarchy, name);
    mkdirSync(folder, { recursive: true });
    // A new cpuset is empty in v1, and nothing can run in it.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const value = readIfThere(join(hierarchy, file));
      if (value.trim() !== '') writeFileSync(join(folder, file), value);
    }
  }
}

/** How many processes are in it, each of which got the signal. */
export function signalCgroup(name: string, signal: NodeJS.Signals): number {
  const processes = new Set<number>();
  for (const folder of foldersOf(name)) {
    for (const line of readIfThere(join(folder, 'cgroup.procs')).split('\n')) {
      if (line !== '') processes.add(Number(line));
    }
  }
  for (const pid of processes) {
    try {
      // 0 is a process that this PID namespace does not see; it would be ourselves.
      if (pid > 0) process.kill(pid, signal);
    } catch {
      // It ended meanwhile.
    }
  }
  return processes.size;
}

export async function removeCgroup(name: string): Promise<void> {
  // The kernel needs a moment after the last process before a folder may go.
  for (let round = 0; round < 50; round += 1) {
    const folders = foldersOf(name).sort((one, other) => other.length - one.length);
    if (folders.length === 0) return;
    for (const folder of folders) {
      try {
        rmdirSync(folder);
      } catch {
        // Busy: next round.
      }
    }
    if (foldersOf(name).length > 0) await wait(20);
  }
}

function foldersOf(name: string): string[] {
  const found: string[] = [];
  const collect = (folder: string): void => {
    found.push(folder);
    for (const child of readdirSync(folder)) {
      const path = join(folder, child);
      if (statSync(path).isDirectory()) collect(path);
    }
  };
  for (const hierarchy of hierarchies()) {
    const folder = join(hierarchy, name);
    try {
      if (existsSync(folder)) collect(folder);
    } catch {
      // A folder went away while it was read.
    }
  }
  return found;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
