/**
 * The HTTPS server that the API server asks: POST to the paths of review-paths.ts.
 *
 * It knows transport and nothing of pods: sizes, content type, time, certificates that are replaced
 * while it runs, and a drain that loses no review. Each path has a function that judges a request. One
 * that throws is answered 500, so that the failurePolicy of the operator decides.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { WakeUps } from '../src/base/deadlines.ts';
import { webhookLimits } from '../src/model/injector-limits.ts';
import {
  type AdmissionAnswer,
  type AdmissionRequest,
  isProblem,
  printReview,
  readReview,
} from './admission.ts';
import { BodyRoom, readBody } from './webhook-body.ts';
import { noTracer, type WebhookSpan, type WebhookTracer } from './webhook-tracer.ts';

/** Judges one request. `span` is for children of the work: match, patch. */
export type Reviewer = (
  request: AdmissionRequest,
  span: WebhookSpan,
) => AdmissionAnswer | Promise<AdmissionAnswer>;

export interface WebhookOptions {
  /** By path: `/inject/pods`. */
  readonly reviewers: ReadonlyMap<string, Reviewer>;
  readonly wakeUps: WakeUps;
  readonly tracer?: WebhookTracer;
  /** A review that could not be answered, and TLS that failed: for the log. */
  readonly onTrouble: (message: string) => void;
}

/** PEM; both are files of the Secret. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

export class WebhookServer {
  readonly #server: Server;
  readonly #options: WebhookOptions;
  readonly #tracer: WebhookTracer;
  readonly #room = new BodyRoom(webhookLimits.heldBytesMax);
  #underWay = 0;
  #isDraining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: WebhookOptions, pair: TlsPair) {
    this.#options = options;
    this.#tracer = options.tracer ?? noTracer;
    this.#server = createServer(
      {
        ...pair,
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: webhookLimits.headTimeoutMs,
        keepAliveTimeout: webhookLimits.keepAliveIdleMs,
        headersTimeout: webhookLimits.headTimeoutMs,
        requestTimeout: webhookLimits.requestTimeoutMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: webhookLimits.headBytesMax,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = webhookLimits.connectionsMax;
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
      // A port scan, or an API server that does not trust our certificate.
      if (error.code !== 'ECONNRESET')
        options.onTrouble(`a TLS handshake failed: ${error.message}`);
    });
  }

  /** Listens on an IP address; port 0 asks the system. Rejects with the system's error. */
  listen(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, () => {
        this.#server.off('error', reject);
        // Out of descriptors: the connection is lost, the server is not.
        this.#server.on('error', (error) => this.#options.onTrouble(`accept: ${error.message}`));
        resolve();
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /**
   * New handshakes use this pair from now on; connections that are open keep theirs. Throws when
   * OpenSSL refuses the pair, and the old one stays.
   */
  useCertificate(pair: TlsPair): void {
    this.#server.setSecureContext({ ...pair, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' });
  }

  /** From now on every answer asks its connection to end, so that callers go to another replica. */
  beginDrain(): void {
    this.#isDraining = true;
  }

  /** Accepts nothing new, waits for reviews under way (a few seconds at most), ends the rest. */
  async close(): Promise<void> {
    this.beginDrain();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    if (this.#underWay > 0) await this.#untilIdle();
    this.#server.closeAllConnections();
    await closed;
  }

  #untilIdle(): Promise<void> {
    return new Promise((resolve) => {
      const callOff = this.#options.wakeUps.after(webhookLimits.drainMs, resolve);
      this.#onIdle = () => {
        callOff();
        resolve();
      };
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A peer that goes away is not an error; without a listener it would be one of the process.
    request.on('error', () => {});
    response.on('error', () => {});
    const path = (request.url ?? '').split('?', 1)[0]!;
    const reviewer = this.#options.reviewers.get(path);
    const route = reviewer === undefined ? '' : ` ${path}`;
    const span = this.#tracer.begin(`${request.method}${route}`, request.headers, {
      'http.request.method': request.method ?? '',
      'url.path': path,
      'url.scheme': 'https',
      'client.address': request.socket.remoteAddress ?? '',
      ...(reviewer === undefined ? {} : { 'http.route': path }),
    });
    this.#underWay += 1;
    try {
      await this.#answer(request, response, reviewer, span);
    } catch (error) {
      this.#options.onTrouble(`${path}: ${error instanceof Error ? error.stack : String(error)}`);
      const text = error instanceof Error ? error.message : String(error);
      this.#refuse(response, 500, `the injector failed: ${text}`);
    } finally {
      span.end(response.statusCode);
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#onIdle?.();
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    reviewer: Reviewer | undefined,
    span: WebhookSpan,
  ): Promise<void> {
    if (reviewer === undefined) {
      const paths = [...this.#options.reviewers.keys()].join(' and ');
      return this.#refuse(response, 404, `nothing is served here; reviews go to ${paths}`);
    }
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST');
      return this.#refuse(response, 405, 'an AdmissionReview is sent with POST');
    }
    const body = await readBody(request, this.#room, webhookLimits.reviewBytesMax);
    if (body === undefined) return this.#gone(response);
    if ('problem' in body) return this.#refuse(response, body.status, body.problem);
    let answer: string;
    try {
      const read = readReview(body.bytes);
      if (isProblem(read)) return this.#refuse(response, read.status, read.problem);
      answer = printReview(read.uid, await reviewer(read, span));
    } finally {
      this.#room.leave(body.bytes.length);
    }
    this.#send(response, 200, 'application/json', answer);
  }

  /** The peer left in the middle of its request: nobody reads an answer. */
  #gone(response: ServerResponse): void {
    response.statusCode = 499;
    response.destroy();
  }

  #refuse(response: ServerResponse, status: number, problem: string): void {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    // What is left of a body that we did not read would be taken for the next request.
    response.setHeader('connection', 'close');
    if (status === 503) response.setHeader('retry-after', '1');
    this.#send(response, status, 'text/plain; charset=utf-8', `tracecar: ${problem}\n`);
  }

  /** Head and body are one text, so that they are one write and one TLS record. */
  #send(response: ServerResponse, status: number, contentType: string, body: string): void {
    if (this.#isDraining) response.setHeader('connection', 'close');
    const bytes = Buffer.byteLength(body);
    response.writeHead(status, { 'content-type': contentType, 'content-length': bytes });
    response.end(body, bytes === body.length ? 'latin1' : 'utf8');
  }
}
