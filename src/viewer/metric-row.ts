/**
 * The requests of one caller to one callee by one route and subset, in slots of 5 s, for an hour.
 *
 *   blocks   [ 5 min: 60 slots ] [ 60 slots ] ...      a slot: requests, errors, 4xx, buckets
 *
 * Blocks are made when something is counted and go when they are an hour old, so a row without
 * traffic holds nothing.
 */

import { boundsSeconds, RequestTally } from './request-tally.ts';

/** What a slot spans. */
export const slotMs = 5_000;
/** Slots of the hour that is kept. */
export const slotsMax = 720;

const slotsPerBlock = 60;
const blocksMax = slotsMax / slotsPerBlock + 1;
const firstBucket = 3;
const slotWords = firstBucket + boundsSeconds.length + 1;
/** Statuses that are told apart in a block. */
const statusesMax = 12;

/** What is added to a slot at once: part of a point. */
export interface Increment {
  readonly outcome: 'good' | 'error' | 'client-error';
  readonly status: string;
  readonly requests: number;
  readonly sumSeconds: number;
  /** By bucket of `boundsSeconds`. */
  readonly buckets: ArrayLike<number>;
}

interface Block {
  readonly words: Uint32Array;
  readonly sums: Float64Array;
  readonly statuses: Map<string, Uint32Array>;
}

/** Counts rise only; reading adds up slots. */
export class MetricRow {
  readonly kind: 'server' | 'client';
  readonly service: string;
  /** Of client rows only; '' where it is not known. */
  readonly peer: string;
  readonly route: string;
  readonly subset: string;
  readonly #blocks = new Map<number, Block>();

  constructor(
    kind: 'server' | 'client',
    service: string,
    peer: string,
    route: string,
    subset: string,
  ) {
    this.kind = kind;
    this.service = service;
    this.peer = peer;
    this.route = route;
    this.subset = subset;
  }

  /** Counts into the slot with this number, the newest that there is or one before. */
  count(slot: number, increment: Increment): void {
    const number = Math.floor(slot / slotsPerBlock);
    const block = this.#blocks.get(number) ?? this.#addBlock(number);
    const at = slot % slotsPerBlock;
    const base = at * slotWords;
    block.words[base]! += increment.requests;
    if (increment.outcome === 'error') block.words[base + 1]! += increment.requests;
    else if (increment.outcome === 'client-error') block.words[base + 2]! += increment.requests;
    for (let bucket = 0; bucket < increment.buckets.length; bucket++) {
      block.words[base + firstBucket + bucket]! += increment.buckets[bucket]!;
    }
    block.sums[at]! += increment.sumSeconds;
    this.#statusSlots(block, increment.status)[at]! += increment.requests;
  }

  /** Adds the slots from `from` to before `to` to the tally. */
  addTo(tally: RequestTally, from: number, to: number): void {
    for (const [number, block] of this.#blocks) {
      const start = number * slotsPerBlock;
      const first = Math.max(from - start, 0);
      const end = Math.min(to - start, slotsPerBlock);
      for (let at = first; at < end; at++) addSlot(block, at, tally);
    }
  }

  /** Requests in these slots. */
  tally(from: number, to: number): RequestTally {
    const tally = new RequestTally();
    this.addTo(tally, from, to);
    return tally;
  }

  /** Forgets what is over an hour old; true when nothing is left. */
  forget(slot: number): boolean {
    const oldest = Math.floor(slot / slotsPerBlock) - blocksMax + 1;
    for (const number of this.#blocks.keys()) {
      if (number < oldest) this.#blocks.delete(number);
    }
    return this.#blocks.size === 0;
  }

  #addBlock(number: number): Block {
    this.forget(number * slotsPerBlock);
    const block = {
      words: new Uint32Array(slotsPerBlock * slotWords),
      sums: new Float64Array(slotsPerBlock),
      statuses: new Map<string, Uint32Array>(),
    };
    this.#blocks.set(number, block);
    return block;
  }

  #statusSlots(block: Block, status: string): Uint32Array {
    const isKnown = block.statuses.has(status) || block.statuses.size < statusesMax;
    const name = isKnown ? status : 'other';
    let slots = block.statuses.get(name);
    if (slots === undefined) {
      slots = new Uint32Array(slotsPerBlock);
      block.statuses.set(name, slots);
    }
    return slots;
  }
}

function addSlot({ words, sums, statuses }: Block, at: number, tally: RequestTally): void {
  const base = at * slotWords;
  if (words[base] === 0) return;
  tally.requests += words[base]!;
  tally.errors += words[base + 1]!;
  tally.clientErrors += words[base + 2]!;
  tally.sumSeconds += sums[at]!;
  for (let bucket = 0; bucket < tally.buckets.length; bucket++) {
    tally.buckets[bucket]! += words[base + firstBucket + bucket]!;
  }
  for (const [status, slots] of statuses) {
    if (slots[at]! > 0) tally.addStatus(status, slots[at]!);
  }
}
