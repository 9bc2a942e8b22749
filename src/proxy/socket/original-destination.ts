/**
 * Where an application was going before the kernel redirected its connection to us.
 *
 * One `getsockopt(SO_ORIGINAL_DST)` for each accepted connection, through node:ffi (0.9 us, no
 * dependency) or, where that is missing, koffi. No capability is needed. It reads a socket and
 * changes nothing; of this room only this file and `socket-option.ts` call foreign code.
 *
 *   answer:  0 family | 2 port | 4 IPv4 address      or  0 family | 2 port | 4 flow | 8 IPv6 address
 */

import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { type Arrival, arrivalOf } from './socket-reads.ts';

/** An address as `node:net` prints it (IPv4-mapped ones as IPv4) and a port, 1 to 65535. */
export interface OriginalDestination {
  readonly address: string;
  readonly port: number;
}

export interface OriginalDestinationReader {
  /**
   * Asks the kernel; call it once, in the listener's callback. A connection that was not redirected
   * reads as undefined, or as the address that it was accepted on when it is loopback. `family`: what
   * its listener takes, 4 or 6; 0 = both.
   */
  read(from: Arrival | Socket, family?: number): OriginalDestination | undefined;
}

export type OpenedReader =
  | { readonly reader: OriginalDestinationReader; readonly by: 'node:ffi' | 'koffi' }
  | { readonly problem: string };

/**
 * Finds a way to call getsockopt: node:ffi first, koffi second. Without both, `problem` is one line
 * for a person. `ways` is for tests.
 */
export function openOriginalDestination(ways: readonly Way[] = [byNode, byKoffi]): OpenedReader {
  const problems: string[] = [];
  for (const way of ways) {
    try {
      return { reader: readerOf(way.open()), by: way.name };
    } catch (error) {
      problems.push(`${way.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { problem: `the original destination cannot be read (${problems.join('; ')})` };
}

export interface Way {
  readonly name: 'node:ffi' | 'koffi';
  /** Throws when this way does not exist here. */
  open(): Lookup;
}

/** One foreign call. */
export interface Lookup {
  /** The answer of the last call that returned 0. */
  readonly bytes: Uint8Array;
  /** getsockopt(descriptor, level, SO_ORIGINAL_DST): 0, or -1 when there is none. */
  call(descriptor: number, level: number): number;
}

const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
const addressBytes = 28;
/** Place of the length word behind the address, in the same memory. */
const lengthAt = 32;

const signature = 'int getsockopt(int, int, int, void *, void *)';

export const byNode: Way = {
  name: 'node:ffi',
  open() {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
    if (ffi === undefined) throw new Error('this Node.js has none');
    const memory = new ArrayBuffer(64);
    const bytes = new Uint8Array(memory);
    const length = new Uint32Array(memory, lengthAt, 1);
    const { functions } = ffi.dlopen(null, {
      getsockopt: {
        return: 'int32',
        arguments: ['int32', 'int32', 'int32', 'pointer', 'pointer'],
      },
    });
    // Raw pointers are half the price of passing buffers; `bytes` keeps their memory alive.
    const address = ffi.getRawPointer(memory);
    const lengthAddress = address + BigInt(lengthAt);
    return {
      bytes,
      call(descriptor, level) {
        length[0] = addressBytes;
        return functions.getsockopt(descriptor, level, SO_ORIGINAL_DST, address, lengthAddress);
      },
    };
  },
};

export const byKoffi: Way = {
  name: 'koffi',
  open() {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
    const getsockopt = libraryOf(koffi).func(signature);
    const bytes = Buffer.alloc(addressBytes);
    const length = Buffer.alloc(4);
    return {
      bytes,
      call(descriptor, level) {
        length.writeUInt32LE(addressBytes);
        return getsockopt(descriptor, level, SO_ORIGINAL_DST, bytes, length);
      },
    };
  },
};

/** The C library: glibc's name, then musl's. */
function libraryOf(koffi: typeof import('koffi')) {
  try {
    return koffi.load('libc.so.6');
  } catch {
    const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
    return koffi.load(`libc.musl-${machine}.so.1`);
  }
}

/** Loads node:ffi without its warning: the log is JSON lines, and a self-test proves that it works. */
export function quietly<Result>(load: () => Result): Result {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function readerOf(lookup: Lookup): OriginalDestinationReader {
  const { bytes } = lookup;
  return {
    read(from, family = 0) {
      const arrival = 'descriptor' in from ? from : arrivalOf(from);
      const { descriptor } = arrival;
      if (descriptor < 0) return undefined;
      const isV6 = family === 0 ? isOfV6(arrival) : family === 6;
      if (lookup.call(descriptor, isV6 ? SOL_IPV6 : SOL_IP) !== 0) return undefined;
      const port = (bytes[2]! << 8) | bytes[3]!;
      const address = isV6 ? printV6(bytes) : `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`;
      return { address, port };
    },
  };
}

/** An IPv4 connection on a `[::]` listener has an IPv4-mapped address and IPv4's option. */
function isOfV6({ socket }: Arrival): boolean {
  const { localAddress = '' } = socket;
  return localAddress.includes(':') && !localAddress.startsWith('::ffff:');
}

/** RFC 5952: lower-case, the longest run of two or more zero groups as `::`. */
function printV6(bytes: Uint8Array): string {
  const groups: string[] = [];
  let [runStart, runLength, zeroStart] = [-1, 1, -1];
  for (let index = 0; index < 8; index += 1) {
    const group = (bytes[8 + 2 * index]! << 8) | bytes[9 + 2 * index]!;
    groups.push(group.toString(16));
    if (group !== 0) zeroStart = -1;
    else if (zeroStart < 0) zeroStart = index;
    if (zeroStart >= 0 && index - zeroStart + 1 > runLength) {
      runStart = zeroStart;
      runLength = index - zeroStart + 1;
    }
  }
  if (runStart < 0) return groups.join(':');
  const head = groups.slice(0, runStart).join(':');
  return `${head}::${groups.slice(runStart + runLength).join(':')}`;
}
