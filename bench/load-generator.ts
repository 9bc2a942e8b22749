/**
 * The bench's end of its generator process: starts it, gives it one order at a time.
 *
 * It fails loudly: an order that the generator does not answer within its own time and ten seconds, or
 * a generator that ends, rejects the order instead of hanging the run.
 */

import { join } from 'node:path';
import type { Child, Children } from './children.ts';
import type { LoadOrder, LoadReport } from './load-order.ts';

const patienceMs = 10_000;

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
    const generator = new LoadGenerator(child);
    await generator.#next(patienceMs);
    return generator;
  }

  run(order: LoadOrder): Promise<LoadReport> {
    const warmSeconds = order.kind === 'open' ? order.warmSeconds : 0;
    const answer = this.#next((order.seconds + warmSeconds) * 1000 + patienceMs);
    this.#child.process.send(order);
    return answer as Promise<LoadReport>;
  }

  #next(timeoutMs: number): Promise<unknown> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        child.process.off('message', onMessage);
        child.process.off('exit', onExit);
      };
      const onMessage = (message: unknown) => {
        finish();
        resolve(message);
      };
      const onExit = () => {
        finish();
        reject(new Error(`the load generator: ${child.describeEnd()}`));
      };
      const timer = setTimeout(() => {
        finish();
        reject(new Error(`the load generator did not answer within ${timeoutMs} ms`));
      }, timeoutMs);
      child.process.once('message', onMessage);
      child.process.once('exit', onExit);
    });
  }
}
