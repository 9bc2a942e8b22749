/**
 * Memory that pieces of JSON are written into as bytes of UTF-8, one after the other, without strings.
 *
 * It knows no grammar: callers put the parts of a piece in order. A piece stays where it was written
 * and is never moved or overwritten; memory goes when nobody has a piece in it.
 *
 *   memory  [ piece | piece | piece under way ... | room ]     then new memory
 */

/** What one call of `putWhole`, `putHex` or `#putDigits` needs at most. */
const SMALL_BYTES = 32;
/** Some hundred spans. */
const MEMORY_BYTES = 256 * 1024;
/** A piece that begins with less room has to be moved, mostly. */
const PIECE_BYTES = 4 * 1024;
const ZERO = 0x30;
const QUOTE = 0x22;

const hexDigits = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

/** Characters that JSON escapes. */
const escaped = /["\\\u0000-\u001f\ud800-\udfff]/;

export class JsonBytes {
  /** Where the piece under way, or the last one, is: `memory[start..end)`. */
  memory: Buffer = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  start = 0;
  #at = 0;

  get end(): number {
    return this.#at;
  }

  /** Starts a piece. */
  begin(): void {
    if (this.memory.length - this.#at < PIECE_BYTES) {
      this.memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
      this.#at = 0;
    }
    this.start = this.#at;
  }

  /** Bytes that were made before. */
  putBytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.memory.set(bytes, at);
    this.#at = at + bytes.length;
  }

  /** A string with its quotes. */
  putQuoted(text: string): void {
    const safe = escaped.test(text) ? JSON.stringify(text).slice(1, -1) : text;
    const at = this.#room(safe.length * 3 + 2);
    const memory = this.memory;
    memory[at] = QUOTE;
    const end = at + 1 + memory.utf8Write(safe, at + 1, safe.length * 3);
    memory[end] = QUOTE;
    this.#at = end + 1;
  }

  /** A whole number; one that is not small is left to the platform. */
  putWhole(value: number): void {
    if (value < 0 || value > 0x7fff_ffff || value !== (value | 0)) {
      this.putBytes(Buffer.from(String(value), 'latin1'));
    } else this.#putDigits(value, digitsOf(value));
  }

  /** A 32-bit pattern as eight digits. */
  putHex(word: number): void {
    const at = this.#room(SMALL_BYTES);
    const memory = this.memory;
    for (let index = 0; index < 8; index++) {
      memory[at + index] = hexDigits[(word >>> (28 - index * 4)) & 15]!;
    }
    this.#at = at + 8;
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
    this.#at--;
  }

  #putDigits(value: number, digits: number): void {
    const at = this.#room(SMALL_BYTES);
    const memory = this.memory;
    let rest = value;
    for (let index = at + digits - 1; index >= at; index--) {
      const tenth = (rest / 10) | 0;
      memory[index] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#at = at + digits;
  }

  /** Where to write the next bytes, of which there are `bytes` at most. */
  #room(bytes: number): number {
    if (this.#at + bytes > this.memory.length) {
      const written = this.#at - this.start;
      const bigger = Buffer.allocUnsafeSlow(Math.max(MEMORY_BYTES, (written + bytes) * 2));
      this.memory.copy(bigger, 0, this.start, this.#at);
      this.memory = bigger;
      this.start = 0;
      this.#at = written;
    }
    return this.#at;
  }
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let bound = 10; digits < 10 && value >= bound; bound *= 10) digits++;
  return digits;
}
