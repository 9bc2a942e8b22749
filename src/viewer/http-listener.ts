/**
 * A node:http server with every limit set, and the ways in which this room answers.
 *
 * Not for traffic: the proxy owns its bytes. Node's defaults that would hurt here are a keep-alive
 * of 5 s (exporters send every 5 s: a race), a request timeout of 300 s and no bound on
 * connections (reference/features.md, "node:http traps").
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ViewerLimits } from '../model/limits.ts';

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
    const server = createServer(
      {
        keepAliveTimeout: limits.keepAliveIdleMs,
        headersTimeout: limits.headTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: limits.headBytesMax,
      },
      (request, response) => serve(handler, request, response),
    );
    server.maxConnections = limits.connectionsMax;
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

/** Sends a whole answer. */
export function answer(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
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
