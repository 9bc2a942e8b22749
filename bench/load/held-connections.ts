/**
 * Connections that have served one request each and then are idle: what an idle one costs is asked of them.
 */

import { LoadConnection, type LoadOwner, type Outcome } from './load-connection.ts';
import type { Hold } from './load-order.ts';
import { RequestText } from './request-text.ts';
import { UsualAnswer } from './usual-answer.ts';

export class HeldConnections implements LoadOwner {
  readonly states: Int32Array;
  readonly usual = new UsualAnswer();
  readonly #connections: LoadConnection[];
  readonly #wrong: Outcome[] = [];
  #done: () => void = () => {};

  constructor({ port, connections }: Hold) {
    this.states = new Int32Array(connections);
    this.#connections = Array.from(
      { length: connections },
      (_, place) => new LoadConnection(port, this, new RequestText({}, place, connections), place),
    );
  }

  /** '' when all are open and answered, else what went wrong. One after the other: no storm. */
  async open(): Promise<string> {
    for (const connection of this.#connections) {
      const answered = new Promise<void>((done) => {
        this.#done = done;
      });
      connection.send();
      await answered;
    }
    return this.#wrong.join(', ');
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  beforeConnect(): void {}

  onOutcome(_connection: LoadConnection, outcome: Outcome): void {
    if (outcome !== 'right') this.#wrong.push(outcome);
    this.#done();
  }
}
