/**
 * The bench's hand on its collector: how it behaves, and how many spans have come.
 *
 * The collector is a process of its own on the load's core (load/collector.ts). Counting is put off
 * until it is asked for, so that it falls into no measured time.
 */

import { join } from 'node:path';
import { askChild, type Child, type Children } from './children.ts';

/**
 * up: answers at once. slow: answers after two seconds. dead: the port is closed and connections are
 * cut. busy: answers 429.
 */
export type CollectorMode = 'up' | 'slow' | 'dead' | 'busy';

/** What the collector is asked, and answers with the number of spans or 0. */
export type CollectorOrder = CollectorMode | 'count';

const name = 'the collector';
const patienceMs = 30_000;

export class CollectorControl {
  readonly #child: Child;
  readonly port: number;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts the collector on `port` and `core`; it is up. */
  static async start(
    children: Children,
    core: number | undefined,
    directory: string,
    port: number,
  ): Promise<CollectorControl> {
    const child = children.start({
      command: process.execPath,
      args: [join(import.meta.dirname, '../load/collector.ts'), String(port)],
      core,
      directory,
      channel: true,
    });
    await askChild(child, name, patienceMs);
    return new CollectorControl(child, port);
  }

  /** Throws when its process is gone. */
  assertUp(): void {
    if (this.#child.hasEnded) throw new Error(`${name}: ${this.#child.describeEnd()}`);
  }

  /** Resolves when it behaves so. */
  async mode(mode: CollectorMode): Promise<void> {
    await this.#ask(mode);
  }

  /** All spans that were accepted (not those answered 429) since the run began. */
  spans(): Promise<number> {
    return this.#ask('count');
  }

  #ask(order: CollectorOrder): Promise<number> {
    return askChild(this.#child, name, patienceMs, order) as Promise<number>;
  }
}
