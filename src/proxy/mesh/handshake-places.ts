/**
 * Places for handshakes of the mesh: so many at a time, so many of one address, and a queue for the rest.
 *
 *   waiting   10.0.0.7 ── h h h h ──┐  each address in its turn, as long as
 *             10.0.0.9 ── h ────────┴─► it has less than its share ──► under way
 *
 * A handshake costs a stranger nothing: a ClientHello, and silence. So one address never has all places, and
 * while somebody waits for a place those that have one are hurried: the oldest has to go first.
 */

import type { TrafficLimits } from '../../model/limits.ts';

/** One handshake, waiting or under way. */
export interface PlaceHolder {
  /** IP address of the peer. */
  readonly address: string;
  /** Others need its place: it has less time. May be said often. */
  hurry(): void;
}

export class HandshakePlaces<Holder extends PlaceHolder> {
  readonly #limits: TrafficLimits;
  readonly #underWay = new Set<Holder>();
  /** Of those under way, by address. */
  readonly #taken = new Map<string, number>();
  /** By address; the one whose turn it is first. */
  readonly #queues = new Map<string, Set<Holder>>();
  #waiting = 0;

  constructor(limits: TrafficLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** All of them, under way or not. */
  all(): Holder[] {
    return [...[...this.#queues.values()].flatMap((queue) => [...queue]), ...this.#underWay];
  }

  isFreeFor(address: string): boolean {
    return !this.#isFull && !this.#hasShare(address);
  }

  take(holder: Holder): void {
    this.#underWay.add(holder);
    this.#taken.set(holder.address, (this.#taken.get(holder.address) ?? 0) + 1);
  }

  /** False: too many wait, or too many of this address. */
  wait(holder: Holder): boolean {
    const { meshHandshakesWaitingMax, meshWaitingPerAddressMax } = this.#limits;
    const queue = this.#queues.get(holder.address) ?? new Set();
    if (this.#waiting >= meshHandshakesWaitingMax) return false;
    if (queue.size >= meshWaitingPerAddressMax) return false;
    this.#queues.set(holder.address, queue.add(holder));
    this.#waiting++;
    return true;
  }

  /** Takes the next one for which there is a place out of the queue; undefined: there is none. */
  next(): Holder | undefined {
    if (this.#isFull) return undefined;
    for (const [address, queue] of this.#queues) {
      if (this.#hasShare(address)) continue;
      const [holder] = queue;
      this.#unqueue(holder!);
      // Behind the other addresses.
      if (this.#queues.delete(address)) this.#queues.set(address, queue);
      return holder;
    }
    return undefined;
  }

  /** It is over, or nobody waits for it any more. */
  leave(holder: Holder): void {
    this.#unqueue(holder);
    if (!this.#underWay.delete(holder)) return;
    const taken = this.#taken.get(holder.address)! - 1;
    if (taken > 0) this.#taken.set(holder.address, taken);
    else this.#taken.delete(holder.address);
  }

  /** Whether somebody waits for a place like the one that `holder` has. */
  isWanted({ address }: PlaceHolder): boolean {
    if (this.#isFull) return this.#waiting > 0;
    return this.#hasShare(address) && this.#queues.has(address);
  }

  /** Hurries those whose places are wanted. */
  hurry(): void {
    if (this.#waiting === 0) return;
    for (const holder of this.#underWay) if (this.isWanted(holder)) holder.hurry();
  }

  get #isFull(): boolean {
    return this.#underWay.size >= this.#limits.meshHandshakesMax;
  }

  #hasShare(address: string): boolean {
    return (this.#taken.get(address) ?? 0) >= this.#limits.meshHandshakesPerAddressMax;
  }

  #unqueue(holder: Holder): void {
    const queue = this.#queues.get(holder.address);
    if (queue?.delete(holder) !== true) return;
    this.#waiting--;
    if (queue.size === 0) this.#queues.delete(holder.address);
  }
}
