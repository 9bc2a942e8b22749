/**
 * A small HTTP server of pages for people and machines: what admin, health and metrics share.
 *
 * It never touches traffic: a page reads closures and answers. GET only, except where a page also
 * takes a PUT or a POST; bodies are tiny, every wait is bounded, and a page that throws answers 500 instead of
 * ending the process.
 */

import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { PageConnections } from './page-connections.ts';

// An ESM `import` of node:http costs 15 MB and 35 ms, because its namespace trips the getters that
// load undici (nodejs/node#59686; measured 2026-11-22). This is the sidecar's one way to it.
const http = process.getBuiltinModule('node:http');

export interface PageReply {
  readonly status: number;
  readonly contentType: string;
  /** In parts: each is made when the one before has gone, and between two all others have their turn. */
  readonly body: string | Iterable<string>;
}

export interface Page {
  readonly path: string;
  /** One line, listed where somebody asks for a path that is not there. */
  readonly summary: string;
  /** `wantsText`: the reader accepts text/plain and not JSON. `peer`: its address, empty if it is gone. */
  get(
    wantsText: boolean,
    headers: IncomingHttpHeaders,
    peer: string,
  ): PageReply | Promise<PageReply>;
  /** Asked before anything else, whatever the method: who may not come in learns nothing more. */
  readonly refuse?: (headers: IncomingHttpHeaders) => PageReply | undefined;
  /** POST is answered as GET is: for hooks of supervisors. */
  readonly takesPost?: boolean;
  /** Absent on pages that only show. */
  readonly put?: (body: string) => PageReply;
}

export interface PageServerOptions {
  readonly pages: readonly Page[];
  /** Refuse a Host that is not this machine: a web page must not read us by rebinding its name. */
  readonly isLocalOnly: boolean;
  readonly limits: PageLimits;
}

export interface PageLimits {
  /** From connect to the end of the request. */
  readonly requestTimeoutMs: number;
  readonly keepAliveIdleMs: number;
  /** The longest time that a page needs to answer. */
  readonly answerTimeoutMs: number;
  /** One more takes the place of another: page-connections.ts. */
  readonly connectionsMax: number;
  /** A PUT's body. */
  readonly bodyBytesMax: number;
  readonly headBytesMax: number;
}

/** A scraper and a few people: anything more is a mistake. */
export const pageLimits: PageLimits = Object.freeze({
  requestTimeoutMs: 5_000,
  keepAliveIdleMs: 5_000,
  answerTimeoutMs: 0,
  connectionsMax: 64,
  bodyBytesMax: 1_024,
  headBytesMax: 8 * 1_024,
});

export class PageServer {
  readonly #server: Server;
  readonly #connections: PageConnections;
  readonly #pages: ReadonlyMap<string, Page>;
  readonly #options: PageServerOptions;

