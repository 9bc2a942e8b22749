/**
 * The body bytes of one read, on their way out: joined, framed, and put into one message.
 *
 * A read brings any number of pieces (chunks of one byte are legal); the peer gets one chunk, with
 * the head before it and the last chunk after it where they are due. Pieces lie in the shared slab,
 * so a batch is put into a message, or kept by copying, before the read's callback returns.
 */

import { lastChunk, printChunkHead } from '../../wire/http1/print.ts';
import { ByteHold } from '../socket/byte-hold.ts';
import type { WriteSlab } from '../socket/write-slab.ts';

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
   * Adds all bytes to the message in `out`, framed, and with `isLast` the end of the framing with
   * `trailers`; empties the batch.
   */
  putInto(out: WriteSlab, framing: number, isLast: boolean, trailers: string): void {
    const length = this.length;
    if (length !== 0) {
      if (framing === Framing.Chunked) out.putText(printChunkHead(length));
      if (this.#chunk === undefined) out.putBytes(this.#kept.view(), 0, length);
      else out.putBytes(this.#chunk, this.#start, this.#end);
      if (framing === Framing.Chunked) out.putText('\r\n');
      this.clear();
    }
    if (framing === Framing.Chunked && isLast) {
      out.putText(trailers === '' ? lastChunk : `0\r\n${trailers}\r\n`);
    }
  }

  #forgetChunk(): void {
    this.#chunk = undefined;
    this.#start = 0;
    this.#end = 0;
  }
}
