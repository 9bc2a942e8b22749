/**
 * One direction of a tunnel: what is read from one socket is sent to the other, at once if it can be.
 *
 *   few bytes     shared slab ──copied into the write slab──► kernel
 *   many bytes    a slab of its own ────────────────────────► kernel      no copy
 *
 * Reading stops while what the other side has not taken is `heldBytesMax` / 2 or more, and a read
 * brings at most the rest of it. A slab that the kernel has not taken whole is left alone until it has:
 * the next read goes into the shared one. Idle tunnels have no slab.
 */

import type { Socket } from 'node:net';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { DirectSocket } from '../socket/direct-socket.ts';
import { SecureSocket } from '../socket/secure-socket.ts';
import type { ReadMemory, Slab } from '../socket/slab.ts';

export class ByteFlow {
  /** FIN has come, and was passed on. */
  isEnded = false;
  readonly #scope: ProxyScope;
  readonly #from: Socket;
  readonly #to: Socket;
  /** Where `from` reads into; undefined when that is Node.js's own affair (TLS). */
  readonly #reads: ReadMemory | undefined;
  /** Of this flow alone, while much comes. */
  #own: Slab | undefined;
  #isPaused = false;

  constructor(scope: ProxyScope, from: Socket, to: Socket) {
    this.#scope = scope;
    this.#from = from;
    this.#to = to;
    const isDirect = from instanceof DirectSocket && to instanceof DirectSocket;
    this.#reads = isDirect ? from.reads : undefined;
  }

  /** Sends `chunk`, or holds what the kernel does not take. */
  pass(chunk: Buffer): void {
    const to = this.#to;
    if (to instanceof SecureSocket) to.send(chunk);
    else if (!(to instanceof DirectSocket)) to.write(Buffer.from(chunk));
    else if (chunk.buffer === this.#own?.bytes.buffer) to.send(chunk);
    else {
      const { out } = this.#scope;
      out.putBytes(chunk, 0, chunk.length);
      out.send(to);
    }
    if (to.writableLength >= to.writableHighWaterMark) {
      this.#isPaused = true;
      this.#from.pause();
    }
    this.#chooseSlab(chunk.length);
  }

  /** The other side has taken everything. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#from.resume();
  }

  /** Passes FIN on. */
  end(): void {
    this.isEnded = true;
    this.#to.end();
  }

  /**
   * Sends what has been read, and FIN; what still comes is read and goes nowhere. Of flows that begin or
   * end at TLS: those have no slab of their own, which could be read into while it is being sent.
   */
  stop(): void {
    if (!this.isEnded) this.end();
    this.resume();
  }

  /** The tunnel is over. */
  close(): void {
    this.#giveUpSlab();
  }

  /** Where the next read goes, after one of `length` bytes. */
  #chooseSlab(length: number): void {
    const reads = this.#reads;
    if (reads === undefined) return;
    const { tunnelSlabs, sockets } = this.#scope;
    const shared = sockets.slab;
    if (this.#own === undefined) {
      // A read that fills the memory there is: more is waiting.
      if (length < shared.bytes.length) return;
      this.#own = tunnelSlabs.take();
    } else if (length < shared.bytes.length >> 1 && this.#to.writableLength === 0) {
      this.#giveUpSlab();
    }
    // A paused flow reads again when all is sent.
    const isFree = this.#isPaused || this.#to.writableLength === 0;
    reads.next = this.#own !== undefined && isFree ? this.#own : shared;
  }

  #giveUpSlab(): void {
    const own = this.#own;
    if (own === undefined) return;
    this.#own = undefined;
    this.#scope.tunnelSlabs.giveBack(own, this.#to.writableLength === 0);
  }
}
