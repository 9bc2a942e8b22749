/**
 * Memory that is written to from its start on, byte by byte, and grows: no strings, no objects.
 *
 * What was written stays in one piece, which is moved when it outgrows the memory; the memory itself is
 * kept and written over after `reset`. What the bytes mean is for those that extend it.
 *
 *   memory  [ written ............ | room ........ ]
 *                                  end
 */

/** Some thirty spans: what a sidecar sends at 1 %. */
const FIRST_BYTES = 64 * 1024;

export class GrowingBytes {
  memory: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Where the next byte goes. */
  end = 0;

  /** Forgets everything that was written. */
  reset(): void {
    this.end = 0;
  }

  /** What was written so far, in place. */
  written(): Buffer {
    return this.memory.subarray(0, this.end);
  }

  /** Bytes that were made before. */
  putBytes(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.memory.set(bytes, at);
    this.end = at + bytes.length;
  }

  /** Makes room for `bytes` more; returns where they go. */
  room(bytes: number): number {
    if (this.end + bytes > this.memory.length) {
      const bigger = Buffer.allocUnsafeSlow(Math.max(this.memory.length, bytes) * 2);
      this.memory.copy(bigger, 0, 0, this.end);
      this.memory = bigger;
    }
    return this.end;
  }
}
