/**
 * Sockets that read into one shared slab: the file that knows how Node.js is made to do that.
 *
 * A chunk is valid during `onBytes` only: the next read of any socket overwrites it. What must live
 * longer is copied (as text, into a ByteHold or a Buffer of its own), never passed to socket.write,
 * which may keep it (reference/performance.md section 7, point 4). Against 'data' events this saves
 * a Buffer and a stream push a read: 1.5 us of CPU a request (Node 26.10, 2026-11-25).
 */

import type { Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { beginDial, DirectSocket, lastReadLength } from './direct-socket.ts';
import { SecureSocket, type SecureSocketOptions } from './secure-socket.ts';
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

/** Of a server that listens. */
interface ListeningHandle {
  /** `status`: 0, or an error number. */
  onconnection: (this: ListeningHandle, status: number, client?: AcceptedHandle) => void;
  setNoDelay?(isOn: boolean): number;
}

interface AcceptedHandle {
  readonly fd?: number;
  setNoDelay?(isOn: boolean): number;
}

/** Of a TLSSocket: the socket beneath. */
interface WithParent {
  readonly _parent?: Socket | null;
}

/**
 * Ends a connection by RST; a secure one by RST of the socket beneath. While a FIN of ours is under way
 * there can be none: Node.js would take the socket for closed and leave its descriptor open.
 */
export function resetSocket(socket: Socket): void {
  const { _parent: parent } = socket as unknown as WithParent;
  const beneath = parent ?? socket;
  if (beneath.writableEnded && !beneath.writableFinished && beneath.writableLength === 0) {
    beneath.destroy();
  } else beneath.resetAndDestroy();
}

/**
 * A connection that has been accepted and that nobody has read from. It becomes a socket when it is
 * first asked for one: what must be fast is done before.
 */
export interface Arrival {
  /** Of the system; -1 when it is closed, or has none. */
  readonly descriptor: number;
  readonly socket: Socket;
}

/** Of one that is a socket already. */
export function arrivalOf(socket: Socket): Arrival {
  const { _handle: handle } = socket as unknown as { readonly _handle?: AcceptedHandle | null };
  return { descriptor: handle?.fd ?? -1, socket };
}

/**
 * Gives what `server`, which listens, accepts to `onArrival`, without Nagle's delay. The server makes no
 * sockets of its own then, and counts none. Where Node.js does not let us it goes on with its
 * 'connection' events.
 */
export function takeArrivals(
  server: Server,
  settings: SocketSettings,
  onArrival: (arrival: Arrival) => void,
): void {
  const { _handle: handle } = server as unknown as { readonly _handle: ListeningHandle | null };
  const usual = handle?.onconnection;
  if (handle === null || typeof usual !== 'function') return;
  // On Linux accepted sockets have it from the one that listens.
  const isInherited = process.platform === 'linux' && handle.setNoDelay?.(true) === 0;
  handle.onconnection = function onConnection(status, client) {
    if (status !== 0 || client === undefined) {
      usual.call(this, status, client);
      return;
    }
    if (!isInherited) client.setNoDelay?.(true);
    onArrival(new UnreadHandle(client, settings));
  };
}

class UnreadHandle implements Arrival {
  readonly #handle: AcceptedHandle;
  readonly #settings: SocketSettings;
  #socket: Socket | undefined;

  constructor(handle: AcceptedHandle, settings: SocketSettings) {
    this.#handle = handle;
    this.#settings = settings;
  }

  get descriptor(): number {
    return this.#handle.fd ?? -1;
  }

  get socket(): Socket {
    if (this.#socket === undefined) {
      const settings = this.#settings;
      this.#socket = socketOn(this.#handle, new LateReads(settings.slab), settings, true);
    }
    return this.#socket;
  }
}

/**
 * Lets `taker` have what comes on a socket that a server has accepted and nobody has read from. Reading
 * starts at once. One that comes from a 'connection' event of a server with `pauseOnConnect` has no
 * `onread` option, so a new socket takes its handle.
 */
export function adoptSocket(accepted: Socket, taker: ByteTaker, settings: SocketSettings): Socket {
  const isOurs = accepted instanceof DirectSocket || accepted instanceof AcceptedSecureSocket;
  if (isOurs && accepted.reads instanceof LateReads) {
    accepted.reads.taker = taker;
    accepted.read(0);
    return accepted;
  }
  const owner = accepted as unknown as WithHandle;
  const handle = owner._handle;
  if (handle === null || handle === undefined) {
    // Already closed by the peer, or a Node.js without `_handle`: plain 'data' events serve too.
    accepted.on('data', (chunk: Buffer) => taker.onBytes(chunk));
    accepted.resume();
    return accepted;
  }
  owner._handle = null;
  const reads = new LateReads(settings.slab);
  reads.taker = taker;
  return socketOn(handle, reads, settings, false);
}

/** Reads once it is known who wants them. */
class LateReads extends ReadMemory implements ByteTaker {
  taker: ByteTaker | undefined = undefined;

  onBytes(chunk: Buffer): void {
    this.taker?.onBytes(chunk);
  }
}

function socketOn(
  handle: object,
  reads: LateReads,
  settings: SocketSettings,
  manualStart: boolean,
): DirectSocket {
  const options = {
    handle,
    manualStart,
    allowHalfOpen: true,
    writableHighWaterMark: settings.heldBytesMax,
    onread: readInto(reads, reads),
  };
  const socket = new DirectSocket(options, reads);
  takeReads(socket, reads, reads);
  return socket;
}

/** Begins a connection to an upstream; both ends may half-close, nothing is delayed (Nagle off). */
export function openSocket(
  host: string,
  port: number,
  taker: ByteTaker,
  settings: SocketSettings,
): Socket {
  const dial = beginDial(host, port);
  const reads = new ReadMemory(settings.slab);
  const options = {
    noDelay: true,
    allowHalfOpen: true,
    writableHighWaterMark: settings.heldBytesMax,
    onread: readInto(reads, taker),
  };
  if (dial === undefined) {
    const socket = new DirectSocket(options, reads);
    return socket.connect({ host, port }, () => takeReads(socket, reads, taker));
  }
  const socket = DirectSocket.ofDial(dial, options, reads);
  takeReads(socket, reads, taker);
  return socket;
}

/** Node.js's own TLS, on a handle that has been accepted. */
interface WithWrap {
  /** Gives TLS what has been read before it began. */
  readonly _handle: { receive(bytes: Uint8Array): void } | null;
  _releaseControl(): void;
}

type WrapHandle = (wrap: unknown, handle: object, hasWrites: boolean) => object;

/** Who gets its bytes is told by `adoptSocket`; until then nobody does. */
class AcceptedSecureSocket extends SecureSocket {
  readonly reads: LateReads;

  constructor(handle: object, options: SecureSocketOptions, reads: LateReads) {
    super(undefined, { ...options, isServer: true, beneath: handle } as SecureSocketOptions);
    this.reads = reads;
    // Node.js takes one without a socket beneath for one that is about to be dialled.
    (this as { connecting: boolean }).connecting = false;
  }

  /** Called by Node.js while it makes the socket; it would open another one here. */
  _wrapHandle(wrap: unknown, _handle: object, hasWrites: boolean): object {
    const { _tlsOptions: options } = this as unknown as { _tlsOptions: { beneath: object } };
    const usual = (TLSSocket.prototype as unknown as { _wrapHandle: WrapHandle })._wrapHandle;
    return usual.call(this, wrap, options.beneath, hasWrites);
  }
}

/**
 * A secure socket in the place of `accepted`, which is used up; undefined where its peer has gone. TLS
 * has to be begun by `beginSecure`; 'secure' tells that the handshake is over, and nothing is sent before
 * `trust`.
 */
export function secureAccepted(
  accepted: Socket,
  settings: SocketSettings,
  options: SecureSocketOptions,
): SecureSocket | undefined {
  const owner = accepted as unknown as WithHandle;
  const handle = owner._handle;
  if (handle === null || handle === undefined) return undefined;
  owner._handle = null;
  const reads = new LateReads(settings.slab);
  const socket = new AcceptedSecureSocket(
    handle,
    {
      ...options,
      allowHalfOpen: true,
      highWaterMark: settings.heldBytesMax,
      onread: readInto(reads, reads),
    },
    reads,
  );
  (socket as unknown as WithWrap)._releaseControl();
  takeReads(socket, reads, reads);
  return socket;
}

/** TLS goes on from `said`, which has been read from its socket before. */
export function beginSecure(socket: SecureSocket, said: Buffer): void {
  (socket as unknown as WithWrap)._handle?.receive(said);
}

/** What a secure socket is dialled with. */
export interface SecureTerms {
  readonly options: SecureSocketOptions;
  /** Of the ClientHello; empty: none. */
  readonly serverName: string;
  /** That is to be resumed, if the peer still knows it. */
  readonly session: { readonly bytes: Buffer } | undefined;
}

/** Of Node.js's own: what `tls.connect` does with a socket that it has made. */
interface SecureSteps {
  _releaseControl(): void;
  _start(): void;
  setServername(name: string): void;
}

/**
 * Begins a TLS connection to an upstream: 'secure' tells that the handshake is over, and nothing is sent
 * before `trust`.
 */
export function openSecureSocket(
  host: string,
  port: number,
  taker: ByteTaker,
  settings: SocketSettings,
  { options, serverName, session }: SecureTerms,
): SecureSocket {
  const reads = new ReadMemory(settings.slab);
  const socket = new SecureSocket(undefined, {
    ...options,
    ...(session === undefined ? {} : { session: session.bytes }),
    onread: readInto(reads, taker),
  });
  const steps = socket as unknown as SecureSteps;
  steps._releaseControl();
  if (serverName !== '') steps.setServername(serverName);
  socket.connect({ host, port }, () => {
    takeReads(socket, reads, taker);
    steps._start();
  });
  return socket;
}

/** Of a socket that reads. */
interface ReadHandle {
  /** Returns the memory of the reads that follow, if it is another one. */
  onread: (this: ReadHandle, chunk: unknown) => Uint8Array | undefined;
}

/**
 * Gives what comes on `socket` to `taker` without Node.js's own steps for each read, which were 3 % of
 * the CPU of two sidecars (docs/decisions/pair.md, 2026-11-26). The end of the stream and errors stay
 * with Node.js. From here on `readInto` is asked no more. A socket that is destroyed hears nothing:
 * Node.js takes this from its handle.
 */
function takeReads(socket: Socket, reads: ReadMemory, taker: ByteTaker): void {
  const { _handle: handle } = socket as unknown as { readonly _handle: ReadHandle | null };
  const usual = handle?.onread;
  if (handle === null || typeof usual !== 'function' || lastReadLength === undefined) return;
  const lengthOf = lastReadLength;
  handle.onread = function onRead(chunk) {
    const length = lengthOf();
    if (length <= 0) return usual.call(this, chunk);
    taker.onBytes(reads.current.view(length));
    if (reads.next === reads.current) return undefined;
    reads.current = reads.next;
    return reads.current.bytes;
  };
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
