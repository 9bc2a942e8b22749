/**
 * The body bytes of one read, on their way out: joined, framed and written with one call.
 *
 * A read brings any number of pieces (chunks of one byte are legal); the peer gets one chunk, with
 * the head before it and the last chunk after it where they are due. Pieces lie in the shared slab,
 * so a batch is written, or kept by copying, before the read's callback returns.
 */

import type { Socket } from 'node:net';
import { lastChunk, printChunkHead } from '../wire/http1/print.ts';
import { ByteHold } from './byte-hold.ts';

/** Up to here a string is cheaper than a Buffer: libuv tries to send it from the stack. */
const TEXT_BYTES_MAX = 8 * 1024;

/** How the bytes after the head are framed on the way out. */
export const Framing = { Plain: 0, Chunked: 1 } as const;

export class BodyBatch {
  readonly #kept = new ByteHold();
  /** One piece in the caller's chunk, not yet copied; empty when start = end. */
  #chunk: Buffer | undefined = undefined;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#kept.length + (this.#end - this.#start);
  }

  /** Takes `chunk[start..end)`; the bytes are not copied if this is the only run of this read. */
  add(chunk: Buffer, start: number, end: number): void {
    if (this.#chunk === undefined && this.#kept.length === 0) {
      this.#chunk = chunk;
      this.#start = start;
      this.#end = end;
    } else if (this.#chunk === chunk && this.#end === start) {
      this.#end = end;
    } else {
      this.keep();
      this.#kept.append(chunk, start, end);
    }
  }

  /** Copies what lies in the caller's chunk: after this the chunk may be overwritten. */
  keep(): void {
    if (this.#chunk === undefined) return;
    this.#kept.append(this.#chunk, this.#start, this.#end);
    this.#forgetChunk();
  }

  clear(): void {
    this.#kept.clear();
    this.#forgetChunk();
  }

  /**
   * Writes `head` (latin1 text, may be ''), all bytes, and with `isLast` the end of the framing
   * with `trailers`; empties the batch. One write; nothing to say writes nothing.
   */
  writeTo(socket: Socket, head: string, framing: number, isLast: boolean, trailers: string): void {
    const length = this.length;
    let before = head;
    let after = '';
    if (framing === Framing.Chunked) {
      if (length !== 0) {
        before += printChunkHead(length);
        after = '\r\n';
      }
      if (isLast) after += trailers === '' ? lastChunk : `0\r\n${trailers}\r\n`;
    }
    if (length === 0) {
      const text = before + after;
      if (text !== '') socket.write(text, 'latin1');
      return;
    }
    this.#writeBytes(socket, before, length, after);
    this.clear();
  }

  #writeBytes(socket: Socket, before: string, length: number, after: string): void {
    let bytes = this.#chunk;
    let start = this.#start;
    if (bytes === undefined) {
      bytes = this.#kept.view();
      start = 0;
    }
    if (before.length + length + after.length <= TEXT_BYTES_MAX) {
      socket.write(before + bytes.latin1Slice(start, start + length) + after, 'latin1');
      return;
    }
    const message = Buffer.allocUnsafeSlow(before.length + length + after.length);
    message.latin1Write(before, 0, before.length);
    bytes.copy(message, before.length, start, start + length);
    message.latin1Write(after, before.length + length, after.length);
    socket.write(message);
  }

  #forgetChunk(): void {
    this.#chunk = undefined;
    this.#start = 0;
    this.#end = 0;
  }
}
