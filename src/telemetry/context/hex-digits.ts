/**
 * Ids in hex: eight lower-case digits are a signed 32-bit pattern. For formats that are read now and
 * then; traceparent has a faster way of its own (trace-context.ts).
 */

/** Whether text[start, end) is lower-case hex digits, at least one. */
export function areHexDigits(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (hexDigit(text.charCodeAt(at)) < 0) return false;
  return end > start;
}

const values = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value++) values[value.toString(16).charCodeAt(0)] = value;

/** The value of one digit by its code; -1: it is none. */
export function hexDigit(code: number): number {
  return code < 128 ? values[code]! : -1;
}

/**
 * The word of the digits text[start, end) that ends `words` words of eight before `end`; 0 where there
 * are no digits any more. All of them are digits.
 */
export function hexWordBefore(text: string, start: number, end: number, words: number): number {
  let word = 0;
  const to = end - 8 * words;
  for (let at = Math.max(start, to - 8); at < to; at++) {
    word = (word << 4) | hexDigit(text.charCodeAt(at));
  }
  return word;
}

const digits = Buffer.from('0123456789abcdef', 'latin1');

/** Writes eight digits at `out[at]`; returns the end. */
export function putHexWord(word: number, out: Uint8Array, at: number): number {
  return putHexHalf(word, out, putHexHalf(word >>> 16, out, at));
}

/** Writes the four digits of the low 16 bits. */
export function putHexHalf(word: number, out: Uint8Array, at: number): number {
  out[at] = digits[(word >>> 12) & 15]!;
  out[at + 1] = digits[(word >>> 8) & 15]!;
  out[at + 2] = digits[(word >>> 4) & 15]!;
  out[at + 3] = digits[word & 15]!;
  return at + 4;
}

/** The eight digits as text. */
export function hexText(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
