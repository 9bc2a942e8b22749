/**
 * Urgent data (MSG_OOB, which FTP's ABOR uses): kept where it stands in the stream.
 *
 * Without this the kernel sets the urgent byte aside, and a relay that reads the stream loses it. The
 * other end gets it as an ordinary byte: that it was urgent does not pass. What a listening socket is
 * told holds for the connections that it accepts.
 */

import type { Server } from 'node:net';
import { socketOptions } from './socket-option.ts';

const SO_OOBINLINE = 10;
const yes = Uint32Array.of(1).buffer;

/** For connections that `server`, which listens, accepts from now on. False where it cannot be done. */
export function keepUrgentData(server: Server): boolean {
  return socketOptions()?.set(server, SO_OOBINLINE, yes, yes.byteLength) ?? false;
}
