/**
 * An HTTP server that plays a script: one handler for each request that is expected, in order.
 *
 * Not an API server and no double of one: it makes the answers that a healthy one does not give. A
 * request beyond the script is remembered as a fault, which `finish` throws.
 */

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Step = (seen: Seen, response: ServerResponse) => void;

export class ScriptedServer {
  readonly seen: Seen[] = [];
  readonly #server: Server;
  readonly #steps: Step[];
  readonly #faults: string[] = [];

  private constructor(steps: readonly Step[]) {
    this.#steps = [...steps];
    this.#server = createServer((request, response) => void this.#play(request, response));
  }

  static async start(...steps: readonly Step[]): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(steps);
    await new Promise<void>((resolve) => scripted.#server.listen(0, '127.0.0.1', resolve));
    return scripted;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends it; fails when more was asked than the script has. */
  async finish(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    assert.deepEqual(this.#faults, []);
  }

  async #play(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += chunk;
    const url = new URL(request.url ?? '', 'http://scripted');
    const seen: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body,
    };
    this.seen.push(seen);
    const step = this.#steps.shift();
    if (step === undefined) {
      this.#faults.push(`${seen.method} ${request.url} is beyond the script`);
      // Left open: an answer would make a client ask again and again.
      return;
    }
    step(seen, response);
  }
}

/** A whole JSON answer. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Step {
  return (_seen, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };
}

/** The API server's Status. */
export function status(code: number, reason: string, message: string, headers = {}): Step {
  return json({ kind: 'Status', status: 'Failure', code, reason, message }, code, headers);
}

/** The given pieces as they are, and then the end of the answer. */
export function stream(...pieces: readonly (string | object)[]): Step {
  return (_seen, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    for (const piece of pieces) response.write(textOf(piece));
    response.end();
  };
}

/** The given pieces, and then nothing more for ever. */
export function hang(...pieces: readonly (string | object)[]): Step {
  return (_seen, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const piece of pieces) response.write(textOf(piece));
  };
}

/** The given pieces, and then the connection is cut. */
export function cut(...pieces: readonly (string | object)[]): Step {
  return (_seen, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    for (const piece of pieces) response.write(textOf(piece));
    setImmediate(() => response.destroy());
  };
}

function textOf(piece: string | object): string {
  return typeof piece === 'string' ? piece : `${JSON.stringify(piece)}\n`;
}
