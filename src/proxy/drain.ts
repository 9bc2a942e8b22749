/**
 * The end of a proxy that loses nothing: listen on, then no more callers, then no more calls, cut.
 *
 *   listen on          callers still come, because endpoint lists follow late; each answer closes
 *   inbound retires    what callers have under way finishes; the application still reaches others
 *   outbound retires   its last calls finish
 *   cut                what is left when the time is over ends by RST
 *
 * A proxy that nobody uses does not wait for the first part: `drainQuietMs` of quiet end it.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { ListenerSet } from './listener-set.ts';
import type { ProxyScope } from './proxy-scope.ts';

/** How often it is looked whether a part is over. */
const lookMs = 10;

export class Drain {
  readonly #scope: ProxyScope;
  readonly #listeners: ListenerSet;
  /** When something was last under way, or came. */
  #busyMs: Milliseconds;
  #accepted: number;

  constructor(scope: ProxyScope, listeners: ListenerSet) {
    this.#scope = scope;
    this.#listeners = listeners;
    this.#busyMs = scope.clock.now();
    this.#accepted = scope.accepted;
  }

  /** Resolves when no connection is open or `timeoutMs` are over; how many are left to be cut. */
  async run(timeoutMs: Milliseconds): Promise<number> {
    const scope = this.#scope;
    const now = scope.clock.now();
    const until = now + timeoutMs;
    const listenUntil = Math.min(until, now + scope.limits.drainListenMs);
    await this.#wait(listenUntil, () => this.#isQuiet());
    await this.#takeWaiting();
    this.#listeners.retire('inbound');
    await this.#wait(until, () => {
      const isQuiet = this.#isQuiet();
      return scope.inbound.downstreamOpen + scope.handshakes === 0 && isQuiet;
    });
    await this.#takeWaiting();
    this.#listeners.retire('outbound');
    await this.#wait(until, () => scope.openConnections() === 0);
    return scope.openConnections();
  }

  /** What the kernel has accepted for us is taken right before a socket closes: it would be reset. */
  #takeWaiting(): Promise<void> {
    return new Promise((resolve) => {
      this.#scope.wakeUps.after(0, resolve);
    });
  }

  async #wait(until: Milliseconds, isOver: () => boolean): Promise<void> {
    const { clock, wakeUps } = this.#scope;
    while (!isOver() && clock.now() < until) {
      await new Promise<void>((resolve) => {
        wakeUps.after(Math.min(lookMs, until - clock.now()), resolve);
      });
    }
  }

  #isQuiet(): boolean {
    const { accepted, clock, handshakes, inbound, limits, outbound } = this.#scope;
    const now = clock.now();
    const underWay = inbound.exchangesActive + outbound.exchangesActive + handshakes;
    if (underWay > 0 || accepted !== this.#accepted) {
      this.#busyMs = now;
      this.#accepted = accepted;
    }
    return now >= this.#busyMs + limits.drainQuietMs;
  }
}
