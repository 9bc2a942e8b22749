/**
 * Writes to a socket by its file descriptor, past the stream: what any thread can do, and at once.
 *
 * A descriptor of Node.js never blocks: the kernel takes what fits. Nothing is queued and nothing is
 * told by an event; who writes like this sees in the socket's own reading when the connection ends.
 */

import { writeSync } from 'node:fs';

/**
 * The bytes of `bytes` up to `length` that the kernel took, 0 when its buffer is full, -1 when the
 * connection has ended.
 */
export function writeNow(fd: number, bytes: Uint8Array, length: number): number {
  try {
    return writeSync(fd, bytes, 0, length);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 0 : -1;
  }
}
