/**
 * The requests to the own application that are under way, by the values of header fields that it may
 * repeat in its own calls: so those are tied to their cause without the application's help.
 *
 *   heads   [ first + 1 | 0 | ... ]                            by a hash of the value
 *   entries [ hash hash | trace id: 4 | span id: 2 | flags | threshold: 2 | next + 1 ]
 *
 * Of a value only two seeded hashes are kept, of 64 bits together. One value of two open requests ties to
 * neither. Bounded: what does not fit is not added. Hot: no object, no string.
 */

import { assert } from '../../base/assert.ts';
import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { type ExchangeRecord, RecordFlag } from '../record/exchange-record.ts';
import { type TraceContext, TraceFlag } from './trace-context.ts';

/** How many open requests have a value. */
export const Found = { None: 0, One: 1, Several: 2 } as const;

const WORDS = 12;
const NEXT = 11;

export class OpenRequests {
  /** Of the value that was hashed last. */
  #hash0 = 0;
  #hash1 = 0;
  readonly #seed0: number;
  readonly #seed1: number;
  readonly #mask: number;
  readonly #heads: Int32Array;
  readonly #entries: Int32Array;
  /** First of the entries that are free again, plus 1; and how many were ever used: the rest is untouched. */
  #free = 0;
  #used = 0;

  /** `max`: entries, a power of two. Seeds: 32 random bits each. */
  constructor(seed0: number, seed1: number, max: number = telemetryLimits.openRequestsMax) {
    assert((max & (max - 1)) === 0, 'a table of open requests has a power of two of places');
    this.#seed0 = seed0;
    this.#seed1 = seed1;
    this.#mask = max - 1;
    this.#heads = new Int32Array(max);
    this.#entries = new Int32Array(max * WORDS);
  }

  /** The value text[start, end) of field `field` is the one that is meant next. */
  hashText(field: number, text: string, start: number, end: number): void {
    let hash0 = this.#seed0 ^ field;
    let hash1 = this.#seed1;
    for (let at = start; at < end; at++) {
      const code = text.charCodeAt(at);
      hash0 = Math.imul(hash0 ^ code, 0x01000193);
      hash1 = Math.imul(hash1 ^ code, 0x5bd1e995) ^ (hash1 >>> 15);
    }
    this.#hash0 = hash0;
    this.#hash1 = hash1;
  }

  /** The same for bytes. */
  hashBytes(field: number, bytes: Uint8Array, start: number, end: number): void {
    let hash0 = this.#seed0 ^ field;
    let hash1 = this.#seed1;
    for (let at = start; at < end; at++) {
      const code = bytes[at]!;
      hash0 = Math.imul(hash0 ^ code, 0x01000193);
      hash1 = Math.imul(hash1 ^ code, 0x5bd1e995) ^ (hash1 >>> 15);
    }
    this.#hash0 = hash0;
    this.#hash1 = hash1;
  }

  /**
   * The request of `record`, whose context goes on with the threshold of `context`, has the value that
   * was hashed. Returns what `remove` takes; -1: there is no room.
   */
  add(record: ExchangeRecord, context: TraceContext): number {
    const slot = this.#take();
    if (slot < 0) return -1;
    const entries = this.#entries;
    const at = slot * WORDS;
    const place = this.#place(this.#hash0);
    entries[at] = this.#hash0;
    entries[at + 1] = this.#hash1;
    entries[at + 2] = record.traceId0;
    entries[at + 3] = record.traceId1;
    entries[at + 4] = record.traceId2;
    entries[at + 5] = record.traceId3;
    entries[at + 6] = record.spanId0;
    entries[at + 7] = record.spanId1;
    entries[at + 8] = record.flags;
    entries[at + 9] = context.thresholdHigh;
    entries[at + 10] = context.thresholdLow;
    entries[at + NEXT] = this.#heads[place]!;
    this.#heads[place] = slot + 1;
    return slot;
  }

  /** Sets `out` to the one open request with the value that was hashed, if it is one. */
  find(out: TraceContext): number {
    const entries = this.#entries;
    let found = -1;
    let slot = this.#heads[this.#place(this.#hash0)]! - 1;
    while (slot >= 0) {
      const at = slot * WORDS;
      if (entries[at] === this.#hash0 && entries[at + 1] === this.#hash1) {
        if (found >= 0) return Found.Several;
        found = at;
      }
      slot = entries[at + NEXT]! - 1;
    }
    if (found < 0) return Found.None;
    out.present = true;
    out.traceId0 = entries[found + 2]!;
    out.traceId1 = entries[found + 3]!;
    out.traceId2 = entries[found + 4]!;
    out.traceId3 = entries[found + 5]!;
    out.parentId0 = entries[found + 6]!;
    out.parentId1 = entries[found + 7]!;
    const flags = entries[found + 8]!;
    out.flags =
      ((flags & RecordFlag.Sampled) === 0 ? 0 : TraceFlag.Sampled) |
      ((flags & RecordFlag.RandomId) === 0 ? 0 : TraceFlag.Random);
    out.thresholdHigh = entries[found + 9]!;
    out.thresholdLow = entries[found + 10]!;
    return Found.One;
  }

  /** The request of `add` is over; once. */
  remove(slot: number): void {
    const entries = this.#entries;
    const at = slot * WORDS;
    const place = this.#place(entries[at]!);
    const next = entries[at + NEXT]!;
    let before = this.#heads[place]! - 1;
    if (before === slot) this.#heads[place] = next;
    else {
      while (entries[before * WORDS + NEXT] !== slot + 1)
        before = entries[before * WORDS + NEXT]! - 1;
      entries[before * WORDS + NEXT] = next;
    }
    entries[at + NEXT] = this.#free;
    this.#free = slot + 1;
  }

  /** An entry that nobody has; -1: there is none. */
  #take(): number {
    const slot = this.#free - 1;
    if (slot >= 0) this.#free = this.#entries[slot * WORDS + NEXT]!;
    else if (this.#used <= this.#mask) return this.#used++;
    return slot;
  }

  #place(hash: number): number {
    return (hash ^ (hash >>> 15)) & this.#mask;
  }
}
