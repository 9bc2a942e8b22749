/**
 * What Linux says about processes and cores: CPU time, memory, steal, where a process may run.
 *
 * Parsers take text, so tests need no process; the readers beside them are one line each. Linux only
 * (proc(5)). CPU time counts all threads of a process, the ended ones too, in ticks of 10 ms.
 */

import { readFileSync } from 'node:fs';

/** USER_HZ: 100 on every Linux architecture that Node.js supports, whatever the kernel's own HZ. */
export const microsPerTick = 10_000;

export interface ProcessMemory {
  readonly rssKb: number;
  readonly anonymousKb: number;
}

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
  const afterName = stat.lastIndexOf(')');
  const fields = stat.slice(afterName + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (afterName < 0 || !Number.isFinite(ticks)) throw new Error('not a /proc/PID/stat line');
  return ticks * microsPerTick;
}

/** Resident memory from /proc/PID/status. */
export function parseMemory(status: string): ProcessMemory {
  return {
    rssKb: kilobytesOf(status, 'VmRSS'),
    anonymousKb: kilobytesOf(status, 'RssAnon'),
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

export function readMemory(pid: number): ProcessMemory {
  return parseMemory(readFileSync(`/proc/${pid}/status`, 'latin1'));
}

export function readAllowedCores(): readonly number[] {
  return parseAllowedCores(readFileSync('/proc/self/status', 'latin1'));
}

export function readCoreTimes(core: number): CoreTimes {
  return parseCoreTimes(readFileSync('/proc/stat', 'latin1'), core);
}

function kilobytesOf(status: string, name: string): number {
  const found = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1];
  if (found === undefined) throw new Error(`no ${name} in /proc/PID/status`);
  return Number(found);
}
