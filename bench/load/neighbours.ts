/**
 * The bench's end of a neighbour's process: starts it, gives it one order at a time.
 *
 * An order that is not answered in time, or a process that ends, rejects.
 */

import { join } from 'node:path';
import { askChild, type Child } from '../stage/children.ts';
import type { Stage } from '../stage/stage.ts';
import type { NeighbourOrder, NeighbourQuestion, NeighbourReport } from './neighbour-order.ts';

const name = 'a neighbour';
const patienceMs = 60_000;

/** Where it runs. */
type Place = Pick<Stage, 'children' | 'cores' | 'directory'>;

export class Neighbour {
  readonly #place: Place;
  readonly #child: Child;

  private constructor(place: Place, child: Child) {
    this.#place = place;
    this.#child = child;
  }

  /** Starts the process on the load's core and waits until it takes orders. */
  static async open(place: Place): Promise<Neighbour> {
    const { children, cores, directory } = place;
    const child = children.start({
      command: process.execPath,
      args: [join(import.meta.dirname, 'neighbour.ts')],
      core: cores?.load,
      directory,
      channel: true,
    });
    await askChild(child, name, patienceMs);
    return new Neighbour(place, child);
  }

  /** Resolves when it does what was ordered; of idle connections, when all are open. */
  start(order: NeighbourOrder): Promise<NeighbourReport> {
    return this.#ask(order);
  }

  /** Has one more request answered on each idle connection. */
  touch(): Promise<NeighbourReport> {
    return this.#ask({ kind: 'touch' });
  }

  count(): Promise<NeighbourReport> {
    return this.#ask({ kind: 'count' });
  }

  /** Ends what it does; what came of it since the answer before. */
  stop(): Promise<NeighbourReport> {
    return this.#ask({ kind: 'stop' });
  }

  async close(): Promise<void> {
    await this.#place.children.stop(this.#child);
  }

  #ask(question: NeighbourQuestion): Promise<NeighbourReport> {
    return askChild(this.#child, name, patienceMs, question) as Promise<NeighbourReport>;
  }
}
