/**
 * Pieces of protobuf as bytes, one after the other, without strings or objects that last.
 *
 * It knows the wire format and no message. Lengths and numbers that are filled in later, or differ
 * between spans of one shape, are varints of a fixed width: the same value with more bytes than it needs,
 * which the format allows (protobuf.dev, "Encoding").
 *
 *   300 in two bytes  ac 02        in four  ac 82 80 00
 */

import { GrowingBytes } from './growing-bytes.ts';

const MORE = 0x80;
const BITS = 0x7f;
/** Seven bits a byte, up to 2^53. */
const VARINT_BYTES_MAX = 8;
const BITS_32 = 0x1_0000_0000;
const NS_A_US = 1_000;

export class ProtoBytes extends GrowingBytes {
  /** One byte: a tag, or a small value. */
  putByte(byte: number): void {
    const at = this.room(1);
    this.memory[at] = byte;
    this.end = at + 1;
  }

  /** A whole number from 0 to 2^53 - 1, or a negative one as an int64 has it. */
  putVarint(value: number): void {
    if (value < 0) {
      this.#putNegative(value);
      return;
    }
    let at = this.room(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= MORE) {
      this.memory[at++] = (rest % MORE) | MORE;
      rest = Math.floor(rest / MORE);
    }
    this.memory[at] = rest;
    this.end = at + 1;
  }

  #putNegative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest >= 128n; rest >>= 7n) this.putByte(Number(rest & 127n) | MORE);
    this.putByte(Number(rest));
  }

  /** A whole number below 2^(7 x width), `width` up to 5, in as many bytes. */
  putPadded(value: number, width: number): void {
    const at = this.room(width);
    writePadded(this.memory, at, value, width);
    this.end = at + width;
  }

  /** A 32-bit pattern, its high byte first. */
  putWord(word: number): void {
    const at = this.room(4);
    writeWord(this.memory, at, word);
    this.end = at + 4;
  }

  /** A fixed64 of nanoseconds, from microseconds since the epoch. */
  putNanosecondsOf(us: number): void {
    const at = this.room(8);
    writeNanoseconds(this.memory, at, us);
    this.end = at + 8;
  }

  putDouble(value: number): void {
    const at = this.room(8);
    this.memory.writeDoubleLE(value, at);
    this.end = at + 8;
  }

  /** Text as UTF-8 behind its length, which has `width` bytes and is room enough for it. */
  putText(text: string, width: number): void {
    const at = this.room(width + text.length * 3);
    const bytes = this.memory.utf8Write(text, at + width, text.length * 3);
    writePadded(this.memory, at, bytes, width);
    this.end = at + width + bytes;
  }

  /** Writes the number of bytes from `at + width` to the end in front of them. */
  closeLength(at: number, width: number): void {
    writePadded(this.memory, at, this.end - at - width, width);
  }
}

/** A varint of `width` bytes, up to 5, at `at`. */
export function writePadded(memory: Uint8Array, at: number, value: number, width: number): void {
  let rest = value;
  const last = at + width - 1;
  for (let index = at; index < last; index++) {
    memory[index] = (rest & BITS) | MORE;
    rest >>>= 7;
  }
  memory[last] = rest;
}

/** A 32-bit pattern at `at`, its high byte first. */
export function writeWord(memory: Uint8Array, at: number, word: number): void {
  memory[at] = word >>> 24;
  memory[at + 1] = word >>> 16;
  memory[at + 2] = word >>> 8;
  memory[at + 3] = word;
}

/** A fixed64 at `at`: `us` microseconds since the epoch, 0 to 2^53, as nanoseconds. */
export function writeNanoseconds(memory: Uint8Array, at: number, us: number): void {
  const high = Math.floor(us / BITS_32);
  const low = (us - high * BITS_32) * NS_A_US;
  const carry = Math.floor(low / BITS_32);
  writeLittle(memory, at, (low - carry * BITS_32) | 0);
  writeLittle(memory, at + 4, (high * NS_A_US + carry) | 0);
}

function writeLittle(memory: Uint8Array, at: number, word: number): void {
  memory[at] = word;
  memory[at + 1] = word >>> 8;
  memory[at + 2] = word >>> 16;
  memory[at + 3] = word >>> 24;
}
