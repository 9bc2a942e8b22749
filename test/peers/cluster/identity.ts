/**
 * Says which process something belongs to: its id and its start time, as one line of text.
 *
 * The id alone would do until the kernel gives it to another process. Linux only.
 */

import { readFileSync } from 'node:fs';

/** `PID START`, where START is in clock ticks since boot (proc(5), field 22 of stat). */
export function ownIdentity(): string {
  return `${process.pid} ${startOf(process.pid)}`;
}

/** Whether the process that wrote this line still runs. */
export function isAlive(identity: string): boolean {
  const [pid, start] = identity.trim().split(' ');
  return start !== undefined && startOf(Number(pid)) === start;
}

function startOf(pid: number): string {
  try {
    // The second field is the program's name in parentheses and may hold spaces.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
