/**
 * The HTTPS server that sidecars ask for certificates: `POST /v1/sign`, and `GET /healthz`.
 *
 *   head ──► its address's rate ──► body <= 16 KiB ──► token ──► everybody's rate, its own ──► sign
 *
 * Nothing that a caller sent is parsed before its token is known to be good, but for the head. TLS 1.3 only;
 * the server has a leaf of its own, by which sidecars know that it is the authority.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { isIPv6, type Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { Secret } from '../base/secret.ts';
import type { Authority, SignBody } from '../identity/authority.ts';
import { RateLimit } from '../identity/rate-limit.ts';
import type { VerifyToken } from '../identity/token.ts';
import { authorityLimits } from '../model/authority-limits.ts';
import { CaGate, type CaGuest } from './ca-gate.ts';
import type { TlsPair } from './ca-material.ts';

export interface CaServerOptions {
  readonly authority: Authority;
  readonly verify: VerifyToken;
  /** A question about a token is asked of somebody else, who must not be flooded by a single address. */
  readonly isCostly: boolean;
  readonly clock: Clock;
  /** Every refusal, once: for the log and the counters. */
  readonly onRefused: (refused: RefusedCall) => void;
  /** A connection beyond what an address may have, or that gave way to others: closed. */
  readonly onTurnedAway: (address: string, why: string) => void;
  readonly onHandshakeFailed: (address: string, why: string) => void;
  readonly onBug: (text: string) => void;
}

export interface RefusedCall {
  readonly status: number;
  readonly cause: string;
  readonly message: string;
  readonly address: string;
  /** Of a caller that is known by then; else empty. */
  readonly who: string;
}

interface Answer {
  readonly status: number;
  readonly cause?: string;
  readonly retryAfterMs?: number;
  readonly body: Readonly<Record<string, string>>;
}

const {
  addressBurst,
  addressPerMinute,
  allBurst,
  allPerSecond,
  callersMax,
  connectionsMax,
  discardBytesMax,
  headBytesMax,
  instanceLengthMax,
  keepAliveIdleMs,
  refusedBurst,
  refusedPerMinute,
  requestBytesMax,
  requestTimeoutMs,
  tokenBytesMax,
} = authorityLimits;

