/**
 * Who may connect: an address has so many connections at a time, and opens so many a second.
 *
 * Before TLS, so that one pod that dials without end costs an accept and not a handshake, and leaves places
 * for the others. Sidecars of one machine share an address: the bounds are far above what a few hundred need.
 */

import type { Clock } from '../base/clock.ts';
import { RateLimit } from '../identity/rate-limit.ts';
import type { AuthorityLimits } from '../model/authority-limits.ts';

export class CaGate {
  readonly #limits: AuthorityLimits;
  readonly #clock: Clock;
  readonly #rate: RateLimit;
  readonly #open = new Map<string, number>();

  constructor(limits: AuthorityLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const rate = { burst: limits.dialsBurst, perSecond: limits.dialsPerSecond };
    this.#rate = new RateLimit(rate, limits.callersMax);
  }

  /** True: the connection counts until `leave`. */
  enter(address: string): boolean {
    const open = this.#open.get(address) ?? 0;
    if (open >= this.#limits.connectionsPerAddressMax) return false;
    if (this.#rate.take(address, this.#clock.now()) > 0) return false;
    this.#open.set(address, open + 1);
    return true;
  }

  leave(address: string): void {
    const open = this.#open.get(address) ?? 0;
    if (open > 1) this.#open.set(address, open - 1);
    else this.#open.delete(address);
  }
}
