/**
 * What an open and a closed loop have in common: their connections, and what they count.
 */

import { Histogram } from './histogram.ts';
import { LoadConnection, type LoadOwner, type Outcome } from './load-connection.ts';
import type { LoadErrors, LoadOrder, LoadReport } from './load-order.ts';
import { monotonicMs } from './monotonic.ts';
import { RequestText } from './request-text.ts';
import { UsualAnswer } from './usual-answer.ts';

/** An answer may come so long after the last request was due. */
export const patienceMs = 2000;

export abstract class Load implements LoadOwner {
  readonly states: Int32Array;
  readonly usual = new UsualAnswer();
  protected readonly connections: readonly LoadConnection[];
  protected readonly errors: LoadErrors = { status: 0, body: 0, echo: 0, cut: 0, late: 0 };
  protected readonly latency = new Histogram();
  protected readonly service = new Histogram();
  protected readonly lateness = new Histogram();
  protected completed = 0;

  constructor(order: LoadOrder, states: Int32Array) {
    const { port, connections } = order;
    this.states = states;
    this.connections = Array.from(
      { length: connections },
      (_, place) =>
        new LoadConnection(port, this, new RequestText(order, place, connections), place),
    );
  }

  async run(): Promise<LoadReport> {
    await Promise.all(this.connections.map((connection) => connection.open()));
    const startedAt = monotonicMs();
    await this.drive();
    const elapsedSeconds = (monotonicMs() - startedAt) / 1000;
    for (const connection of this.connections) connection.close();
    return {
      sent: this.countSent(),
      completed: this.completed,
      errors: this.errors,
      elapsedSeconds,
      latency: this.latency.toSparse(),
      service: this.service.toSparse(),
      lateness: this.lateness.toSparse(),
    };
  }

  abstract onOutcome(connection: LoadConnection, outcome: Outcome): void;
  abstract beforeConnect(): void;
  /** Resolves when the load is over: all answers are in, or given up. */
  protected abstract drive(): Promise<void>;
  protected abstract countSent(): number;
}
