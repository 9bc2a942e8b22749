/**
 * Closes the door of a listening socket, so that it can be emptied before it is closed.
 *
 * The kernel resets connections that it has accepted for a socket which closes before the process
 * takes them, and while callers come there are always some. So first the socket is told to take only
 * packets with a time to live of 255 (RFC 5082), which nobody sends by default: SYN segments are
 * dropped, and who comes now tries again a second later and finds the next listener or a refusal. What
 * has begun goes on and is taken meanwhile. A filter on the socket would do the same, but some kernels
 * refuse it to a process without capabilities (EPERM on Linux 6.18, 2026-11-26).
 */

import type { Server, Socket } from 'node:net';
import { SocketLevel, setSocketOption } from './socket-option.ts';

const IP_MINTTL = 21;
const IPV6_MINHOPCOUNT = 73;
const nobodys = 255;
const everybodys = 0;

/** From now on no connection begins on `server`, which listens. False where that cannot be done. */
export function stopConnects(server: Server): boolean {
  return setLeast(server, nobodys);
}

/** A connection that was taken after that may have inherited it, and would hear nothing. */
export function hearAll(accepted: Socket): void {
  setLeast(accepted, everybodys);
}

/** IPv6 sockets take IPv4 too; one of the two is enough for a socket of its family. */
function setLeast(socket: Server | Socket, hops: number): boolean {
  const isSet = setSocketOption(socket, SocketLevel.Ip, IP_MINTTL, hops);
  return setSocketOption(socket, SocketLevel.Ipv6, IPV6_MINHOPCOUNT, hops) || isSet;
}