export class CaServer {
  readonly #server: Server;
  readonly #options: CaServerOptions;
  readonly #gate: CaGate<CaGuest>;
  readonly #guests = new WeakMap<object, CaGuest>();
  readonly #all = new RateLimit({ burst: allBurst, perSecond: allPerSecond }, 1);
  readonly #asked = new RateLimit(
    { burst: addressBurst, perSecond: addressPerMinute / 60 },
    callersMax,
  );
  readonly #refused = new RateLimit(
    { burst: refusedBurst, perSecond: refusedPerMinute / 60 },
    callersMax,
  );

  constructor(options: CaServerOptions, pair: TlsPair) {
    this.#options = options;
    this.#gate = new CaGate(authorityLimits, options.clock);
    this.#server = createServer(
      {
        ...pair,
        minVersion: 'TLSv1.3',
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: requestTimeoutMs,
        keepAliveTimeout: keepAliveIdleMs,
        headersTimeout: requestTimeoutMs,
        requestTimeout: requestTimeoutMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: headBytesMax,
      },
      (request, response) => void this.#serve(request, response),
    );
    // Of the gate's own, whose places are free at once; a closed socket of Node.js counts a little longer.
    this.#server.maxConnections = 2 * connectionsMax;
    this.#server.on('drop', (data) => this.#turnAway(addressOf(data?.remoteAddress), crowded));
    this.#server.on('connection', (socket) => this.#admit(socket));
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code === 'ECONNRESET') return;
      options.onHandshakeFailed(this.#guestOf(socket)?.address ?? '', whyFailed(error));
    });
  }

  #admit(socket: Socket): void {
    const guest = { address: addressOf(socket.remoteAddress), close: () => void socket.destroy() };
    // Asked for later, when the peer may have gone.
    this.#guests.set(socket, guest);
    const isIn = this.#gate.enter(guest, (other) => {
      this.#turnAway(other.address, 'all places are taken, and it asks nothing: closed');
    });
    if (isIn) {
      socket.on('close', () => this.#gate.leave(guest));
      return;
    }
    // Nothing of the handshake has been read: it costs the accept and no more.
    socket.destroy();
    this.#turnAway(guest.address, crowded);
  }

  #turnAway(address: string, why: string): void {
    this.#options.onTurnedAway(address, why);
  }

  /** `socket`: of TLS, or beneath it. */
  #guestOf(socket: object): CaGuest | undefined {
    return this.#guests.get((socket as { _parent?: object })._parent ?? socket);
  }

  /** Listens; port 0 asks the system. Rejects with the system's error. */
  listen(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, () => {
        this.#server.off('error', reject);
        // Of single accepts (no descriptor left): the next one may work.
        this.#server.on('error', (error) => this.#options.onHandshakeFailed('', error.message));
        resolve();
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** New handshakes use this pair; connections that are open keep theirs. */
  useCertificate(pair: TlsPair): void {
    this.#server.setSecureContext({ ...pair, minVersion: 'TLSv1.3' });
  }

  /** Accepts nothing new; a request under way has its answer, or a second. */
  async close(graceMs: number, after: (ms: number, call: () => void) => void): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    after(graceMs, () => this.#server.closeAllConnections());
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A peer that goes away is no error of ours.
    request.on('error', () => {});
    response.on('error', () => {});
    const address = addressOf(request.socket.remoteAddress);
    try {
      this.#send(request, response, await this.#answer(request, response, address));
    } catch (error) {
      this.#options.onBug(error instanceof Error ? (error.stack ?? error.message) : `${error}`);
      this.#send(request, response, {
        status: 500,
        body: { cause: 'bug', message: 'the authority failed; its log says how' },
      });
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    address: string,
  ): Promise<Answer> {
    const path = request.url ?? '';
    if (path === '/healthz') return { status: 200, body: { status: 'ok' } };
    if (path !== '/v1/sign') return this.#refuse(404, 'path', 'POST /v1/sign signs', address);
    if (request.method !== 'POST') {
      return this.#refuse(405, 'method', 'POST /v1/sign signs', address);
    }
    const { clock, isCostly, verify } = this.#options;
    const now = clock.now();
    const wait = isCostly ? this.#refused.look(address, now) || this.#asked.take(address, now) : 0;
    if (wait > 0) {
      const message = 'too many requests from this address; come again later';
      return this.#refuse(429, 'address-rate', message, address, '', wait);
    }
    const token = tokenOf(request.headers.authorization);
    if (token === undefined) {
      const message = 'the head has no `Authorization: Bearer TOKEN`';
      return this.#refuse(401, 'token-missing', message, address);
    }
    const body = await readBody(request);
    if (body === 'cut') return this.#refuse(400, 'body', 'the body ended too early', address);
    if (body === undefined) {
      return this.#refuse(413, 'body', `the body has more than ${requestBytesMax} bytes`, address);
    }
    this.#keepPlace(request, response);
    const caller = await verify(token, address);
    if ('cause' in caller) {
      if (caller.status !== 503) this.#refused.take(address, now);
      return this.#refuse(caller.status, caller.cause, caller.message, address);
    }
    return this.#sign(caller, body, address);
  }

  /** Until its answer has been sent nobody else gets the place of who has asked in full. */
  #keepPlace({ socket }: IncomingMessage, response: ServerResponse): void {
    const guest = this.#guestOf(socket);
    if (guest === undefined || response.closed) return;
    this.#gate.work(guest);
    response.once('close', () => this.#gate.rest(guest));
  }

  async #sign(
    caller: Parameters<Authority['sign']>[0],
    body: Buffer,
    address: string,
  ): Promise<Answer> {
    const { authority, clock } = this.#options;
    const { who } = caller;
    const own = authority.admit(caller);
    if (own > 0) {
      const message = `${who} asks too often; a certificate lasts for hours`;
      return this.#refuse(429, 'rate', message, address, who, own);
    }
    const wait = this.#all.take('', clock.now());
    if (wait > 0) {
      return this.#refuse(429, 'busy', 'too many ask now; come again later', address, who, wait);
    }
    const asked = readSignBody(body);
    if (typeof asked === 'string') return this.#refuse(400, 'body', asked, address, who);
    const result = authority.sign(caller, asked, address);
    if ('cause' in result) {
      return this.#refuse(result.status, result.cause, result.message, address, who);
    }
    const { certificates, bundle, notAfterMs } = result;
    const notAfter = new Date(notAfterMs).toISOString();
    await result.reported;
    return { status: 200, body: { certificates, bundle, notAfter } };
  }

  #refuse(
    status: number,
    cause: string,
    message: string,
    address: string,
    who = '',
    retryAfterMs = 0,
  ): Answer {
    this.#options.onRefused({ status, cause, message, address, who });
    return { status, cause, retryAfterMs, body: { cause, message } };
  }

  #send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    if (response.headersSent || response.destroyed) return;
    const text = `${JSON.stringify(answer.body)}\n`;
    const seconds = Math.ceil((answer.retryAfterMs ?? 0) / 1_000);
    // A body that was not read to its end would be taken for the next request.
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
      ...(seconds > 0 ? { 'retry-after': String(seconds) } : {}),
      ...(answer.status === 405 ? { allow: 'POST' } : {}),
      ...(answer.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    });
    response.end(text);
  }
}

