/**
 * Options of sockets that Node.js does not know: setsockopt through node:ffi.
 *
 * Linux only, without a capability. Where it cannot be done nothing happens, and callers do without.
 */

import type { Server, Socket } from 'node:net';
import { quietly } from './original-destination.ts';

/** Levels of setsockopt. */
export const SocketLevel = { Socket: 1, Ip: 0, Ipv6: 41 } as const;

type Level = (typeof SocketLevel)[keyof typeof SocketLevel];

/** setsockopt with an int; false when the kernel refuses, or the socket is not open. */
export type SetSocketOption = (
  socket: Server | Socket,
  level: Level,
  option: number,
  value: number,
) => boolean;

/** Undefined until it was looked for, null where there is none. */
let found: SetSocketOption | null | undefined;

/** Sets an option by one system call; false where that cannot be done. */
export const setSocketOption: SetSocketOption = (socket, level, option, value) => {
  if (found === undefined) found = open();
  return found?.(socket, level, option, value) ?? false;
};

function open(): SetSocketOption | null {
  if (process.platform !== 'linux') return null;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
    const { functions } = ffi.dlopen(null, {
      setsockopt: {
        return: 'int32',
        arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'],
      },
    });
    const int = new Int32Array(1);
    // Asked once: that costs as much as the system call.
    const address = ffi.getRawPointer(int.buffer);
    return (socket, level, option, value) => {
      const descriptor = descriptorOf(socket);
      if (descriptor < 0) return false;
      int[0] = value;
      return functions.setsockopt(descriptor, level, option, address, int.byteLength) === 0;
    };
  } catch {
    return null;
  }
}

/** The file descriptor of a server that listens, or of an open socket; -1 when there is none. */
function descriptorOf(socket: Server | Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
