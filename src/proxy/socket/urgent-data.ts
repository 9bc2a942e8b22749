/**
 * Urgent data (MSG_OOB, which FTP's ABOR uses): kept where it stands in the stream.
 *
 * Without this the kernel sets the urgent byte aside, and a relay that reads the stream loses it. The
 * other end gets it as an ordinary byte: that it was urgent does not pass. What a listening socket is
 * told holds for the connections that it accepts; one that is dialled has to be told itself, before it
 * is read for the first time.
 */

import type { Server, Socket } from 'node:net';
import { SocketLevel, setSocketOption } from './socket-option.ts';

const SO_OOBINLINE = 10;
const yes = 1;

/**
 * For a connection, or for those that a listening socket accepts from now on: one system call. False
 * where it cannot be done.
 */
export function keepUrgentData(socket: Server | Socket): boolean {
  return setSocketOption(socket, SocketLevel.Socket, SO_OOBINLINE, yes);
}
