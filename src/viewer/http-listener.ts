/**
 * A node:http server with every limit set, and the ways in which this room answers.
 *
 * Not for traffic: the proxy owns its bytes. Node's defaults that would hurt here are a keep-alive
 * of 5 s (exporters send every 5 s: a race), a request timeout of 300 s and no bound on
 * connections (reference/features.md, "node:http traps"). Answers that their readers do not take are
 * bounded in bytes, all together, and in time.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { systemWakeUps } from '../base/deadlines.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';

/** An IP address or `localhost`, and a port; port 0 asks the system for one. */
export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** The address cannot be had; the message says which, why and what to do, in one line. */
export class ListenFailure extends Error {
  override readonly name = 'ListenFailure';
}

/** Answers one request; what it throws becomes a 500. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export class HttpListener {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on `at`, or rejects with ListenFailure. `purpose` and `flag` are for its message. */
  static open(
    at: ListenAddress,
    handler: Handler,
    limits: ViewerLimits,
    naming: { readonly purpose: string; readonly flag: string },
  ): Promise<HttpListener> {
    const waiting = new WaitingAnswers(limits);
    const server = createServer(
      {
        keepAliveTimeout: limits.keepAliveIdleMs,
        headersTimeout: limits.headTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: limits.headBytesMax,
      },
      (request, response) => {
        waitingAnswers.set(response, waiting);
        serve(handler, request, response);
      },
    );
    server.maxConnections = limits.connectionsMax;
    let connections = 0;
    server.on('connection', (socket) => {
      connections++;
      socket.once('close', () => connections--);
      // Before all are taken, those between two requests make room.
      if (connections > (3 / 4) * limits.connectionsMax) server.closeIdleConnections();
    });
    // A reader that stalls in the middle of an answer: no byte moves for as long as a request may.
    server.timeout = limits.requestTimeoutMs + limits.keepAliveIdleMs;
    return new Promise((resolve, reject) => {
      server.on('error', (error: NodeJS.ErrnoException) => {
        reject(new ListenFailure(listenMessage(at, error, naming)));
      });
      server.listen(at.port, at.address, () => resolve(new HttpListener(server)));
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Ends the listener and every connection, also those with a request under way. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function serve(handler: Handler, request: IncomingMessage, response: ServerResponse): void {
  // A peer that goes away is not an error here; without a listener it would be one of the process.
  request.on('error', () => {});
  response.on('error', () => {});
  try {
    handler(request, response);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else answerText(response, 500, `internal error: ${String(error)}`);
  }
}

/** Why `at` cannot be listened on and what to do, in one line. */
export function listenMessage(
  at: ListenAddress,
  error: NodeJS.ErrnoException,
  { purpose, flag }: { readonly purpose: string; readonly flag: string },
): string {
  const where = `cannot listen on ${printAddress(at)} for ${purpose}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return `${where}: the port is in use (another viewer, or Jaeger?); choose one with ${flag}`;
    case 'EACCES':
      return `${where}: not permitted; ports below 1024 need rights, choose one with ${flag}`;
    case 'EADDRNOTAVAIL':
      return `${where}: this machine does not have that address`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${where}: the name is not known`;
    default:
      return `${where}: ${error.message}`;
  }
}

/** `127.0.0.1:4318`, `[::1]:4318`. */
export function printAddress({ address, port }: ListenAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Answers up to this size are sent whatever waits: there is one for each connection. */
const smallAnswerBytes = 64 * 1024;

/** What one listener has answered and its readers have not taken yet. */
class WaitingAnswers {
  readonly #limits: ViewerLimits;
  #bytes = 0;

  constructor(limits: ViewerLimits) {
    this.#limits = limits;
  }

  hasRoomFor(bytes: number): boolean {
    if (bytes <= smallAnswerBytes || this.#bytes === 0) return true;
    return this.#bytes + bytes <= this.#limits.answersHeldBytesMax;
  }

  /** Counts an answer until it is sent or its reader gone; ends a reader that takes too long. */
  hold(response: ServerResponse, bytes: number): void {
    this.#bytes += bytes;
    const callOff = systemWakeUps.after(this.#limits.answerTimeoutMs, () => response.destroy());
    response.once('close', () => {
      callOff();
      this.#bytes -= bytes;
    });
  }
}

/** By the listener of each response. */
const waitingAnswers = new WeakMap<ServerResponse, WaitingAnswers>();

/** Sends a whole answer; a big one is refused with 503 while too much waits for its readers. */
export function answer(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const waiting = waitingAnswers.get(response);
  if (waiting?.hasRoomFor(bytes.length) === false) {
    const message = 'too many answers wait to be read (answersHeldBytesMax); try again';
    const refusal = JSON.stringify({ error: { httpCode: 503, message } });
    answer(response, 503, 'application/json', `${refusal}\n`, { 'retry-after': '1' });
    return;
  }
  waiting?.hold(response, bytes.length);
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(bytes);
}

/** A sentence for a person, with a line end. */
export function answerText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  answer(response, status, 'text/plain; charset=utf-8', `${text}\n`, headers);
}
