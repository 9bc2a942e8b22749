/**
 * Whom a measured sidecar talks with: two backends that note what reaches them, a collector that notes
 * the spans it is sent, and callers who send one request after the other on a kept connection.
 *
 * All on loopback, in the test's own process; they end with the test. Answers are the same bytes each
 * time, so that nothing differs between two counts.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import {
  benchBody,
  benchHost,
  benchPath,
  bodyOf,
  requestHead,
} from '../../bench/load/load-order.ts';

const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: test\r\n' +
    `Content-Length: ${benchBody.length}\r\n\r\n${benchBody}`,
  'latin1',
);
const target = { host: benchHost, path: benchPath };
const postBody = bodyOf(1000);

/** What a caller may send: a plain request, or one with a body of 1000 bytes; one write each. */
export const requests = {
  plain: Buffer.from(requestHead('GET', target, ''), 'latin1'),
  post: Buffer.from(
    requestHead('POST', target, `Content-Length: ${postBody.length}\r\n`) + postBody,
    'latin1',
  ),
} as const;

export type RequestKind = keyof typeof requests;

/** The two subsets of the service: requests that reached each, and the spans that they carried. */
export class Backends {
  readonly ports: readonly number[];
  readonly requests: readonly [number, number] = [0, 0];
  /** Bytes of the bodies that came with them. */
  bodyBytes = 0;
  /** 'trace id-span id' of every traceparent that arrived, and of those with the sampled flag. */
  readonly spans = new Set<string>();
  readonly sampled = new Set<string>();

  private constructor(servers: readonly Server[]) {
    this.ports = servers.map((server) => (server.address() as AddressInfo).port);
    for (const [subset, server] of servers.entries()) {
      server.on('connection', (socket: Socket) => this.#serve(socket, subset));
    }
  }

  static async start(t: TestContext): Promise<Backends> {
    const servers = [createServer(), createServer()];
    for (const server of servers) await listen(t, server);
    return new Backends(servers);
  }

  #serve(socket: Socket, subset: number): void {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    let bodyLeft = 0;
    socket.on('data', (chunk: Buffer) => {
      let body = chunk.length;
      if (bodyLeft === 0) {
        const text = chunk.toString('latin1');
        // A head comes in one piece, because the sidecar writes it at once; its body may follow.
        const headBytes = text.indexOf('\r\n\r\n') + 4;
        assert.ok(headBytes > 3, text);
        const head = text.slice(0, headBytes);
        this.#note(head, subset);
        body -= headBytes;
        bodyLeft = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1] ?? 0);
      }
      assert.ok(body <= bodyLeft, 'no more than was announced');
      bodyLeft -= body;
      this.bodyBytes += body;
      if (bodyLeft === 0) socket.write(answer);
    });
  }

  #note(head: string, subset: number): void {
    (this.requests as [number, number])[subset]!++;
    const [, ids, flags] =
      /\r\ntraceparent: 00-([0-9a-f]{32}-[0-9a-f]{16})-0([0-3])\r\n/.exec(head) ?? [];
    if (ids === undefined) return;
    this.spans.add(ids);
    // 1 is the sampled flag, 2 that of a random trace id.
    if ((Number(flags) & 1) === 1) this.sampled.add(ids);
  }
}

/** Takes OTLP/JSON. */
export class Collector {
  readonly port: number;
  /** As in Backends: those that the sampler chose. A busy machine has slow ones, which are kept beside. */
  readonly spans = new Set<string>();
  #told: () => void = () => {};

  private constructor(port: number) {
    this.port = port;
  }

  static async start(t: TestContext): Promise<Collector> {
    const server = createHttpServer((asked, reply) => {
      let text = '';
      asked.on('data', (chunk) => {
        text += chunk;
      });
      asked.on('end', () => {
        collector.#take(text);
        reply.setHeader('content-type', 'application/json').end('{}');
      });
    });
    const collector = new Collector(await listen(t, server));
    return collector;
  }

  /** Resolves once every one of `spans` has come, and no earlier. */
  async has(spans: ReadonlySet<string>): Promise<void> {
    while (!spans.isSubsetOf(this.spans)) {
      await new Promise<void>((settle) => {
        this.#told = settle;
      });
    }
  }

  #take(text: string): void {
    const { resourceSpans } = JSON.parse(text) as Export;
    for (const { scopeSpans } of resourceSpans ?? []) {
      for (const { spans } of scopeSpans) {
        for (const { traceId, spanId, attributes } of spans) {
          const by = attributes.find(({ key }) => key === 'tracecar.sampled_by');
          if (by?.value.stringValue !== 'slow') this.spans.add(`${traceId}-${spanId}`);
        }
      }
    }
    this.#told();
  }
}

/** The part of OTLP/JSON that is looked at. */
interface Export {
  /** Absent where metrics come. */
  readonly resourceSpans?: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly attributes: readonly {
          readonly key: string;
          readonly value: { readonly stringValue?: string };
        }[];
      }[];
    }[];
  }[];
}

/** One kept connection; an answer is over when as many bytes have come as the backend sends. */
export class Caller {
  readonly socket: Socket;
  #received = 0;
  #shared = { left: 0 };
  #request: Buffer = requests.plain;
  #settle: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  static async open(port: number): Promise<Caller> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new Caller(socket);
  }

  /** Sends requests until all callers together have sent `shared.left`. */
  run(shared: { left: number }, request: Buffer = requests.plain): Promise<void> {
    this.#shared = shared;
    this.#request = request;
    return new Promise((settle, reject) => {
      this.#settle = settle;
      this.socket.once('close', () => reject(new Error('the sidecar closed a connection')));
      this.#next();
    });
  }

  #next(): void {
    if (this.#shared.left <= 0) {
      this.socket.removeAllListeners('close');
      this.#settle?.();
      return;
    }
    this.#shared.left--;
    this.#received = 0;
    this.socket.write(this.#request);
  }

  #take(chunk: Buffer): void {
    if (this.#received === 0) assert.match(chunk.toString('latin1', 0, 15), /^HTTP\/1\.1 200 OK/);
    this.#received += chunk.length;
    if (this.#received >= answer.length) this.#next();
  }
}

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
