/**
 * Time that the test moves, for a proxy with real sockets: hours pass in a few turns of the loop.
 *
 * Between two wake-ups the sockets are heard, as they would be; a wake-up "after 0" is one turn of the
 * loop and needs no time.
 */

import { ManualClock } from '../../src/base/clock.ts';
import { systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';

export class ManualTime implements WakeUps {
  readonly clock = new ManualClock(1_000);
  readonly #pending = new Set<{ readonly at: number; readonly call: () => void }>();

  after(delayMs: number, call: () => void): () => void {
    if (delayMs <= 0) return systemWakeUps.after(delayMs, call);
    const wakeUp = { at: this.clock.now() + delayMs, call };
    this.#pending.add(wakeUp);
    return () => {
      this.#pending.delete(wakeUp);
    };
  }

  /** Moves time on, wake-up by wake-up. */
  async advance(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    do await turn();
    while (this.#wakeNext(until));
    this.clock.advance(until - this.clock.now());
    await turn();
  }

  /**
   * Moves time on until `promise` has come to something: to the next wake-up, and only there, so that
   * what waits for the system and not for time takes none.
   */
  async advanceUntil<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    promise.then(over, over);
    for (;;) {
      await turn();
      if (isOver) return promise;
      this.#wakeNext(Number.POSITIVE_INFINITY);
    }
  }

  #wakeNext(until: number): boolean {
    const [next] = [...this.#pending].toSorted((left, right) => left.at - right.at);
    if (next === undefined || next.at > until) return false;
    this.#pending.delete(next);
    this.clock.advance(Math.max(0, next.at - this.clock.now()));
    next.call();
    return true;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
