/**
 * Texts by number, each kept once and counted by its holders; numbers of texts that go are reused.
 */

import { assert } from '../base/assert.ts';

/** Entries of the map and of the arrays beside the text itself. */
const entryBytes = 80;

/** `take` and `release` in pairs; a number is valid in between. */
export class TextTable {
  /** Estimated memory. */
  bytes = 0;
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  readonly #references: number[] = [];
  readonly #free: number[] = [];

  /** The number of a text that is here, or undefined. */
  find(text: string): number | undefined {
    return this.#ids.get(text);
  }

  textOf(id: number): string {
    return this.#texts[id] ?? '';
  }

  /** One more holder of `text`; gives its number. */
  take(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#free.pop() ?? this.#texts.length;
      this.#ids.set(text, id);
      this.#texts[id] = text;
      this.#references[id] = 0;
      this.bytes += 2 * text.length + entryBytes;
    }
    this.#references[id]! += 1;
    return id;
  }

  release(id: number): void {
    assert(this.#references[id]! > 0, 'a text is released once for each time it was taken');
    this.#references[id]! -= 1;
    if (this.#references[id]! > 0) return;
    const text = this.#texts[id]!;
    this.#ids.delete(text);
    this.#texts[id] = '';
    this.#free.push(id);
    this.bytes -= 2 * text.length + entryBytes;
  }
}
