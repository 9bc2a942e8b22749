/**
 * The closed loop: every connection sends again as soon as it has its answer, until the time is over.
 */

import { Load, patienceMs } from './load.ts';
import type { LoadConnection, Outcome } from './load-connection.ts';
import type { ClosedLoop } from './load-order.ts';
import { monotonicMs } from './monotonic.ts';

export class ClosedLoad extends Load {
  readonly #seconds: number;
  readonly #requests: number;
  #sent = 0;
  #endAt = 0;
  #busy = 0;
  #finish: () => void = () => {};

  constructor(order: ClosedLoop) {
    super(order, new Int32Array(order.connections));
    this.#seconds = order.seconds;
    this.#requests = order.requests ?? Number.POSITIVE_INFINITY;
  }

  protected drive(): Promise<void> {
    this.#endAt = monotonicMs() + this.#seconds * 1000;
    return new Promise((done) => {
      const giveUp = setTimeout(
        () => {
          this.errors.late += this.#busy;
          this.#finish();
        },
        this.#seconds * 1000 + patienceMs,
      );
      this.#finish = () => {
        clearTimeout(giveUp);
        done();
      };
      for (const connection of this.connections) this.#send(connection);
    });
  }

  onOutcome(connection: LoadConnection, outcome: Outcome): void {
    const now = monotonicMs();
    this.#busy--;
    if (outcome === 'right') {
      this.completed++;
      this.service.record((now - connection.sentAt) * 1e6);
    } else this.errors[outcome]++;
    // A dead proxy must not become a storm of connection attempts.
    const wantsMore = now < this.#endAt && this.#sent < this.#requests;
    if (wantsMore && outcome === 'right') this.#send(connection);
    else if (this.#busy === 0) this.#finish();
  }

  beforeConnect(): void {}

  protected countSent(): number {
    return this.#sent;
  }

  #send(connection: LoadConnection): void {
    this.#sent++;
    this.#busy++;
    connection.send();
  }
}
