/**
 * The last text of one field of a connection: callers that send the same again cost no string.
 *
 * A kept connection names the same host and user agent in request after request. The text that is kept
 * is a copy, so that it does not keep the whole head that it came in.
 */

import { latin1Text, writeLatin1 } from './latin1.ts';

/** Longer texts are not remembered. */
const REMEMBERED_MAX = 512;

const scratch = Buffer.alloc(REMEMBERED_MAX);

export class RememberedText {
  #last = '';

  /** `text.slice(start, end)`. */
  of(text: string, start: number, end: number): string {
    const last = this.#last;
    const length = end - start;
    if (last.length === length && text.startsWith(last, start)) return last;
    const slice = text.slice(start, end);
    if (length > REMEMBERED_MAX) return slice;
    this.#last = latin1Text(scratch, 0, writeLatin1(scratch, slice, 0, length));
    return this.#last;
  }
}
