/**
 * Sends the demo's requests through web's sidecar and keeps what came back.
 *
 * Each request carries an id of its own, which every service passes on and answers with: a response
 * counts as good only when it is the answer to its own request.
 */

import { Agent, request } from 'node:http';
import type { Place } from './plan.ts';

export interface Answer {
  readonly id: string;
  readonly latencyMs: number;
  /** Which version of reviews answered; empty when the request failed. */
  readonly version: string;
  /** Why it failed; empty when it did not. */
  readonly problem: string;
}

const answerTimeoutMs = 20_000;

export class Load {
  readonly #agent: Agent;
  readonly #to: Place;
  #next = 1;

  /** At most `concurrency` requests are under way at a time. */
  constructor(to: Place, concurrency: number) {
    this.#to = to;
    // Below the sidecar's 75 s, so that it never closes a connection that we are about to use.
    this.#agent = new Agent({ keepAlive: true, maxSockets: concurrency, timeout: 30_000 });
  }

  /** Sends `count` requests, `concurrency` at a time, and calls `onAnswer` for each. */
  async send(count: number, concurrency: number, onAnswer: (answer: Answer) => void) {
    let left = count;
    const worker = async () => {
      while (left > 0) {
        left -= 1;
        onAnswer(await this.sendOne());
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  }

  /** Sends one request; never rejects. */
  sendOne(): Promise<Answer> {
    const id = `${this.#next++}`;
    const start = performance.now();
    return new Promise((resolve) => {
      const settle = (version: string, problem: string) =>
        resolve({ id, version, problem, latencyMs: performance.now() - start });
      const sent = request(
        { host: this.#to.address, port: this.#to.port, path: `/?id=${id}`, agent: this.#agent },
        (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            body += chunk;
          });
          response.on('error', (error) => settle('', error.message));
          response.on('end', () => {
            const cause = response.headers['x-tracecar-cause'];
            const problem = problemOf(response.statusCode ?? 0, body, id, String(cause ?? ''));
            settle(problem === '' ? JSON.parse(body).review.version : '', problem);
          });
        },
      );
      sent.setTimeout(answerTimeoutMs, () => sent.destroy(new Error('no answer in 20 s')));
      sent.on('error', (error) => settle('', error.message));
      sent.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function problemOf(status: number, body: string, id: string, cause: string): string {
  if (status !== 200) {
    return `status ${status}${cause === '' ? '' : ` (${cause})`}: ${body.slice(0, 200).trim()}`;
  }
  try {
    const answer = JSON.parse(body);
    if (answer.id !== id) return `answered request ${answer.id} instead of ${id}`;
    return typeof answer.review?.version === 'string' ? '' : 'the answer names no version';
  } catch {
    return `not JSON: ${body.slice(0, 200)}`;
  }
}

/** The value below which `share` of the sorted values lie; 0 for none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** GET of a small JSON document from one of the demo's own programs. */
export async function getJson<Shape>(url: string): Promise<Shape> {
  const response = await fetch(url, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return (await response.json()) as Shape;
}
