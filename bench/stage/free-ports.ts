/**
 * Ports that nobody uses at this moment, for programs that must be told one.
 *
 * The kernel picks them; they are all held open until the last is known, so that they differ. Between
 * this answer and the program's own listen another process may take one: then that program ends with
 * its own message, and the bench passes it on.
 */

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** `count` different free TCP ports of 127.0.0.1. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const holders = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const holder of holders) {
    holder.listen(0, '127.0.0.1');
    await once(holder, 'listening');
    ports.push((holder.address() as AddressInfo).port);
  }
  await Promise.all(
    holders.map((holder) => new Promise<void>((closed) => void holder.close(() => closed()))),
  );
  return ports;
}
