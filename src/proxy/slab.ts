/**
 * Memory that many messages use one after the other, with views of its first bytes ready made.
 *
 * A view is valid until the memory is used again: who must keep bytes longer copies them.
 */

/** Up to this length a view was made before: most messages are small. */
const VIEW_BYTES_MAX = 4 * 1024;

export class Slab {
  readonly bytes: Buffer;
  /** By length, so that a small message makes no object. */
  readonly #views: (Buffer | undefined)[] = [];

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length);
  }

  /** The first `length` bytes, without a copy. */
  view(length: number): Buffer {
    if (length > VIEW_BYTES_MAX) return this.bytes.subarray(0, length);
    let view = this.#views[length];
    if (view === undefined) {
      view = this.bytes.subarray(0, length);
      this.#views[length] = view;
    }
    return view;
  }
}
