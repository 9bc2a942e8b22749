/**
 * The calls under `Buffer.write` that @types/node does not know.
 *
 * They take no encoding by name and write into shared memory at full speed (reference/performance.md
 * 7.10). `wire` has its own; the rooms do not import each other.
 */

declare global {
  interface Buffer {
    latin1Write(text: string, offset: number, length: number): number;
    utf8Write(text: string, offset: number, length: number): number;
  }
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
