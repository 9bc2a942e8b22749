/**
 * Latin-1 text of bytes and back: one character per byte, so that any byte passes unchanged.
 *
 * HTTP/1.1 heads are bytes, not UTF-8 (RFC 9110 section 5.5, obs-text). These two calls are the ones
 * under `Buffer.toString('latin1')` and `Buffer.write`, without the lookup of an encoding by name
 * (27 ns a call, Node 26.10). No other file of this room knows them.
 */

declare global {
  interface Buffer {
    /** Present in every Node.js since 4; missing in @types/node. */
    latin1Slice(start: number, end: number): string;
    latin1Write(text: string, offset: number, length: number): number;
  }
}

/** The bytes from `start` to `end` as text. */
export function latin1Text(buffer: Buffer, start: number, end: number): string {
  return buffer.latin1Slice(start, end);
}

/**
 * Writes the first `length` characters of `text` (up to 0xff) at `offset` and returns how many bytes
 * were written: less than `length` when the buffer is too small, so compare before.
 */
export function writeLatin1(buffer: Buffer, text: string, offset: number, length: number): number {
  return buffer.latin1Write(text, offset, length);
}
