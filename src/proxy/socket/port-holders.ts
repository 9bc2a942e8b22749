/**
 * How many sockets have a TCP port of this network namespace, whoever has them.
 *
 * Listening ones are counted before a listener of ours makes room for another one on its port: if
 * somebody else is there too, callers would be turned away for nothing. Half-open ones are counted
 * before a listener closes: they would be reset. Costs a millisecond for some thousand connections.
 */

import { readFile } from 'node:fs/promises';

/** States as the kernel prints them. */
export const SocketState = { Listening: '0A', HalfOpen: '03' } as const;

/** Undefined where the kernel has no such lists (not Linux), or does not show them. */
export async function countSockets(
  port: number,
  wanted: (typeof SocketState)[keyof typeof SocketState],
): Promise<number | undefined> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let isKnown = false;
  let count = 0;
  for (const list of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    const text = await readFile(list, 'latin1').catch(() => undefined);
    if (text === undefined) continue;
    isKnown = true;
    for (const line of text.split('\n')) {
      const [, local, , state] = line.trim().split(/\s+/, 4);
      if (state === wanted && local?.endsWith(suffix) === true) count++;
    }
  }
  return isKnown ? count : undefined;
}
