/**
 * Local hop: a call to the own Service, when the chosen endpoint is this pod itself.
 *
 *   outbound UpstreamConnection ── LocalSocket ═ LocalSocket ── inbound CapturedConnection
 *
 * The kernel redirects nothing that stays inside a pod, so such a call would pass by the inbound half:
 * no SERVER span, no inbound rules. Here both halves meet in the process, and each does what it would
 * do with a peer elsewhere. TLS that ends at the inbound half is left out: nothing is on any wire.
 */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { OriginalDestination } from '../socket/original-destination.ts';
import type { ByteTaker } from '../socket/socket-reads.ts';

export class LocalHop {
  readonly #ownAddresses: ReadonlySet<string>;
  readonly #isOpen: () => boolean;
  readonly #accept: (accepted: Socket, destination: OriginalDestination) => void;

  /**
   * `isOpen`: the inbound half takes connections now; else a call goes by the kernel, straight to the
   * application. `accept`: takes one as if it had come in from outside.
   */
  constructor(
    ownAddresses: readonly string[],
    isOpen: () => boolean,
    accept: (accepted: Socket, destination: OriginalDestination) => void,
  ) {
    this.#ownAddresses = new Set(ownAddresses);
    this.#isOpen = isOpen;
    this.#accept = accept;
  }

  /** A connection to this pod, which has not been made yet; undefined where a socket is to be dialled. */
  open(address: string, port: number, taker: ByteTaker, heldBytesMax: number): Socket | undefined {
    if (!this.#ownAddresses.has(address) || !this.#isOpen()) return undefined;
    const dialled = new LocalSocket(address, heldBytesMax);
    const accepted = new LocalSocket(address, heldBytesMax);
    dialled.join(accepted);
    accepted.join(dialled);
    dialled.on('data', (chunk: Buffer) => taker.onBytes(chunk));
    // As with a real one: who dials goes on first, and is told later.
    process.nextTick(() => {
      if (dialled.destroyed) return;
      this.#accept(asSocket(accepted), { address, port });
      if (!accepted.destroyed) dialled.emit('connect');
    });
    return asSocket(dialled);
  }
}

/** It has all of a socket that this room uses. */
function asSocket(socket: LocalSocket): Socket {
  return socket as unknown as Socket;
}

/** One end of a pair: what is written here is read there. */
class LocalSocket extends Duplex {
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly remotePort = 0;
  readonly connecting = false;
  #peer: LocalSocket | undefined;
  /** Of the peer: its last write is done when this side reads on. */
  #onRead: (() => void) | undefined;
  #isReset = false;

  constructor(address: string, heldBytesMax: number) {
    super({ allowHalfOpen: true, highWaterMark: heldBytesMax });
    this.remoteAddress = address;
    this.localAddress = address;
  }

  join(peer: LocalSocket): void {
    this.#peer = peer;
  }

  /** RST: the peer learns that not all is well. */
  resetAndDestroy(): this {
    this.#isReset = true;
    return this.destroy();
  }

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  override _read(): void {
    const onRead = this.#onRead;
    this.#onRead = undefined;
    onRead?.();
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    const peer = this.#peer;
    if (peer === undefined || peer.destroyed) {
      done(resetError());
      return;
    }
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    if (peer.push(bytes)) done();
    else peer.#onRead = done;
  }

  override _final(done: Done): void {
    this.#peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    const peer = this.#peer;
    const isWhole = this.writableFinished;
    const onRead = this.#onRead;
    this.#peer = undefined;
    this.#onRead = undefined;
    onRead?.();
    process.nextTick(() => {
      if (peer === undefined || peer.destroyed) return;
      if (this.#isReset) peer.destroy(resetError());
      else if (!isWhole) peer.push(null);
    });
    done(error);
  }
}

type Done = (error?: Error | null) => void;

function resetError(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' });
}
