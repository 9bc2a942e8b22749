/**
 * Waits until something accepts a connection: an address inside the cluster, or a Unix socket. A
 * starting program tells nobody that it listens, so here the harness asks again and again.
 */

import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** An address inside, asked through the relay; throws after `timeoutMs`. */
export async function untilConnects(
  relaySocket: string,
  address: string,
  port: number,
  timeoutMs: number,
): Promise<void> {
  const isOpen = (): Promise<boolean> => isListening(relaySocket, `probe ${address} ${port}\n`);
  await until(isOpen, `${address}:${port}`, timeoutMs);
}

/** A Unix socket of this machine; throws after `timeoutMs`. */
export async function untilSocketConnects(path: string, timeoutMs: number): Promise<void> {
  await until(() => isListening(path, ''), path, timeoutMs);
}

async function until(
  isOpen: () => Promise<boolean>,
  what: string,
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isOpen())) {
    if (performance.now() > deadline) {
      throw new Error(`nothing listens on ${what} after ${timeoutMs} ms`);
    }
    await wait(15);
  }
}

/** With a probe the relay must answer it; without one an accepted connection is enough. */
function isListening(path: string, probe: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ path });
    const finish = (isOpen: boolean): void => {
      socket.destroy();
      done(isOpen);
    };
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('data', () => finish(true));
    socket.on('connect', () => {
      if (probe === '') finish(true);
      else socket.write(probe);
    });
  });
}
