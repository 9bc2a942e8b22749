/**
 * Pieces of JSON as bytes of UTF-8, one after the other, without strings.
 *
 * It knows no grammar: callers put the parts in order.
 */

import { GrowingBytes } from './growing-bytes.ts';

/** What one call of `putWhole`, `putHex` or `putDigits` needs at most. */
const SMALL_BYTES = 32;
const ZERO = 0x30;
const QUOTE = 0x22;

const hexDigits = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

/** Characters that JSON escapes. */
const escaped = /["\\\u0000-\u001f\ud800-\udfff]/;

export class JsonBytes extends GrowingBytes {
  /** A string with its quotes. */
  putQuoted(text: string): void {
    const safe = escaped.test(text) ? JSON.stringify(text).slice(1, -1) : text;
    const at = this.room(safe.length * 3 + 2);
    const memory = this.memory;
    memory[at] = QUOTE;
    const end = at + 1 + memory.utf8Write(safe, at + 1, safe.length * 3);
    memory[end] = QUOTE;
    this.end = end + 1;
  }

  /** A whole number; one that is not small is left to the platform. */
  putWhole(value: number): void {
    if (value < 0 || value > 0x7fff_ffff || value !== (value | 0)) {
      this.putBytes(Buffer.from(String(value), 'latin1'));
    } else this.#putDigits(value, digitsOf(value));
  }

  /** A 32-bit pattern as eight digits. */
  putHex(word: number): void {
    const at = this.room(SMALL_BYTES);
    writeHex(this.memory, at, word);
    this.end = at + 8;
  }

  /** Microseconds since the epoch (whole, below 2^53) as nanoseconds. */
  putNanosecondsOf(us: number): void {
    const seconds = Math.floor(us / 1_000_000);
    this.putWhole(seconds);
    this.#putDigits(us - seconds * 1_000_000, 6);
    this.#putDigits(0, 3);
  }

  /** Takes the last byte back: a comma that nothing follows. */
  unput(): void {
    this.end--;
  }

  #putDigits(value: number, digits: number): void {
    const at = this.room(SMALL_BYTES);
    writeDigits(this.memory, at, value, digits);
    this.end = at + digits;
  }
}

/** A 32-bit pattern as eight digits at `at`. */
export function writeHex(memory: Uint8Array, at: number, word: number): void {
  for (let index = 0; index < 8; index++) {
    memory[at + index] = hexDigits[(word >>> (28 - index * 4)) & 15]!;
  }
}

/** The last `digits` digits of a whole number from 0 to 2^31 - 1, zeros before them. */
export function writeDigits(memory: Uint8Array, at: number, value: number, digits: number): void {
  let rest = value;
  for (let index = at + digits - 1; index >= at; index--) {
    const tenth = (rest / 10) | 0;
    memory[index] = ZERO + rest - tenth * 10;
    rest = tenth;
  }
}

/** A whole number from 0 to 2^31 - 1 without zeros before it, so that it ends before `end`. */
export function writeWholeBefore(memory: Uint8Array, end: number, value: number): void {
  let rest = value;
  let index = end;
  do {
    const tenth = (rest / 10) | 0;
    memory[--index] = ZERO + rest - tenth * 10;
    rest = tenth;
  } while (rest !== 0);
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let bound = 10; digits < 10 && value >= bound; bound *= 10) digits++;
  return digits;
}
