/**
 * The memory in which a thread puts each message together before it is sent: one for all sockets.
 *
 *   put, put, ... send     [ head | chunk head | body bytes | end of chunk ]   one write
 *
 * Nothing is called between the first `put` of a message and its `send`, so messages never mix. When
 * the kernel does not take one at once the memory stays with it, and the next message has a new one.
 */

import type { Socket } from 'node:net';
import { DirectSocket } from './direct-socket.ts';
import { SecureSocket } from './secure-socket.ts';
import { Slab } from './slab.ts';

export class WriteSlab {
  /** Bytes of the message under way. */
  length = 0;
  readonly #slabBytes: number;
  #slab: Slab;
  /** The slab's, or bigger for one message that does not fit. */
  #memory: Buffer;

  /** `bytes`: longer messages get memory of their own. */
  constructor(bytes: number) {
    this.#slabBytes = bytes;
    this.#slab = new Slab(bytes);
    this.#memory = this.#slab.bytes;
  }

  /** Memory with room for `bytes` more from `length` on: write there, then add to `length`. */
  reserve(bytes: number): Buffer {
    const needed = this.length + bytes;
    if (needed > this.#memory.length) this.#grow(needed);
    return this.#memory;
  }

  /** Adds latin1 text. */
  putText(text: string): void {
    if (text === '') return;
    const memory = this.reserve(text.length);
    this.length += memory.latin1Write(text, this.length, text.length);
  }

  /** Adds `chunk[start..end)`. */
  putBytes(chunk: Buffer, start: number, end: number): void {
    const memory = this.reserve(end - start);
    this.length += chunk.copy(memory, this.length, start, end);
  }

  /** Sends the message with one write and is ready for the next one; an empty one is not sent. */
  send(socket: Socket): void {
    const { length } = this;
    this.length = 0;
    if (length === 0) return;
    if (this.#memory !== this.#slab.bytes) {
      socket.write(this.#memory.subarray(0, length));
      this.#memory = this.#slab.bytes;
    } else if (socket instanceof DirectSocket) {
      if (socket.send(this.#slab.view(length))) return;
      this.#slab = new Slab(this.#slabBytes);
      this.#memory = this.#slab.bytes;
    } else if (socket instanceof SecureSocket) socket.send(this.#slab.view(length));
    else socket.write(Buffer.from(this.#slab.view(length)));
  }

  #grow(needed: number): void {
    const bigger = Buffer.allocUnsafeSlow(Math.max(needed, this.#memory.length * 2));
    this.#memory.copy(bigger, 0, 0, this.length);
    this.#memory = bigger;
  }
}
