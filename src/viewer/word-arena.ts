/**
 * Rows of 32-bit words in a few big arrays, outside of the JavaScript heap.
 *
 *    segment 0 [row|row|row..]  segment 1 [row|row....]  segment 2 [row|    ]◄ appended here
 *       live 3                     live 2                   live 1
 *
 * Rows never move and are never given out again one by one: a segment goes as a whole when its last
 * row has been released. Traces leave in the order in which they came, so that is soon after.
 * An address is a number of 32 bits: the slot of the segment above 16 bits of the place in it.
 */

import { assert } from '../base/assert.ts';

/** No row has this address. */
export const NO_ROW = 0;

const placeBits = 16;
const placeMask = 0xffff;

/** Appends rows; a row is held until it is released. */
export class WordArena {
  /** Memory of all segments. */
  bytes = 0;
  /** By slot; read with `segmentOf` and `placeOf`. */
  readonly segments: (Uint32Array | undefined)[] = [];
  readonly #segmentWords: number;
  readonly #live: number[] = [];
  readonly #freeSlots: number[] = [];
  #slot = -1;
  #at = 0;

  /** `segmentWords`: 2 to 65 536, at least the longest row and one. */
  constructor(segmentWords: number) {
    assert(segmentWords > 1 && segmentWords <= placeMask + 1, 'a place has 16 bits');
    this.#segmentWords = segmentWords;
  }

  /** The address of a new row of `words` words, all 0 or whatever was there: write them all. */
  allocate(words: number): number {
    assert(words < this.#segmentWords, 'a row fits into a segment');
    if (this.#slot === -1 || this.#at + words > this.#segmentWords) this.#begin();
    const address = ((this.#slot << placeBits) | this.#at) >>> 0;
    this.#at += words;
    this.#live[this.#slot]! += 1;
    return address;
  }

  release(address: number): void {
    const slot = address >>> placeBits;
    assert(this.#live[slot]! > 0, 'a row is released once');
    this.#live[slot]! -= 1;
    if (this.#live[slot]! === 0) this.#drop(slot);
  }

  #begin(): void {
    const slot = this.#freeSlots.pop() ?? this.segments.length;
    assert(slot <= placeMask, 'the store is bounded far below what addresses reach');
    this.segments[slot] = new Uint32Array(this.#segmentWords);
    this.#live[slot] = 0;
    this.bytes += 4 * this.#segmentWords;
    this.#slot = slot;
    // Place 0 of slot 0 would be NO_ROW.
    this.#at = 1;
  }

  #drop(slot: number): void {
    this.segments[slot] = undefined;
    this.bytes -= 4 * this.#segmentWords;
    this.#freeSlots.push(slot);
    if (slot === this.#slot) this.#slot = -1;
  }
}

/** The segment in which the row lies. */
export function segmentOf(arena: WordArena, address: number): Uint32Array {
  return arena.segments[address >>> placeBits]!;
}

/** Where in its segment the row begins. */
export function placeOf(address: number): number {
  return address & placeMask;
}
