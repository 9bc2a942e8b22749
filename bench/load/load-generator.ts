/**
 * The bench's end of its generator process: starts it, gives it one order at a time.
 *
 * It fails loudly: an order that the generator does not answer within its own time and ten seconds, or
 * a generator that ends, rejects the order instead of hanging the run.
 */

import { join } from 'node:path';
import { askChild, type Child, type Children } from '../stage/children.ts';
import type { GeneratorOrder, LoadOrder, LoadReport } from './load-order.ts';

const name = 'the load generator';
const patienceMs = 10_000;
const holdPatienceMs = 60_000;

export class LoadGenerator {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Starts the process on `core` and waits until it takes orders. */
  static async start(
    children: Children,
    core: number | undefined,
    directory: string,
  ): Promise<LoadGenerator> {
    const child = children.start({
      command: process.execPath,
      args: [join(import.meta.dirname, 'generator.ts')],
      core,
      directory,
      channel: true,
    });
    await askChild(child, name, patienceMs);
    return new LoadGenerator(child);
  }

  /** Throws when its process is gone. */
  assertUp(): void {
    if (this.#child.hasEnded) throw new Error(`${name}: ${this.#child.describeEnd()}`);
  }

  run(order: LoadOrder): Promise<LoadReport> {
    const warmSeconds = order.kind === 'open' ? order.warmSeconds : 0;
    const answer = this.#ask(order, (order.seconds + warmSeconds) * 1000 + patienceMs);
    return answer as Promise<LoadReport>;
  }

  /**
   * Opens `connections` and has one request answered on each; they stay open, idle, until `release`.
   * Rejects when an answer is wrong or a connection fails.
   */
  async hold(port: number, connections: number): Promise<void> {
    const problem = await this.#ask({ kind: 'hold', port, connections }, holdPatienceMs);
    if (problem !== '') throw new Error(`holding ${connections} connections: ${problem}`);
  }

  async release(): Promise<void> {
    await this.#ask({ kind: 'release' }, patienceMs);
  }

  #ask(order: GeneratorOrder, timeoutMs: number): Promise<unknown> {
    return askChild(this.#child, name, timeoutMs, order);
  }
}
