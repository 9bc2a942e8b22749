/**
 * Turns for handshakes at gateways: a few begin in each turn of the loop, so that a storm of callers is
 * served between the requests of others and not before them.
 *
 *   ask ──► begins now, while there is room in this turn ──► else waits, first come, first served
 */

import type { WakeUps } from '../../base/deadlines.ts';

/** Who waits; it may be over by then. */
export interface TurnTaker {
  onTurn(): void;
}

export class HandshakeTurns {
  readonly #wakeUps: WakeUps;
  readonly #perTurn: number;
  readonly #waiting: TurnTaker[] = [];
  /** Begun in this turn; a new one has been asked for when it is not 0. */
  #begun = 0;

  constructor(wakeUps: WakeUps, perTurn: number) {
    this.#wakeUps = wakeUps;
    this.#perTurn = perTurn;
  }

  ask(taker: TurnTaker): void {
    if (this.#begun < this.#perTurn && this.#waiting.length === 0) this.#begin(taker);
    else this.#waiting.push(taker);
  }

  #begin(taker: TurnTaker): void {
    if (this.#begun++ === 0) this.#wakeUps.after(0, () => this.#next());
    taker.onTurn();
  }

  #next(): void {
    this.#begun = 0;
    for (const taker of this.#waiting.splice(0, this.#perTurn)) this.#begin(taker);
  }
}
