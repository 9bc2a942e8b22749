/**
 * Turns for handshakes at gateways: a few begin in each turn of the loop, so that a storm of callers is
 * served between the requests of others and not before them.
 *
 *   ask ──► begins now, while there is room in this turn ──► else waits
 *
 *   waiting   192.0.2.7 ── h h h h h      addresses take turns, each first come, first served: a storm of
 *             192.0.2.9 ── h              one address is no queue for others
 */

import type { WakeUps } from '../../base/deadlines.ts';

/** Who waits; it may be over by then. */
export interface TurnTaker {
  /** Where it comes from. */
  readonly address: string;
  onTurn(): void;
}

export class HandshakeTurns {
  readonly #wakeUps: WakeUps;
  readonly #perTurn: number;
  /** By address, the one whose turn it is first; none is empty. */
  readonly #waiting = new Map<string, Set<TurnTaker>>();
  /** Begun in this turn; a new one has been asked for when it is not 0. */
  #begun = 0;

  constructor(wakeUps: WakeUps, perTurn: number) {
    this.#wakeUps = wakeUps;
    this.#perTurn = perTurn;
  }

  ask(taker: TurnTaker): void {
    if (this.#begun < this.#perTurn && this.#waiting.size === 0) {
      this.#begin(taker);
      return;
    }
    const queue = this.#waiting.get(taker.address) ?? new Set();
    this.#waiting.set(taker.address, queue.add(taker));
  }

  #begin(taker: TurnTaker): void {
    if (this.#begun++ === 0) this.#wakeUps.after(0, () => this.#next());
    taker.onTurn();
  }

  #next(): void {
    this.#begun = 0;
    while (this.#begun < this.#perTurn) {
      const taker = this.#take();
      if (taker === undefined) return;
      this.#begin(taker);
    }
  }

  /** The next one, out of its queue, which goes behind the others. */
  #take(): TurnTaker | undefined {
    for (const [address, queue] of this.#waiting) {
      const [taker] = queue;
      queue.delete(taker!);
      this.#waiting.delete(address);
      if (queue.size > 0) this.#waiting.set(address, queue);
      return taker;
    }
    return undefined;
  }
}
