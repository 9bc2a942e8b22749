/**
 * Keep marks: the traces that a verdict was given for, after they had begun.
 *
 *   trace id ─► keep: what is recorded of it is exported      refused: an error over the budget
 *
 * Two generations of one table each: marks go into the younger one, both are asked, and every
 * `markMs` the elder one is emptied and becomes the younger. So a mark holds for one to two times
 * that. A generation that is full is closed early and counted; nothing here grows. Both threads have
 * one of their own.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { keepLimits } from '../../model/telemetry-limits.ts';

/** What is known of a trace. */
export const Verdict = { None: 0, Keep: 1, Refused: 2 } as const;

/** A power of two a third above `marksMax`, so that a search is short. */
const SLOTS = 4_096;
/** From a hash of 32 bits to a slot. */
const SHIFT = 20;
/** Four words of the trace id, one verdict (0: free). */
const WORDS = 5;

export class KeepMarks {
  /** No mark holds: all that most requests ask. */
  isEmpty = true;
  /** Marks that went before their time, because there were too many. */
  lost = 0;
  #young = new MarkTable();
  #old = new MarkTable();
  #turnAt: Milliseconds = Number.NEGATIVE_INFINITY;
  readonly #seed: number;
  readonly #turnMs: Milliseconds;

  /** `seed`: 32 random bits, so that nobody can send ids that all want the same place. */
  constructor(seed: number, turnMs: Milliseconds = keepLimits.markMs) {
    this.#seed = seed;
    this.#turnMs = turnMs;
  }

  /**
   * Gives a trace its verdict; a mark to keep is never taken back by a refusal. Returns whether that
   * was news.
   */
  mark(
    id0: number,
    id1: number,
    id2: number,
    id3: number,
    verdict: number,
    now: Milliseconds,
  ): boolean {
    this.expire(now);
    const known = this.verdictOf(id0, id1, id2, id3);
    if (known === Verdict.Keep || known === verdict) return false;
    if (this.#young.count >= keepLimits.marksMax) {
      this.lost += this.#old.count;
      this.#turn();
    }
    this.#young.put(this.#slotOf(id0, id1, id2, id3), id0, id1, id2, id3, verdict);
    this.isEmpty = false;
    return true;
  }

  /** `Verdict` of a trace. */
  verdictOf(id0: number, id1: number, id2: number, id3: number): number {
    if (this.isEmpty) return Verdict.None;
    const slot = this.#slotOf(id0, id1, id2, id3);
    const verdict = this.#young.verdictOf(slot, id0, id1, id2, id3);
    return verdict === Verdict.None ? this.#old.verdictOf(slot, id0, id1, id2, id3) : verdict;
  }

  /** Lets marks go whose time is over. */
  expire(now: Milliseconds): void {
    if (now < this.#turnAt) return;
    // Nothing was asked for longer than a generation lasts: both are over.
    if (now >= this.#turnAt + this.#turnMs) this.#young.clear();
    this.#turn();
    this.#turnAt = now + this.#turnMs;
  }

  #turn(): void {
    const oldest = this.#old;
    oldest.clear();
    this.#old = this.#young;
    this.#young = oldest;
    this.isEmpty = this.#old.count === 0;
  }

  /** Where the search for a trace begins. */
  #slotOf(id0: number, id1: number, id2: number, id3: number): number {
    let mixed = Math.imul(this.#seed ^ id0, 0x9e3779b1) ^ id1;
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) ^ id2;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) ^ id3;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x9e3779b1);
    return mixed >>> SHIFT;
  }
}

/** One generation. */
class MarkTable {
  count = 0;
  #words = new Int32Array(0);
  /**
   * A bit for each slot that is taken: half a kilobyte, which stays in the processor's nearest cache. The
   * search for a trace without a mark, as nearly all are, ends here.
   */
  readonly #taken = new Int32Array(SLOTS >> 5);

  /** `slot`: where the search begins. */
  verdictOf(slot: number, id0: number, id1: number, id2: number, id3: number): number {
    if (!this.#isTaken(slot)) return Verdict.None;
    return this.#words[this.#find(slot, id0, id1, id2, id3) + 4]!;
  }

  put(slot: number, id0: number, id1: number, id2: number, id3: number, verdict: number): void {
    if (this.#words.length === 0) this.#words = new Int32Array(SLOTS * WORDS);
    const words = this.#words;
    const at = this.#find(slot, id0, id1, id2, id3);
    if (words[at + 4] === Verdict.None) this.count++;
    words[at] = id0;
    words[at + 1] = id1;
    words[at + 2] = id2;
    words[at + 3] = id3;
    words[at + 4] = verdict;
    const place = at / WORDS;
    this.#taken[place >> 5]! |= 1 << (place & 31);
  }

  clear(): void {
    if (this.count === 0) return;
    this.count = 0;
    this.#words.fill(0);
    this.#taken.fill(0);
  }

  #isTaken(slot: number): boolean {
    return (this.#taken[slot >> 5]! & (1 << (slot & 31))) !== 0;
  }

  /** Where the trace is, or the free place where it would be: there always is one. */
  #find(from: number, id0: number, id1: number, id2: number, id3: number): number {
    const words = this.#words;
    for (let slot = from; ; slot = (slot + 1) & (SLOTS - 1)) {
      const at = slot * WORDS;
      const isFree = words[at + 4] === Verdict.None;
      if (isFree) return at;
      const isSame = words[at + 3] === id3 && words[at + 2] === id2 && words[at + 1] === id1;
      if (isSame && words[at] === id0) return at;
    }
  }
}
