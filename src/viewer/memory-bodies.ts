/**
 * The JSON of spans in memory: appended to big chunks outside of the JavaScript heap.
 *
 * A chunk goes when the last span in it has gone. Traces leave in the order in which they came, so
 * chunks do too; what is counted is the chunks, so the bound holds whatever is sent.
 */

import { assert } from '../base/assert.ts';
import type { BodyPlace, SpanBodies, SpanToKeep, StoredSpan } from './span-bodies.ts';

/** Never fails and keeps nothing over a restart. */
export class MemoryBodies implements SpanBodies {
  readonly file = '';
  readonly problem = '';
  bytes = 0;
  readonly #chunkBytes: number;
  readonly #chunks: (Buffer | undefined)[] = [];
  readonly #live: number[] = [];
  readonly #freeSlots: number[] = [];
  #slot = -1;
  #at = 0;

  /** `chunkBytes`: a longer JSON gets a chunk of its own. */
  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  stored(): Iterable<StoredSpan> {
    return [];
  }

  know(): void {}

  /** bodyHigh is the chunk, bodyLow the offset. */
  put(json: string, _span: SpanToKeep, place: BodyPlace): void {
    const bytes = Buffer.byteLength(json);
    if (this.#slot === -1 || this.#at + bytes > this.#chunks[this.#slot]!.length) {
      this.#begin(Math.max(bytes, this.#chunkBytes));
    }
    this.#chunks[this.#slot]!.write(json, this.#at);
    this.#live[this.#slot]! += 1;
    place.bodyHigh = this.#slot;
    place.bodyLow = this.#at;
    place.bodyBytes = bytes;
    this.#at += bytes;
  }

  commit(): string {
    return '';
  }

  read({ bodyHigh, bodyLow, bodyBytes }: Readonly<BodyPlace>): Uint8Array {
    return this.#chunks[bodyHigh]!.subarray(bodyLow, bodyLow + bodyBytes);
  }

  release({ bodyHigh }: Readonly<BodyPlace>): void {
    assert(this.#live[bodyHigh]! > 0, 'a body is released once');
    this.#live[bodyHigh]! -= 1;
    if (this.#live[bodyHigh]! > 0) return;
    this.bytes -= this.#chunks[bodyHigh]!.length;
    this.#chunks[bodyHigh] = undefined;
    this.#freeSlots.push(bodyHigh);
    if (bodyHigh === this.#slot) this.#slot = -1;
  }

  forgetOrigin(): void {}

  close(): void {}

  #begin(bytes: number): void {
    const slot = this.#freeSlots.pop() ?? this.#chunks.length;
    this.#chunks[slot] = Buffer.allocUnsafeSlow(bytes);
    this.#live[slot] = 0;
    this.bytes += bytes;
    this.#slot = slot;
    this.#at = 0;
  }
}
