/**
 * TLS handshakes with the outside that have begun and wait for their peers: so many at a time, so many of
 * one address.
 *
 *   one more than there is room for ──► the oldest goes, of that address or of all
 *
 * A ClientHello and silence cost a stranger nothing and us 43 to 77 KB (2026-11-26). Whoever goes on is done
 * within a few round trips, so the oldest are those who do not. Whoever waits for its turn is not in it.
 */

import type { TrafficLimits } from '../../model/limits.ts';

export interface Handshaker {
  /** IP address of the peer, or whatever tells peers apart. */
  readonly address: string;
  /** Ends it; it leaves. */
  fail(why: string): void;
}

type Bounds = Pick<TrafficLimits, 'tlsHandshakesMax' | 'tlsHandshakesPerAddressMax'>;

export class HandshakeCrowd {
  readonly #bounds: Bounds;
  /** The oldest first. */
  readonly #all = new Set<Handshaker>();
  readonly #byAddress = new Map<string, Set<Handshaker>>();

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  enter(handshaker: Handshaker): void {
    const { tlsHandshakesMax, tlsHandshakesPerAddressMax } = this.#bounds;
    const { address } = handshaker;
    const own = this.#byAddress.get(address);
    if (own !== undefined && own.size >= tlsHandshakesPerAddressMax) end(own);
    else if (this.#all.size >= tlsHandshakesMax) end(this.#all);
    this.#all.add(handshaker);
    // Whoever has gone may have been the last of its address.
    const others = this.#byAddress.get(address) ?? new Set();
    this.#byAddress.set(address, others.add(handshaker));
  }

  /** It is over, well or badly; may be said again. */
  leave(handshaker: Handshaker): void {
    if (!this.#all.delete(handshaker)) return;
    const own = this.#byAddress.get(handshaker.address)!;
    own.delete(handshaker);
    if (own.size === 0) this.#byAddress.delete(handshaker.address);
  }
}

function end(crowd: ReadonlySet<Handshaker>): void {
  const [oldest] = crowd;
  oldest?.fail('it was not done, and others come');
}
