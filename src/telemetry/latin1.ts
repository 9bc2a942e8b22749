/**
 * Two calls under `Buffer.write` and `toString('latin1')` that @types/node does not know.
 *
 * They take no encoding by name and write into shared memory at full speed (reference/performance.md
 * 7.10). `wire` has its own pair; the rooms do not import each other.
 */

declare global {
  interface Buffer {
    latin1Slice(start: number, end: number): string;
    latin1Write(text: string, offset: number, length: number): number;
  }
}

/** The bytes from `start` to `end` as one flat string. */
export function latin1Text(buffer: Buffer, start: number, end: number): string {
  return buffer.latin1Slice(start, end);
}

/** Writes the first `length` characters of `text` at `offset`; returns the bytes written. */
export function writeLatin1Part(
  buffer: Buffer,
  text: string,
  offset: number,
  length: number,
): number {
  return buffer.latin1Write(text, offset, length);
}
