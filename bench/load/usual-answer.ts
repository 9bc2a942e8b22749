/**
 * The answer that came last, as bytes: most others are the same but for their id.
 *
 * An answer that is the same byte for byte, with the id of its own request in the same place, is as
 * right as that one was, and one comparison of memory says so. Any other one is read and judged in full.
 */

export class UsualAnswer {
  #bytes = Buffer.alloc(0);
  #idAt = 0;
  #body: Buffer | undefined;

  /** Whether the first `length` bytes of `chunk` are it, to a request of this id and expected body. */
  matches(chunk: Buffer, length: number, id: string, body: Buffer): boolean {
    if (length !== this.#bytes.length || body !== this.#body) return false;
    this.#bytes.latin1Write(id, this.#idAt, id.length);
    return this.#bytes.compare(chunk, 0, length) === 0;
  }

  /** Keeps a whole answer that was right and said nothing about the connection's end. */
  learn(answer: Buffer, id: string, body: Buffer): void {
    this.#bytes = Buffer.from(answer);
    this.#idAt = answer.indexOf(id, 0, 'latin1');
    this.#body = body;
  }
}
