/**
 * A TLS socket of either side, whose writes go to OpenSSL and the kernel at once, past the stream.
 *
 * Node.js reports every write of TLS as one that is under way until the next turn, with a request, a copy
 * and a callback each. But OpenSSL has encrypted the bytes before the call returns, and the kernel has
 * nearly always taken them. So one request serves all writes of a socket, nobody listens to its end,
 * and the caller's memory is its own again. Only what meets a write that is not over yet, or a full
 * kernel, goes through the stream, which then tells of 'drain' and of errors as ever: 3 us of CPU less
 * a message (Node 26.10, 2026-11-26). Where Node.js does not let us a plain write does the same.
 *
 * Nothing of the application is sent before `trust`: what is written earlier waits for it.
 */

import type { Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import {
  newWriteRequest,
  systemError,
  type WritableParts,
  type WriteRequest,
  writablePartsOf,
} from './direct-socket.ts';

/** `TLSWrap` of Node.js. */
interface SecureHandle {
  /** 0, or an error number of libuv's (negative). */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  readonly reading: boolean;
  /** The socket beneath, of libuv's. */
  readonly _parent: TcpBeneath;
  verifyError(): (Error & { code?: string }) | undefined;
  onnewsession: (id: Buffer, session: Buffer) => void;
  enableSessionCallbacks(): void;
}

interface TcpBeneath {
  /** Bytes that the kernel has not taken. */
  readonly writeQueueSize: number;
  /** 0, or an error number. */
  readStart(): number;
  close(onClosed?: () => void): void;
  reset?(onClosed?: () => void): number;
}

/**
 * After a write of so many bytes the kernel is not asked whether it has taken all: a look costs 0.2 us. If it
 * has not, the next write finds this one under way and waits for it in the stream.
 */
const UNASKED_BYTES_MAX = 4 * 1_024;

type Written = (error?: Error | null) => void;

/** Options of Node.js that its types do not know: for sockets that are dialled. */
export interface SecureSocketOptions extends TLSSocketOptions {
  readonly allowHalfOpen?: boolean;
  readonly highWaterMark?: number;
  readonly noDelay?: boolean;
  readonly onread?: { buffer(): Buffer | undefined; callback(length: number): boolean };
}

export class SecureSocket extends TLSSocket {
  /** The peer has ended without saying so in TLS (close_notify): what it said may be a part only. */
  isCut = false;
  #isTrusted = false;
  readonly #writable: WritableParts;
  /** Of all direct writes, one at a time; undefined where Node.js shows us none. */
  readonly #request: WriteRequest | undefined = newWriteRequest();
  /** The bytes that the stream is about to be given have been sent, and are waited for. */
  #isSent = false;
  /** Error number of a write that failed at once; 0 = none. */
  #failed = 0;
  /** FIN is on its way to the kernel. */
  #isFinishing = false;
  /** What waits for `trust`. */
  #held: (() => void) | undefined;

  /** On `beneath`, or to be dialled with `connect` where that is undefined. */
  constructor(beneath: Socket | undefined, options: SecureSocketOptions) {
    // Its types do not say so, but without a socket it makes its own.
    super(beneath as Socket, options);
    this.#writable = writablePartsOf(this);
  }

  /** The peer is who it has to be: what has been written is sent. */
  trust(): void {
    this.#isTrusted = true;
    const held = this.#held;
    this.#held = undefined;
    held?.();
  }

  /** What OpenSSL found wrong with the peer's chain; undefined: nothing. Of a finished handshake. */
  get chainError(): (Error & { code?: string }) | undefined {
    // Null where all is well.
    return this.#handle()?.verifyError() ?? undefined;
  }

  /** Gives what the peer offers for later handshakes (RFC 8446 4.6.1) to `take`, each time. */
  takeSessions(take: (session: Buffer) => void): void {
    const handle = this.#handle();
    if (handle === null) return;
    handle.onnewsession = (_id, session) => take(session);
    handle.enableSessionCallbacks();
  }

  /** Sends `bytes`; their memory is the caller's again. Not for sockets that have been ended. */
  send(bytes: Buffer): void {
    const request = this.#request;
    const handle = this.#handle();
    if (request === undefined || handle === null || !this.#mayWrite(request)) {
      this.write(Buffer.from(bytes));
      return;
    }
    request.writeStatus = null;
    const error = handle.writeBuffer(request, bytes);
    if (error !== 0) request.writeStatus = error;
    // Filled in while the call lasted: the kernel has refused it.
    const status = request.writeStatus as number | null;
    if (status !== null && status < 0) this.#failed = status;
    else if (bytes.length <= UNASKED_BYTES_MAX || handle._parent.writeQueueSize === 0) return;
    else this.#isSent = true;
    // From it the stream learns only how much is under way.
    this.write(bytes);
  }

  /** RST. While a FIN of ours is under way there can be none, so then it is a FIN. */
  override resetAndDestroy(): this {
    const { _parent: beneath } = this as unknown as { readonly _parent: Socket | null };
    if (beneath !== null) {
      beneath.resetAndDestroy();
      return this;
    }
    const tcp = this.#handle()?._parent;
    const { reset, close } = tcp ?? {};
    // Refused then, and Node.js would take the socket for closed: its descriptor would stay open.
    const mayReset = !this.#isFinishing;
    if (mayReset && tcp !== undefined && reset !== undefined && close !== undefined) {
      // What Node.js calls to close TLS.
      tcp.close = (onClosed) => {
        if (reset.call(tcp, onClosed) !== 0) close.call(tcp, onClosed);
      };
    }
    return this.destroy();
  }

  /**
   * Called by Node.js for bytes behind the handshake that are no records of this connection, or an alert.
   * Its own tells of the error alone, and the socket would stay open with nothing to come.
   */
  _emitTLSError(error: Error): void {
    this.destroy(error);
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null) this.#noteEnd();
    return super.push(chunk, encoding);
  }

  override _write(chunk: unknown, encoding: BufferEncoding, done: Written): void {
    if (this.#isFree(() => this._write(chunk, encoding, done), done)) {
      super._write(chunk, encoding, done);
    }
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], done: Written): void {
    if (this.#isFree(() => this._writev(chunks, done), done)) super._writev!(chunks, done);
  }

  override _final(done: Written): void {
    // FIN would overtake the word that stands before it in TLS (close_notify).
    if (!this.#isFree(() => this._final(done), done)) return;
    this.#isFinishing = true;
    super._final((error) => {
      this.#isFinishing = false;
      done(error);
    });
  }

  #handle(): SecureHandle | null {
    return (this as unknown as { readonly _handle: SecureHandle | null })._handle;
  }

  /** No bytes before ours are in the stream, and none of ours is on its way to the kernel. */
  #mayWrite(request: WriteRequest): boolean {
    if (!this.#isTrusted || request.writeStatus === null) return false;
    const { length, corked } = this.#writable;
    return length === 0 && corked === 0;
  }

  /** Whether the stream may write now; else `again` is called when it may, or `done` at the end. */
  #isFree(again: () => void, done: Written): boolean {
    const request = this.#request;
    if (!this.#isTrusted) this.#held = again;
    else if (this.#failed !== 0) done(systemError('write', this.#failed));
    else if (request === undefined || request.writeStatus !== null) return true;
    else {
      const isSent = this.#isSent;
      this.#isSent = false;
      request.oncomplete = (status) => {
        request.oncomplete = null;
        request.writeStatus = status;
        if (status < 0) done(systemError('write', status));
        else if (isSent) done();
        else again();
      };
    }
    return false;
  }

  /**
   * Whether the peer said that it ends. Its word comes as bytes while the socket beneath is still read;
   * a bare FIN ends that reading. A stopped socket hears no FIN, only what had come before.
   */
  #noteEnd(): void {
    const handle = this.#handle();
    if (handle === null || this.encrypted !== true) return;
    this.isCut = handle.reading && handle._parent.readStart() === 0;
  }
}
