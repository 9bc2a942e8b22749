/**
 * How often somebody may: a bucket of tokens each, filled at a steady rate.
 *
 * Bounded: the least recently seen is forgotten, which gives it a full bucket again. So the bound has to
 * be far above the number of callers that can exist (`authorityLimits.callersMax`).
 */

import type { Milliseconds } from '../base/clock.ts';

interface Bucket {
  left: number;
  at: Milliseconds;
}

export interface Rate {
  /** In a row. */
  readonly burst: number;
  readonly perSecond: number;
}

export class RateLimit {
  readonly #rate: Rate;
  readonly #keysMax: number;
  /** Least recently seen first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, keysMax: number) {
    this.#rate = rate;
    this.#keysMax = keysMax;
  }

  /**
   * Takes one of `key`'s tokens: 0 when there was one, else milliseconds until there is.
   *
   * @param now monotonic
   */
  take(key: string, now: Milliseconds): Milliseconds {
    const bucket = this.#bucketOf(key, now);
    if (bucket.left >= 1) {
      bucket.left -= 1;
      return 0;
    }
    return this.#waitOf(bucket);
  }

  /** As `take`, and takes nothing. */
  look(key: string, now: Milliseconds): Milliseconds {
    if (!this.#buckets.has(key)) return 0;
    const bucket = this.#bucketOf(key, now);
    return bucket.left >= 1 ? 0 : this.#waitOf(bucket);
  }

  #waitOf(bucket: Bucket): Milliseconds {
    return Math.max(1, Math.ceil(((1 - bucket.left) / this.#rate.perSecond) * 1_000));
  }

  #bucketOf(key: string, now: Milliseconds): Bucket {
    const { burst, perSecond } = this.#rate;
    const held = this.#buckets.get(key);
    const bucket = held ?? { left: burst, at: now };
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1_000) * perSecond);
    bucket.at = now;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#keysMax) {
      this.#buckets.delete(this.#buckets.keys().next().value!);
    }
    return bucket;
  }
}
