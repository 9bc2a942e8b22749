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

import type { Milliseconds } from '../base/clock.ts';
import { keepLimits } from '../model/limits.ts';

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
  #young = new Int32Array(0);
  #old = new Int32Array(0);
  #youngCount = 0;
  #oldCount = 0;
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
    this.#put(id0, id1, id2, id3, verdict);
    return true;
  }

  /** `Verdict` of a trace. */
  verdictOf(id0: number, id1: number, id2: number, id3: number): number {
    if (this.isEmpty) return Verdict.None;
    const verdict = this.#verdictIn(this.#young, id0, id1, id2, id3);
    return verdict === Verdict.None ? this.#verdictIn(this.#old, id0, id1, id2, id3) : verdict;
  }

  /** Lets marks go whose time is over. */
  expire(now: Milliseconds): void {
    if (now < this.#turnAt) return;
    // Nothing was asked for longer than a generation lasts: both are over.
    if (now >= this.#turnAt + this.#turnMs) {
      this.#youngCount = 0;
      this.#young.fill(0);
    }
    this.#turn();
    this.#turnAt = now + this.#turnMs;
  }

  #turn(): void {
    const oldest = this.#old;
    if (this.#oldCount !== 0) oldest.fill(0);
    this.#old = this.#young;
    this.#oldCount = this.#youngCount;
    this.#young = oldest;
    this.#youngCount = 0;
    this.isEmpty = this.#oldCount === 0;
  }

  #put(id0: number, id1: number, id2: number, id3: number, verdict: number): void {
    if (this.#youngCount >= keepLimits.marksMax) {
      this.lost += this.#oldCount;
      this.#turn();
    }
    if (this.#young.length === 0) this.#young = new Int32Array(SLOTS * WORDS);
    const young = this.#young;
    const at = this.#find(young, id0, id1, id2, id3);
    if (young[at + 4] === 0) this.#youngCount++;
    young[at] = id0;
    young[at + 1] = id1;
    young[at + 2] = id2;
    young[at + 3] = id3;
    young[at + 4] = verdict;
    this.isEmpty = false;
  }

  #verdictIn(table: Int32Array, id0: number, id1: number, id2: number, id3: number): number {
    if (table.length === 0) return Verdict.None;
    return table[this.#find(table, id0, id1, id2, id3) + 4]!;
  }

  /** Where the trace is, or the free place where it would be: there always is one. */
  #find(table: Int32Array, id0: number, id1: number, id2: number, id3: number): number {
    let mixed = Math.imul(this.#seed ^ id0, 0x9e3779b1) ^ id1;
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) ^ id2;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) ^ id3;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x9e3779b1);
    for (let slot = mixed >>> SHIFT; ; slot = (slot + 1) & (SLOTS - 1)) {
      const at = slot * WORDS;
      const isFree = table[at + 4] === Verdict.None;
      if (isFree) return at;
      const isSame = table[at + 3] === id3 && table[at + 2] === id2 && table[at + 1] === id1;
      if (isSame && table[at] === id0) return at;
    }
  }
}
