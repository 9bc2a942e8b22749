/**
 * The end of a proxy that loses nothing: listen on, then no more callers, then no more calls, cut.
 *
 *   listen on          callers still come, because endpoint lists follow late; each answer closes
 *   inbound retires    what callers have under way finishes; the application still reaches others
 *   outbound retires   its last calls finish
 *   cut                what is left when the time is over ends by RST
 *
 * The first part lasts `drainListenMs` from when the pod began to end, however quiet it is: a caller
 * with an old list may be quiet too. Nothing leads callers to a proxy without inbound listeners or
 * gateways, so it leaves that part out.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { ListenerSet } from './listener-set.ts';
import type { ProxyScope } from './scope/proxy-scope.ts';

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
    await this.#wait(Math.min(until, this.#listenUntil(now)), () => false);
    await this.#listeners.retire('inbound');
    await this.#wait(until, () => {
      const isQuiet = this.#isQuiet();
      return scope.inbound.downstreamOpen + scope.handshakes === 0 && isQuiet;
    });
    await this.#listeners.retire('outbound');
    await this.#wait(until, () => this.#listeners.awaitedConnections() === 0);
    return this.#listeners.awaitedConnections();
  }

  /** The pod may have begun to end before its proxy does: /drain says so. */
  #listenUntil(now: Milliseconds): Milliseconds {
    const { leftMs, limits } = this.#scope;
    if (!this.#listeners.takesCallers()) return now;
    return Math.min(leftMs, now) + limits.drainListenMs;
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
    const own = this.#listeners.ownCalls?.active ?? 0;
    const underWay = inbound.exchangesActive + outbound.exchangesActive + handshakes - own;
    if (underWay > 0 || accepted !== this.#accepted) {
      this.#busyMs = now;
      this.#accepted = accepted;
    }
    return now >= this.#busyMs + limits.drainQuietMs;
  }
}