const crowded = 'too many connections of one address, or of all: closed';

/**
 * Undefined when it has more bytes than any request needs. The rest of such a body is read and thrown away,
 * up to a bound: a caller whose bytes are refused by a reset never sees the answer.
 */
async function readBody(request: IncomingMessage): Promise<Buffer | 'cut' | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      length += (chunk as Buffer).length;
      if (length <= requestBytesMax) chunks.push(chunk as Buffer);
      else if (length > discardBytesMax) break;
    }
  } catch {
    // Whoever sends it has gone, or was too slow: there is nothing else that can go wrong in reading.
    return 'cut';
  }
  return length > requestBytesMax ? undefined : Buffer.concat(chunks);
}

/** RFC 6750 2.1. */
function tokenOf(header: string | undefined): Secret | undefined {
  const found = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header ?? '')?.[1];
  return found === undefined || found.length > tokenBytesMax ? undefined : new Secret(found);
}

/** The three fields, or what is wrong with them. */
function readSignBody(bytes: Buffer): SignBody | string {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    return 'the body is no JSON';
  }
  if (typeof value !== 'object' || value === null) return 'the body is no JSON object';
  const { csr, bundleHash, instance } = value as Record<string, unknown>;
  if (typeof csr !== 'string') return 'csr: a PEM text is expected';
  if (typeof bundleHash !== 'string' || !/^([0-9a-f]{64})?$/.test(bundleHash)) {
    return 'bundleHash: a SHA-256 in hex is expected, or an empty text';
  }
  const isName = typeof instance === 'string' && /^[A-Za-z0-9._:/-]+$/.test(instance);
  if (!isName || instance.length > instanceLengthMax) {
    return `instance: a name of 1 to ${instanceLengthMax} letters, digits and . _ : / -`;
  }
  return { csr, bundleHash, instance };
}

/** With the likely cause where the caller said one. */
function whyFailed(error: NodeJS.ErrnoException & { readonly reason?: string }): string {
  const { code, message, reason } = error;
  if (code === 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' || code === 'ERR_SSL_SSL/TLS_ALERT_UNKNOWN_CA') {
    return 'the caller does not believe this authority: its trust bundle has another root';
  }
  return reason ?? message;
}

/** IPv4 as such where the socket is of both families. */
function addressOf(address: string | undefined): string {
  const text = address ?? '';
  return isIPv6(text) && text.toLowerCase().startsWith('::ffff:') ? text.slice(7) : text;
}
