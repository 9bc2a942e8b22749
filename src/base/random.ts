/**
 * Randomness: for ids, load balancing and jitter. The only reader of the real source.
 *
 * The system source draws 16 KiB at a time from the kernel's generator, which costs about 20 ns a
 * word against 400 ns for a call of its own. Not for keys: those come from node:crypto in `identity`.
 */

import { randomFillSync } from 'node:crypto';

export interface Random {
  /** A whole number from 0 to 2^32 - 1, uniform. */
  u32(): number;
}

const WORDS = 4096;

class SystemRandom implements Random {
  readonly #words = new Uint32Array(WORDS);
  #next = WORDS;

  u32(): number {
    if (this.#next === WORDS) {
      randomFillSync(this.#words);
      this.#next = 0;
    }
    return this.#words[this.#next++]!;
  }
}

/** The kernel's generator, buffered. */
export const systemRandom: Random = new SystemRandom();

/** A repeatable source (mulberry32) for tests and simulations; `seed` is any 32-bit number. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    u32() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return (mixed ^ (mixed >>> 14)) >>> 0;
    },
  };
}

/** A whole number from 0 to `bound` - 1; `bound` is at least 1. The bias is below bound / 2^32. */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor((random.u32() / 0x1_0000_0000) * bound);
}
