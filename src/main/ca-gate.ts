/**
 * Who may connect: an address has so many connections at a time, and opens so many a second; all
 * together have so many places, and whoever has asked nothing gives way to who comes.
 *
 * Before TLS, so that one pod that dials without end costs an accept and not a handshake. Sidecars of one
 * machine share an address: its bounds are far above what a few hundred need. Silence costs a stranger
 * nothing, so where all places are taken the oldest silent connection of the address that has the most of
 * them is closed: a few addresses cannot keep out the others.
 */

import type { Clock } from '../base/clock.ts';
import { RateLimit } from '../identity/rate-limit.ts';
import type { AuthorityLimits } from '../model/authority-limits.ts';

/** One connection. */
export interface CaGuest {
  /** IP address of the peer. */
  readonly address: string;
  close(): void;
}

export class CaGate<Guest extends CaGuest> {
  readonly #limits: AuthorityLimits;
  readonly #clock: Clock;
  readonly #rate: RateLimit;
  readonly #open = new Map<string, number>();
  /** Those without a whole request, by address; the oldest first. */
  readonly #silent = new Map<string, Set<Guest>>();
  readonly #guests = new Set<Guest>();

  constructor(limits: AuthorityLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const rate = { burst: limits.dialsBurst, perSecond: limits.dialsPerSecond };
    this.#rate = new RateLimit(rate, limits.callersMax);
  }

  /**
   * True: the connection counts until `leave`. Another one may have been closed for it, which has left
   * by then and is given to `onClosed`.
   */
  enter(guest: Guest, onClosed: (other: Guest) => void): boolean {
    const { address } = guest;
    if ((this.#open.get(address) ?? 0) >= this.#limits.connectionsPerAddressMax) return false;
    if (this.#rate.take(address, this.#clock.now()) > 0) return false;
    if (this.#guests.size >= this.#limits.connectionsMax) {
      const other = this.#mostPatient();
      if (other === undefined) return false;
      this.leave(other);
      other.close();
      onClosed(other);
    }
    this.#guests.add(guest);
    this.#open.set(address, (this.#open.get(address) ?? 0) + 1);
    this.#addSilent(guest);
    return true;
  }

  /** It has asked: it is not closed for others until its answer has been sent (`rest`). */
  work(guest: Guest): void {
    this.#dropSilent(guest);
  }

  rest(guest: Guest): void {
    if (this.#guests.has(guest)) this.#addSilent(guest);
  }

  /** It is over; may be said again. */
  leave(guest: Guest): void {
    if (!this.#guests.delete(guest)) return;
    this.#dropSilent(guest);
    const open = this.#open.get(guest.address) ?? 0;
    if (open > 1) this.#open.set(guest.address, open - 1);
    else this.#open.delete(guest.address);
  }

  #mostPatient(): Guest | undefined {
    let most: Set<Guest> | undefined;
    for (const silent of this.#silent.values()) {
      if (silent.size > (most?.size ?? 0)) most = silent;
    }
    return most?.values().next().value;
  }

  #addSilent(guest: Guest): void {
    const silent = this.#silent.get(guest.address) ?? new Set();
    this.#silent.set(guest.address, silent.add(guest));
  }

  #dropSilent(guest: Guest): void {
    const silent = this.#silent.get(guest.address);
    silent?.delete(guest);
    if (silent?.size === 0) this.#silent.delete(guest.address);
  }
}
