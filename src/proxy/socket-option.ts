/**
 * Options of listening sockets that Node.js does not know: setsockopt through node:ffi.
 *
 * Linux only, without a capability. Where it cannot be done nothing happens, and callers do without.
 */

import type { Server } from 'node:net';
import { quietly } from './original-destination.ts';

export interface SocketOptions {
  /** setsockopt(SOL_SOCKET) with the first `length` bytes of `value`; false when the kernel refuses. */
  set(server: Server, option: number, value: ArrayBuffer, length: number): boolean;
  /** Where `memory` is; it stays there as long as somebody holds it. */
  addressOf(memory: ArrayBuffer): bigint;
}

const SOL_SOCKET = 1;

/** Undefined until it was looked for, null where there is none. */
let found: SocketOptions | null | undefined;

/** Undefined where there is no way. */
export function socketOptions(): SocketOptions | undefined {
  if (found === undefined) found = open();
  return found ?? undefined;
}

function open(): SocketOptions | null {
  if (process.platform !== 'linux') return null;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
    const { functions } = ffi.dlopen(null, {
      setsockopt: {
        return: 'int32',
        arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'],
      },
    });
    const addressOf = (memory: ArrayBuffer) => ffi.getRawPointer(memory);
    return {
      set(server, option, value, length) {
        const descriptor = descriptorOf(server);
        if (descriptor < 0) return false;
        const address = addressOf(value);
        return functions.setsockopt(descriptor, SOL_SOCKET, option, address, length) === 0;
      },
      addressOf,
    };
  } catch {
    return null;
  }
}

/** The file descriptor of a server that listens; -1 when it does not. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
