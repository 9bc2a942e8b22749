/**
 * A value that must not be seen: a private key, a token. Nothing prints it by chance.
 *
 * In texts, JSON and the output of `util.inspect` it is the word `[secret]`; only `reveal` gives it.
 * It guards against mistakes of ours, not against whoever can read the process's memory.
 */

import { inspect } from 'node:util';

const shown = '[secret]';

export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value, for the one call that needs it; the result is not to be kept. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}
