/**
 * Memory that many messages use one after the other, with views of its first bytes ready made.
 *
 * A view is valid until the memory is used again: who must keep bytes longer copies them.
 */

/** Up to this length views are kept, some 100 bytes each: most messages are small. */
const VIEW_BYTES_MAX = 2 * 1024;

export class Slab {
  readonly bytes: Buffer;
  /** By length, so that a small message makes no object. */
  readonly #views: (Buffer | undefined)[] = [];
  readonly #viewBytesMax: number;

  /** `viewBytesMax`: longer messages make an object; 0 where there are many slabs or much is read. */
  constructor(length: number, viewBytesMax = VIEW_BYTES_MAX) {
    this.bytes = Buffer.allocUnsafeSlow(length);
    this.#viewBytesMax = viewBytesMax;
  }

  /** The first `length` bytes, without a copy. */
  view(length: number): Buffer {
    if (length > this.#viewBytesMax) return this.bytes.subarray(0, length);
    let view = this.#views[length];
    if (view === undefined) {
      view = this.bytes.subarray(0, length);
      this.#views[length] = view;
    }
    return view;
  }
}

/** Which slab a socket reads into. Node.js changes it after a read only, so there are two. */
export class ReadMemory {
  /** Of the reads so far and the one under way. */
  current: Slab;
  /** Of those that follow the read under way. */
  next: Slab;

  constructor(slab: Slab) {
    this.current = slab;
    this.next = slab;
  }
}

/** At most so many slabs at a time, for those who have much to read; a few free ones are kept. */
export class SlabPool {
  readonly #slabBytes: number;
  readonly #freeMax: number;
  readonly #free: Slab[] = [];
  #left: number;

  constructor(slabBytes: number, slabsMax: number) {
    this.#slabBytes = slabBytes;
    this.#left = slabsMax;
    this.#freeMax = slabsMax >> 2;
  }

  /** How many may still be taken. */
  get left(): number {
    return this.#left;
  }

  /** A slab, unless all are taken. */
  take(): Slab | undefined {
    if (this.#left === 0) return undefined;
    this.#left--;
    return this.#free.pop() ?? new Slab(this.#slabBytes, 0);
  }

  /** The end of one that was taken; `isFree`: the kernel needs its memory no more. */
  giveBack(slab: Slab, isFree: boolean): void {
    this.#left++;
    if (isFree && this.#free.length < this.#freeMax) this.#free.push(slab);
  }
}
