/**
 * Bytes that wait for their turn, copied out of the shared slab: unread pipelined requests, and
 * body bytes while the upstream is being dialled. Not a stream: whoever fills it checks `length`.
 *
 *    memory  [ taken | start ... end | room ]     doubles from 4 KiB, let go when it is empty
 */

const FIRST_BYTES = 4 * 1024;
const nothing = Buffer.alloc(0);

export class ByteHold {
  #memory: Buffer = nothing;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** Copies `chunk[from..to)` to the end. */
  append(chunk: Buffer, from: number, to: number): void {
    const more = to - from;
    if (this.#end + more > this.#memory.length) this.#makeRoom(more);
    chunk.copy(this.#memory, this.#end, from, to);
    this.#end += more;
  }

  /** All bytes, without a copy: valid until the next `append`. */
  view(): Buffer {
    return this.#memory.subarray(this.#start, this.#end);
  }

  /** Forgets the first `bytes` of what it holds. */
  skip(bytes: number): void {
    this.#start += bytes;
    if (this.#start >= this.#end) this.clear();
  }

  /** Lets everything go, the memory too. */
  clear(): void {
    this.#memory = nothing;
    this.#start = 0;
    this.#end = 0;
  }

  #makeRoom(more: number): void {
    const held = this.length;
    let bytes = Math.max(FIRST_BYTES, this.#memory.length);
    while (bytes < held + more) bytes *= 2;
    const memory = bytes === this.#memory.length ? this.#memory : Buffer.allocUnsafeSlow(bytes);
    this.#memory.copy(memory, 0, this.#start, this.#end);
    this.#memory = memory;
    this.#start = 0;
    this.#end = held;
  }
}
