/**
 * Sockets that read into one shared slab: the file that knows how Node.js is made to do that.
 *
 * A chunk is valid during `onBytes` only: the next read of any socket overwrites it. What must live
 * longer is copied (as text, into a ByteHold or a Buffer of its own), never passed to socket.write,
 * which may keep it (reference/performance.md section 7, point 4). Against 'data' events this saves
 * a Buffer and a stream push a read: 1.5 us of CPU a request (Node 26.10, 2026-11-25).
 */

import type { Socket } from 'node:net';
import { DirectSocket } from './direct-socket.ts';
import { ReadMemory, type Slab } from './slab.ts';

/** Who gets the bytes of a socket. */
export interface ByteTaker {
  /** `chunk` holds the bytes of this read and nothing else; it is not to be kept. */
  onBytes(chunk: Buffer): void;
}

/** Where and how both kinds of socket read and write. */
export interface SocketSettings {
  readonly slab: Slab;
  /** Bytes that a socket holds unsent before `writableNeedDrain`. */
  readonly heldBytesMax: number;
}

/** The part of a socket that is Node.js's own business. */
interface WithHandle {
  _handle: object | null;
}

/** How a connection comes to read a socket that was accepted; returns the socket to write to. */
export type ReadSocket = (accepted: Socket, taker: ByteTaker, settings: SocketSettings) => Socket;

/** Of a TLSSocket: the socket beneath. */
interface WithParent {
  readonly _parent?: Socket | null;
}

/** Ends a connection by RST; a secure one by RST of the socket beneath. */
export function resetSocket(socket: Socket): void {
  const { _parent: parent } = socket as unknown as WithParent;
  (parent ?? socket).resetAndDestroy();
}

/**
 * Takes over a socket that a `net.Server` with `pauseOnConnect` has accepted: a server's sockets
 * have no `onread` option, a new Socket on the same handle has. Reading starts at once.
 */
export function adoptSocket(accepted: Socket, taker: ByteTaker, settings: SocketSettings): Socket {
  const owner = accepted as unknown as WithHandle;
  const handle = owner._handle;
  if (handle === null || handle === undefined) {
    // Already closed by the peer, or a Node.js without `_handle`: plain 'data' events serve too.
    accepted.on('data', (chunk: Buffer) => taker.onBytes(chunk));
    accepted.resume();
    return accepted;
  }
  owner._handle = null;
  const reads = new ReadMemory(settings.slab);
  const options = {
    handle,
    allowHalfOpen: true,
    writableHighWaterMark: settings.heldBytesMax,
    onread: readInto(reads, taker),
  };
  return new DirectSocket(options, reads);
}

/** Begins a connection to an upstream; both ends may half-close, nothing is delayed (Nagle off). */
export function openSocket(
  host: string,
  port: number,
  taker: ByteTaker,
  settings: SocketSettings,
): Socket {
  const reads = new ReadMemory(settings.slab);
  const options = {
    noDelay: true,
    allowHalfOpen: true,
    writableHighWaterMark: settings.heldBytesMax,
    onread: readInto(reads, taker),
  };
  return new DirectSocket(options, reads).connect({ host, port });
}

/**
 * Node.js asks for memory when there is a handle to read from (a name with several addresses may take
 * several) and after each read; there undefined is the same again.
 */
function readInto(
  reads: ReadMemory,
  taker: ByteTaker,
): { buffer(): Buffer | undefined; callback(length: number): boolean } {
  let isAfterRead = false;
  return {
    buffer() {
      if (isAfterRead && reads.next === reads.current) return undefined;
      isAfterRead = false;
      reads.current = reads.next;
      return reads.current.bytes;
    },
    callback(length) {
      taker.onBytes(reads.current.view(length));
      isAfterRead = true;
      return true;
    },
  };
}
