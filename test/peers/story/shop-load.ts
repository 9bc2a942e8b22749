/**
 * HTTPS requests to the shop's `web`, each with an id of its own, and what came back for it.
 *
 * The certificate is verified. A response counts only when it answers its own request and names the
 * version of `reviews` that was asked. Connections are kept, as browsers and gateways keep them.
 */

import { Agent, request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';

export interface ShopAnswer {
  readonly id: string;
  readonly latencyMs: number;
  /** v1 or v2; empty when the request failed. */
  readonly version: string;
  /** Why it failed; empty when it did not. */
  readonly problem: string;
}

export interface SteadyLoad {
  /** Requests that were due, all of them sent. */
  readonly offered: number;
  readonly answers: readonly ShopAnswer[];
  /** For how long requests became due. */
  readonly offeredMs: number;
  /** Until the last answer. */
  readonly elapsedMs: number;
}

export interface ShopAddress {
  readonly port: number;
  /** PEM of the authority to trust. */
  readonly ca: string;
}

export class ShopLoad {
  readonly #agent: Agent;
  readonly #port: number;
  readonly #prefix: string;
  #next = 0;

  constructor({ port, ca }: ShopAddress, prefix: string) {
    this.#port = port;
    this.#prefix = prefix;
    this.#agent = new Agent({ keepAlive: true, ca, servername: 'web.shop' });
  }

  /** Sends `count` requests, `concurrency` at a time. */
  async send(count: number, concurrency: number): Promise<ShopAnswer[]> {
    const answers: ShopAnswer[] = [];
    let left = count;
    const worker = async () => {
      while (left > 0) {
        left -= 1;
        answers.push(await this.sendOne());
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    return answers;
  }

  /**
   * Offers `perSecond` requests a second until `isOver`, and then waits until all are answered. At most
   * `concurrency` are under way: what is due meanwhile is sent as soon as one of them is back, so a slow
   * machine makes a late load, never a smaller one.
   */
  async sendSteadily(
    perSecond: number,
    concurrency: number,
    isOver: () => boolean,
  ): Promise<SteadyLoad> {
    const answers: ShopAnswer[] = [];
    const start = performance.now();
    let [offered, endMs] = [0, 0];
    const end = () => {
      endMs ||= performance.now() - start;
      return Math.floor((endMs * perSecond) / 1000);
    };
    const worker = async () => {
      while (!isOver() || offered < end()) {
        const dueMs = (offered * 1000) / perSecond - (performance.now() - start);
        offered += 1;
        if (dueMs > 0) await wait(dueMs);
        answers.push(await this.sendOne());
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    const elapsedMs = performance.now() - start;
    return { offered, answers, offeredMs: endMs, elapsedMs };
  }

  /** Never rejects. */
  sendOne(): Promise<ShopAnswer> {
    this.#next += 1;
    const id = `${this.#prefix}-${this.#next}`;
    const start = performance.now();
    return new Promise((resolve) => {
      const settle = (version: string, problem: string) =>
        resolve({ id, version, problem, latencyMs: performance.now() - start });
      const sent = request(
        {
          ...{ host: '127.0.0.1', port: this.#port, path: `/?id=${id}`, agent: this.#agent },
          headers: { host: 'web.shop' },
        },
        (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            body += chunk;
          });
          response.on('error', (error) => settle('', error.message));
          response.on('end', () => {
            const cause = String(response.headers['x-tracecar-cause'] ?? '');
            const problem = problemOf(response.statusCode ?? 0, body, id, cause);
            settle(problem === '' ? JSON.parse(body).review.version : '', problem);
          });
        },
      );
      sent.setTimeout(20_000, () => sent.destroy(new Error('no answer in 20 s')));
      sent.on('error', (error) => settle('', error.message));
      sent.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function problemOf(status: number, body: string, id: string, cause: string): string {
  if (status !== 200) return `status ${status} ${cause} ${body.slice(0, 200).trim()}`;
  try {
    const answer = JSON.parse(body);
    if (answer.id !== id) return `answered request ${answer.id} instead of ${id}`;
    return typeof answer.review?.version === 'string' ? '' : 'the answer names no version';
  } catch {
    return `not JSON: ${body.slice(0, 200)}`;
  }
}

/** How many answers came from each version. */
export function splitOf(answers: readonly ShopAnswer[]): Readonly<Record<'v1' | 'v2', number>> {
  const of = (version: string) => answers.filter((each) => each.version === version).length;
  return { v1: of('v1'), v2: of('v2') };
}

/** What went wrong, each different problem once with its number. */
export function problemsOf(answers: readonly ShopAnswer[]): string[] {
  const counts = new Map<string, number>();
  for (const { problem } of answers.filter((each) => each.problem !== '')) {
    counts.set(problem, (counts.get(problem) ?? 0) + 1);
  }
  return [...counts].map(([problem, count]) => `${count} x ${problem}`);
}
