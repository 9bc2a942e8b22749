/**
 * Parking: captured connections that came before there was a table to say where they go.
 *
 *   accept ──► parked, paused and unread ──┬── the first table: leave in the order in which they came
 *                                          └── `parkMs` over, or the proxy ends: RST
 *
 * Nothing of them is read, so nothing is held but a socket each; they count as open connections, of
 * which there are at most `connectionsMax`.
 */

import type { Socket } from 'node:net';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { OriginalDestination } from '../socket/original-destination.ts';
import { resetSocket } from '../socket/socket-reads.ts';

export class Parking {
  readonly #scope: ProxyScope;
  readonly #counts: ConnectionCounts;
  readonly #parked = new Set<Parked>();

  constructor(scope: ProxyScope, counts: ConnectionCounts) {
    this.#scope = scope;
    this.#counts = counts;
  }

  get size(): number {
    return this.#parked.size;
  }

  park(accepted: Socket, destination: OriginalDestination): void {
    const parked = new Parked(accepted, destination, (each) => this.#cut(each));
    this.#parked.add(parked);
    this.#counts.downstreamOpen++;
    const { clock, deadlines, limits } = this.#scope;
    deadlines.set(parked.deadline, clock.now() + limits.parkMs);
  }

  /** Hands over every connection; `take` counts it as its own. */
  leave(take: (accepted: Socket, destination: OriginalDestination) => void): void {
    for (const parked of this.#parked) {
      this.#forget(parked);
      try {
        take(parked.accepted, parked.destination);
      } catch (error) {
        this.#scope.containBug(parked.accepted, error);
      }
    }
  }

  /** Nobody will come for them. */
  reset(): void {
    for (const parked of this.#parked) this.#cut(parked);
  }

  #cut(parked: Parked): void {
    this.#forget(parked);
    this.#counts.downstreamTotal++;
    resetSocket(parked.accepted);
  }

  #forget(parked: Parked): void {
    this.#parked.delete(parked);
    this.#counts.downstreamOpen--;
    this.#scope.deadlines.remove(parked.deadline);
  }
}

class Parked implements DeadlineOwner {
  readonly accepted: Socket;
  readonly destination: OriginalDestination;
  readonly deadline: Deadline = new Deadline(this);
  readonly #onLate: (parked: Parked) => void;

  constructor(
    accepted: Socket,
    destination: OriginalDestination,
    onLate: (parked: Parked) => void,
  ) {
    this.accepted = accepted;
    this.destination = destination;
    this.#onLate = onLate;
  }

  onDeadline(): void {
    this.#onLate(this);
  }
}
