/**
 * A span as the index keeps it: what a search compares, in 17 words and one for each attribute.
 *
 *   0 words:16 kind:4 status:2 flags     1 next row of the trace   2-3 span id   4-5 parent's id
 *   6 origin   7 name   8-9 start (us, float64)   10-11 duration (ns, float64)
 *   12-13 place of its JSON   14 bytes of its JSON   15-16 a bit for each token, by its lowest 6
 *   17.. tokens: hashes of `key\0value`
 *
 * A cursor walks over the rows of one trace; it is reused and makes no objects.
 */

import type { TraceEntry } from './trace-index.ts';
import { NO_ROW, placeOf, segmentOf, WordArena } from './word-arena.ts';

/** Words before the tokens. */
export const rowHeadWords = 17;

/** Bits 22 and up of word 0. */
export const RowFlag = {
  HasParent: 1,
  /** Taken back: it could not be stored. */
  Dead: 2,
} as const;

const flagShift = 22;

/** What is known of a span before its row is made. */
export interface RowParts {
  readonly kind: number;
  readonly status: number;
  readonly spanHigh: number;
  readonly spanLow: number;
  readonly hasParent: boolean;
  readonly parentHigh: number;
  readonly parentLow: number;
  readonly originId: number;
  readonly nameId: number;
  readonly startUs: number;
  readonly durationNs: number;
  readonly bodyHigh: number;
  readonly bodyLow: number;
  readonly bodyBytes: number;
}

const scratch = new Float64Array(1);
const scratchWords = new Uint32Array(scratch.buffer);

/** Writes a row of `rowHeadWords` and `tokens.length` words at `at`. */
export function writeRow(
  words: Uint32Array,
  at: number,
  parts: RowParts,
  tokens: ArrayLike<number>,
): void {
  const flags = parts.hasParent ? RowFlag.HasParent : 0;
  const length = rowHeadWords + tokens.length;
  words[at] = (length | (parts.kind << 16) | (parts.status << 20) | (flags << flagShift)) >>> 0;
  words[at + 1] = NO_ROW;
  words[at + 2] = parts.spanHigh;
  words[at + 3] = parts.spanLow;
  words[at + 4] = parts.parentHigh;
  words[at + 5] = parts.parentLow;
  words[at + 6] = parts.originId;
  words[at + 7] = parts.nameId;
  scratch[0] = parts.startUs;
  words[at + 8] = scratchWords[0]!;
  words[at + 9] = scratchWords[1]!;
  scratch[0] = parts.durationNs;
  words[at + 10] = scratchWords[0]!;
  words[at + 11] = scratchWords[1]!;
  words[at + 12] = parts.bodyHigh;
  words[at + 13] = parts.bodyLow;
  words[at + 14] = parts.bodyBytes;
  words[at + 15] = 0;
  words[at + 16] = 0;
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]!;
    words[at + rowHeadWords + index] = token;
    words[at + 15 + ((token >>> 5) & 1)]! |= 1 << (token & 31);
  }
}

/** Stands on one row of a trace at a time. */
export class RowCursor implements RowParts {
  address = NO_ROW;
  /** The words of its segment, and where its own begin. */
  words: Uint32Array = noWords;
  at = 0;
  readonly #arena: WordArena;

  constructor(arena: WordArena) {
    this.#arena = arena;
  }

  /** Goes to the first row of the trace; false when it has none. */
  first(trace: TraceEntry): boolean {
    return this.#moveTo(trace.firstRow);
  }

  /** Goes to the next row; false after the last. */
  next(): boolean {
    return this.#moveTo(this.words[this.at + 1]!);
  }

  /** Goes to a row that is there, dead or not. */
  goTo(address: number): void {
    this.address = address;
    this.words = segmentOf(this.#arena, address);
    this.at = placeOf(address);
  }

  #moveTo(address: number): boolean {
    let next = address;
    while (next !== NO_ROW) {
      this.goTo(next);
      if (!this.isDead) return true;
      next = this.words[this.at + 1]!;
    }
    return false;
  }

  get isDead(): boolean {
    return (this.words[this.at]! & (RowFlag.Dead << flagShift)) !== 0;
  }

  kill(): void {
    this.words[this.at]! |= RowFlag.Dead << flagShift;
  }

  get length(): number {
    return this.words[this.at]! & 0xffff;
  }

  get kind(): number {
    return (this.words[this.at]! >>> 16) & 15;
  }

  get status(): number {
    return (this.words[this.at]! >>> 20) & 3;
  }

  get hasParent(): boolean {
    return (this.words[this.at]! & (RowFlag.HasParent << flagShift)) !== 0;
  }

  get spanHigh(): number {
    return this.words[this.at + 2]!;
  }

  get spanLow(): number {
    return this.words[this.at + 3]!;
  }

  get parentHigh(): number {
    return this.words[this.at + 4]!;
  }

  get parentLow(): number {
    return this.words[this.at + 5]!;
  }

  get originId(): number {
    return this.words[this.at + 6]!;
  }

  get nameId(): number {
    return this.words[this.at + 7]!;
  }

  get startUs(): number {
    scratchWords[0] = this.words[this.at + 8]!;
    scratchWords[1] = this.words[this.at + 9]!;
    return scratch[0]!;
  }

  get durationNs(): number {
    scratchWords[0] = this.words[this.at + 10]!;
    scratchWords[1] = this.words[this.at + 11]!;
    return scratch[0]!;
  }

  get bodyHigh(): number {
    return this.words[this.at + 12]!;
  }

  get bodyLow(): number {
    return this.words[this.at + 13]!;
  }

  get bodyBytes(): number {
    return this.words[this.at + 14]!;
  }

  /** Whether the span has an attribute with this token. */
  hasToken(token: number): boolean {
    const { words, at } = this;
    // Two of three spans without it end here.
    if (((words[at + 15 + ((token >>> 5) & 1)]! >>> (token & 31)) & 1) === 0) return false;
    const end = at + (words[at]! & 0xffff);
    for (let index = at + rowHeadWords; index < end; index++) {
      if (words[index] === token) return true;
    }
    return false;
  }

  /** What `values` has for the first of the span's tokens that is in it. */
  firstOf<T>(values: ReadonlyMap<number, T>): T | undefined {
    const { words, at } = this;
    const end = at + (words[at]! & 0xffff);
    for (let index = at + rowHeadWords; index < end; index++) {
      const found = values.get(words[index]!);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** `00f067aa0ba902b7` */
  get spanId(): string {
    return hex(this.spanHigh) + hex(this.spanLow);
  }

  get parentId(): string {
    return hex(this.parentHigh) + hex(this.parentLow);
  }
}

/** Stands on a row that is the whole of `words`, for reading it only. */
export function placeCursor(words: Uint32Array): RowParts {
  const cursor = new RowCursor(noArena);
  cursor.words = words;
  return cursor;
}

const noArena = new WordArena(2);
const noWords = new Uint32Array(rowHeadWords);

function hex(word: number): string {
  return word.toString(16).padStart(8, '0');
}

/** Eight hex digits of `text` from `at` on as a number; they are known to be digits. */
export function readHexWord(text: string, at: number): number {
  let word = 0;
  for (let index = at; index < at + 8; index++) {
    const code = text.charCodeAt(index);
    word = (word << 4) | (code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x57);
  }
  return word >>> 0;
}
