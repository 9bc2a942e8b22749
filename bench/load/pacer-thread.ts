/**
 * The generator's end of its pacer's thread: gives it lineups, hears what it could not send.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type HandOver, type Lineup, sharedInts } from './lineup.ts';

export class Pacer {
  /** Called for each request that the pacer leaves to the generator. */
  onHandOver: (handOver: HandOver) => void = () => {};
  readonly #lineupsPosted = sharedInts(1);
  readonly #thread = new Worker(new URL('./pacer.ts', import.meta.url), {
    workerData: this.#lineupsPosted,
  });

  /** Resolves when the thread takes lineups. */
  async ready(): Promise<void> {
    await once(this.#thread, 'message');
    this.#thread.on('message', (handOver: HandOver) => this.onHandOver(handOver));
  }

  /** Has it sent, from the first due time on. A lineup before it must have been stopped. */
  send(lineup: Lineup): void {
    this.#thread.postMessage(lineup);
    Atomics.add(this.#lineupsPosted, 0, 1);
    Atomics.notify(this.#lineupsPosted, 0);
  }
}
