/**
 * Ports that nobody uses at this moment, for programs that must be told one.
 *
 * They lie below those that Linux gives by itself (from 32768 on): to connections that are dialled and
 * to listeners on port 0, which come and go all the time and would take a port between this look and
 * its use. Processes begin at different places, so that two of them do not find the same one.
 */

import { createServer } from 'node:net';

/** From 25 000 on: examples have ports of their own below. */
const first = 25_000;
const places = 7_000;
/** Far from those of processes that started just before and after. */
const stride = 97;
let next = (process.pid * stride) % places;

/** `count` different TCP ports that nothing listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const free: number[] = [];
  while (free.length < count) {
    const port = first + next;
    next = (next + 1) % places;
    if (await isFree(port)) free.push(port);
  }
  return free;
}

/** All addresses: a listener on any one of them is in the way. */
function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const server = createServer();
    server.on('error', () => settle(false));
    server.listen(port, '0.0.0.0', () => server.close(() => settle(true)));
  });
}
