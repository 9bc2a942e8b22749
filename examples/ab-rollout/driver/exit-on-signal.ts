/**
 * Ctrl-C of an example: what runs when a process exits runs then too.
 *
 * Without a listener a signal ends Node.js on the spot: neither `finally` nor a handler of `exit` is called,
 * and children and folders with keys stay behind.
 */

import { constants } from 'node:os';

/** Call it before anything is there that has to go. */
export function exitOnSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
}