  constructor(options: PageServerOptions) {
    this.#options = options;
    this.#pages = new Map(options.pages.map((page) => [page.path, page]));
    const { limits } = options;
    this.#server = http.createServer(
      {
        requestTimeout: limits.requestTimeoutMs,
        headersTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: limits.keepAliveIdleMs,
        connectionsCheckingInterval: limits.requestTimeoutMs,
        maxHeaderSize: limits.headBytesMax,
      },
      (request, response) => this.#answer(request, response),
    );
    this.#connections = new PageConnections(limits.connectionsMax);
    this.#server.on('connection', (socket) => this.#connections.add(socket));
    // A reader that takes nothing for this long is cut, so that a stalled one holds no page.
    const { requestTimeoutMs, keepAliveIdleMs, answerTimeoutMs } = limits;
    this.#server.setTimeout(requestTimeoutMs + keepAliveIdleMs + answerTimeoutMs);
  }

  /** Opens the port and answers which one it is; rejects with the system's error (EADDRINUSE). */
  listen(address: string, port: number): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, () => {
        this.#server.removeListener('error', reject);
        // Later errors are of single accepts (no descriptor left): the next one may work.
        this.#server.on('error', () => {});
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** Closes the port and every connection. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.#connections.ask(request.socket);
    response.on('close', () => this.#connections.answered(request.socket));
    const path = (request.url ?? '').split('?', 1)[0]!;
    if (this.#options.isLocalOnly && !isLocalAuthority(request.headers.host ?? '')) {
      send(request, response, refusal(403, 'this port answers only to 127.0.0.1 and localhost'));
      return;
    }
    const page = this.#pages.get(path);
    const refused = page?.refuse?.(request.headers);
    if (page === undefined) {
      send(request, response, this.#notFound(path));
    } else if (refused !== undefined) {
      send(request, response, refused);
    } else if (isReading(request.method, page)) {
      const { headers, socket } = request;
      void guarded(() => page.get(wantsText(request), headers, peerOf(socket))).then((reply) =>
        send(request, response, reply),
      );
    } else if (request.method === 'PUT' && page.put !== undefined) {
      this.#readBody(request, response, page.put);
    } else {
      response.setHeader('Allow', methodsOf(page));
      send(request, response, refusal(405, `${path} does not take ${request.method}`));
    }
  }

  #readBody(
    request: IncomingMessage,
    response: ServerResponse,
    put: (body: string) => PageReply,
  ): void {
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (chunk: string) => {
      if (body.length <= this.#options.limits.bodyBytesMax) body += chunk;
    });
    request.on('error', () => {});
    request.on('end', () => {
      const isTooBig = body.length > this.#options.limits.bodyBytesMax;
      const answer = () => (isTooBig ? refusal(413, 'the body is too long') : put(body));
      void guarded(answer).then((reply) => send(request, response, reply));
    });
  }

  #notFound(path: string): PageReply {
    const lines = [...this.#pages.values()].map((page) => `  ${page.path}  ${page.summary}`);
    return {
      status: path === '/' ? 200 : 404,
      contentType: 'text/plain; charset=utf-8',
      body: `${path === '/' ? 'pages' : `there is no ${path} here; pages`}:\n${lines.join('\n')}\n`,
    };
  }
}

/** A JSON or text reply with status `status` that says `message`. */
export function refusal(status: number, message: string): PageReply {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${message}\n` };
}

/** Without the prefix by which a socket of both families shows IPv4. */
function peerOf({ remoteAddress = '' }: Socket): string {
  return remoteAddress.replace(/^::ffff:/, '');
}

function isReading(method: string | undefined, page: Page): boolean {
  return method === 'GET' || method === 'HEAD' || (method === 'POST' && page.takesPost === true);
}

function methodsOf({ put, takesPost }: Page): string {
  return `GET, HEAD${takesPost === true ? ', POST' : ''}${put === undefined ? '' : ', PUT'}`;
}

async function guarded(page: () => PageReply | Promise<PageReply>): Promise<PageReply> {
  try {
    return await page();
  } catch (error) {
    return refusal(500, `this page failed: ${error instanceof Error ? error.message : error}`);
  }
}

function send(request: IncomingMessage, response: ServerResponse, reply: PageReply): void {
  const { body } = reply;
  response.statusCode = reply.status;
  response.setHeader('Content-Type', reply.contentType);
  if (typeof body === 'string') response.setHeader('Content-Length', Buffer.byteLength(body));
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  // A request whose body was not read leaves bytes on the connection: it serves no second one.
  if (!request.complete && request.method !== 'GET') response.setHeader('Connection', 'close');
  if (request.method === 'HEAD') response.end();
  else if (typeof body === 'string') response.end(body);
  else sendParts(response, body[Symbol.iterator]());
}

/** One part now; the next one when this has gone. What was begun and fails is cut, so that it shows. */
function sendParts(response: ServerResponse, parts: Iterator<string>): void {
  if (response.destroyed) return;
  try {
    const { done, value } = parts.next();
    if (done === true) response.end();
    else response.write(value, () => setImmediate(() => sendParts(response, parts)));
  } catch {
    response.destroy();
  }
}

function wantsText(request: IncomingMessage): boolean {
  const accept = request.headers.accept ?? '';
  return accept.includes('text/plain') && !accept.includes('application/json');
}

function isLocalAuthority(authority: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(authority);
}
