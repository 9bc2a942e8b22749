/**
 * What Linux says about processes and cores: CPU time, memory, steal, where a process may run.
 *
 * Parsers take text, so tests need no process; the readers beside them are one line each. Linux only
 * (proc(5)). A core's time is known in ticks of 10 ms, a thread's (schedstat) in nanoseconds.
 */

import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: 100 on every Linux architecture that Node.js supports, whatever the kernel's own HZ. */
export const microsPerTick = 10_000;

/** Of one process, in kB. */
export interface ProcessMemory {
  readonly rssKb: number;
  /** Without file pages and shared memory. */
  readonly anonymousKb: number;
  /** What ending the process would free. */
  readonly privateKb: number;
  /** Shared pages divided among those that map them. */
  readonly pssKb: number;
}

/** CPU time of a process's threads since they began, in microseconds of nanosecond resolution. */
export interface ThreadTimes {
  readonly pid: number;
  /** By thread id. */
  readonly byThread: ReadonlyMap<number, number>;
  /** utime + stime of the process, the ended threads too, in ticks of 10 ms. */
  readonly ticksUs: number;
}

export const noThreads: ThreadTimes = { pid: 0, byThread: new Map(), ticksUs: 0 };

/**
 * Time of one core since boot, in microseconds of 10 ms resolution. What is neither idle nor stolen
 * was used. The used time itself is not read: the kernel samples it once a tick, and a load whose
 * period is a multiple of the tick's is then seen always or never. Idle time is measured (NO_HZ).
 */
export interface CoreTimes {
  readonly idleUs: number;
  readonly stolenUs: number;
}

/** utime + stime of /proc/PID/stat in microseconds. The command's name may hold spaces and ')'. */
export function parseCpuMicros(stat: string): number {
  return (statField(stat, 14) + statField(stat, 15)) * microsPerTick;
}

/** The same of children that have ended and were waited for, and of theirs. */
export function parseEndedMicros(stat: string): number {
  return (statField(stat, 16) + statField(stat, 17)) * microsPerTick;
}

/** When the process of a /proc/PID/stat began, in ticks since boot: with its id it is one process. */
export function parseStartTicks(stat: string): number {
  return statField(stat, 22);
}

/** It has ended, and whoever started it has not yet heard of it: state Z or X. */
export function parseHasEnded(stat: string): boolean {
  return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

/** By its number in proc(5). */
function statField(stat: string, number: number): number {
  const afterName = stat.lastIndexOf(')');
  const value = Number(stat.slice(afterName + 2).split(' ')[number - 3]);
  if (afterName < 0 || !Number.isFinite(value)) throw new Error('not a /proc/PID/stat line');
  return value;
}

/** Resident memory from /proc/PID/status and /proc/PID/smaps_rollup. */
export function parseMemory(status: string, rollup: string): ProcessMemory {
  return {
    rssKb: kilobytesOf(status, 'VmRSS'),
    anonymousKb: kilobytesOf(status, 'RssAnon'),
    privateKb: kilobytesOf(rollup, 'Private_Clean') + kilobytesOf(rollup, 'Private_Dirty'),
    pssKb: kilobytesOf(rollup, 'Pss'),
  };
}

/** The first number of schedstat: nanoseconds on a core, here as microseconds. */
export function parseScheduledMicros(schedstat: string): number {
  const ns = Number(schedstat.split(' ', 1)[0]);
  if (schedstat === '' || !Number.isFinite(ns)) throw new Error('not a schedstat line');
  return ns / 1000;
}

/**
 * What a process used between two readings. A thread that ended meanwhile is gone from its folder with
 * what it used, and one that began and ended was never seen there; then the coarser count of the whole
 * process is right, and it is taken.
 */
export function threadsUsed(
  before: ThreadTimes,
  after: ThreadTimes,
): { readonly allUs: number; readonly mainUs: number } {
  let allUs = 0;
  for (const [thread, us] of after.byThread) allUs += us - (before.byThread.get(thread) ?? 0);
  const processUs = after.ticksUs - before.ticksUs;
  const hasLost =
    processUs - allUs > 2 * microsPerTick ||
    [...before.byThread.keys()].some((thread) => !after.byThread.has(thread));
  return {
    allUs: hasLost ? processUs : allUs,
    mainUs: (after.byThread.get(after.pid) ?? 0) - (before.byThread.get(after.pid) ?? 0),
  };
}

/** The cores this process may use, from /proc/self/status: '0-2,5' is [0, 1, 2, 5]. */
export function parseAllowedCores(status: string): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
  if (list === undefined) throw new Error('no Cpus_allowed_list in /proc/PID/status');
  return list.split(',').flatMap((part) => {
    const [first, last] = part.split('-').map(Number);
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, index) => first! + index);
  });
}

/** Descriptors that a process may have open, from /proc/self/limits. */
export function parseOpenFilesMax(limits: string): number {
  const found = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1];
  if (found === undefined) throw new Error('no "Max open files" in /proc/PID/limits');
  return found === 'unlimited' ? Number.POSITIVE_INFINITY : Number(found);
}

/** The line `cpuN` of /proc/stat; waiting for a disk is idle too. */
export function parseCoreTimes(stat: string, core: number): CoreTimes {
  const line = new RegExp(`^cpu${core} (.+)$`, 'm').exec(stat)?.[1];
  if (line === undefined) throw new Error(`no core ${core} in /proc/stat`);
  const [, , , idle = 0, ioWait = 0, , , steal = 0] = line.split(' ').map(Number);
  return { idleUs: (idle + ioWait) * microsPerTick, stolenUs: steal * microsPerTick };
}

export function readCpuMicros(pid: number): number {
  return parseCpuMicros(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

export function readEndedMicros(pid: number): number {
  return parseEndedMicros(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

export function readMemory(pid: number): ProcessMemory {
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'latin1');
  return parseMemory(read('status'), read('smaps_rollup'));
}

export function readThreadTimes(pid: number): ThreadTimes {
  const byThread = new Map<number, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const schedstat = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1');
      byThread.set(Number(thread), parseScheduledMicros(schedstat));
    } catch {
      // It has ended since the folder was read.
    }
  }
  return { pid, byThread, ticksUs: readCpuMicros(pid) };
}

export function readAllowedCores(): readonly number[] {
  return parseAllowedCores(readFileSync('/proc/self/status', 'latin1'));
}

export function readOpenFilesMax(): number {
  return parseOpenFilesMax(readFileSync('/proc/self/limits', 'latin1'));
}

export function readCoreTimes(core: number): CoreTimes {
  return parseCoreTimes(readFileSync('/proc/stat', 'latin1'), core);
}

function kilobytesOf(status: string, name: string): number {
  const found = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1];
  if (found === undefined) throw new Error(`no ${name} in /proc/PID/status`);
  return Number(found);
}
