/**
 * Open files of this process: whether it may have as many as its connections need, two for each.
 *
 * Node.js raises the soft limit to the hard one when it starts (ulimit -n, LimitNOFILE=, the container
 * runtime's). Without enough of them the proxy accepts no more for a while, which looks like a network
 * that is slow: so it is said at the start. Linux only; elsewhere nothing is said.
 */

import { readFileSync } from 'node:fs';

const FILES_PER_CONNECTION = 2;

/** One line for a person when there are too few for `connectionsMax`, '' when not or not known. */
export function fewFiles(connectionsMax: number, limits = readLimits()): string {
  const filesMax = Number(/^Max open files +(\d+)/m.exec(limits)?.[1]);
  const wanted = connectionsMax * FILES_PER_CONNECTION;
  if (!(filesMax < wanted)) return '';
  const enough = Math.floor(filesMax / FILES_PER_CONNECTION);
  return `this process may open ${filesMax} files, enough for ${enough} connections of the ${connectionsMax} that it would take; raise the limit to ${wanted} (ulimit -n, LimitNOFILE=)`;
}

/** The kernel's table for this process; '' where there is none. */
function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return '';
  }
}
