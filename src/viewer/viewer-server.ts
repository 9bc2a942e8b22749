/**
 * The viewer as one thing to start and to close: OTLP over HTTP and over gRPC on two addresses, the
 * query API and the pages on a third, one store between them.
 *
 * No authentication: whoever reaches the addresses may read and write. On loopback a page in the
 * user's browser could reach them too, so the query address then refuses names that are not this
 * machine's (DNS rebinding), and the receiver takes no type that a form can send.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { answer, answerText, HttpListener, type ListenAddress } from './http-listener.ts';
import { LegacyApi } from './legacy-api.ts';
import { MetricStore } from './metric-store.ts';
import { GrpcListener } from './otlp-grpc.ts';
import { type Imported, importFile } from './otlp-import.ts';
import { OtlpIngest } from './otlp-ingest.ts';
import { OtlpReceiver } from './otlp-receiver.ts';
import { answerPage } from './page-assets.ts';
import { answerError, QueryApi } from './query-api.ts';
import type { SpanBodies } from './span-bodies.ts';
import { TraceStore } from './trace-store.ts';
import type { StatusAnswer } from './view-answers.ts';
import { ViewApi } from './view-api.ts';

export interface ViewerOptions {
  readonly otlpAddress: ListenAddress;
  /** OTLP over gRPC; undefined: not taken. */
  readonly grpcAddress?: ListenAddress | undefined;
  readonly queryAddress: ListenAddress;
  readonly clock: Clock;
  readonly limits: ViewerLimits;
  /** Where the JSON of spans is kept: in memory if absent. Closed with the server. */
  readonly bodies?: SpanBodies | undefined;
  /** A file of OTLP JSON whose spans are stored before it listens. */
  readonly importFile?: string | undefined;
  /** Of this program, for people. */
  readonly version?: string;
}

/** Where it listens, 0: not at all; and what it began with. */
export interface ViewerPorts {
  readonly otlpPort: number;
  readonly grpcPort: number;
  readonly queryPort: number;
  /** What came of the file that was to be imported. */
  readonly imported: Imported | undefined;
}

/** One start and one close in a life. */
export class ViewerServer {
  #store: TraceStore | undefined;
  #otlp: HttpListener | undefined;
  #grpc: GrpcListener | undefined;
  #query: HttpListener | undefined;

  /**
   * Opens all addresses; rejects with ListenFailure, and leaves none open, if one cannot be had, or
   * with ImportFailure.
   */
  async start(options: ViewerOptions): Promise<ViewerPorts> {
    const { otlpAddress, grpcAddress, queryAddress, clock, limits } = options;
    const startedMs = clock.now();
    const store = new TraceStore(limits, options.bodies);
    this.#store = store;
    const metrics = new MetricStore(limits, clock);
    const ingest = new OtlpIngest(store, metrics, limits);
    const status = (): StatusAnswer => ({
      uptimeSeconds: Math.floor((clock.now() - startedMs) / 1000),
      version: options.version ?? '',
      receiver: ingest.counts(),
      store: store.counts(),
      metrics: metrics.figures(),
    });
    const apis = [
      new QueryApi(store, limits),
      new ViewApi(store, metrics, limits, status),
      new LegacyApi(store, limits, clock),
    ];
    const reader = new Reader(apis, isLoopback(queryAddress.address), status);
    let imported: Imported | undefined;
    try {
      if (options.importFile !== undefined) {
        imported = await importFile(options.importFile, ingest);
      }
      this.#otlp = await HttpListener.open(otlpAddress, new OtlpReceiver(ingest).handle, limits, {
        purpose: 'OTLP',
        flag: '--otlp ADDR:PORT',
      });
      if (grpcAddress !== undefined) {
        this.#grpc = await GrpcListener.open(grpcAddress, ingest, clock);
      }
      this.#query = await HttpListener.open(queryAddress, reader.handle, limits, {
        purpose: 'queries',
        flag: '--query ADDR:PORT',
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    return {
      otlpPort: this.#otlp.port,
      grpcPort: this.#grpc?.port ?? 0,
      queryPort: this.#query.port,
      imported,
    };
  }

  /** Ends all listeners and every open connection. */
  async close(): Promise<void> {
    await Promise.all([this.#otlp?.close(), this.#grpc?.close(), this.#query?.close()]);
    this.#store?.close();
    this.#store = undefined;
  }
}

/** Answers a GET; false when the path is none of its own. */
interface Api {
  handle(path: string, parameters: URLSearchParams, response: ServerResponse): boolean;
}

/** Routes what is asked on the query address. */
class Reader {
  readonly #apis: readonly Api[];
  readonly #isLoopback: boolean;
  readonly #status: () => StatusAnswer;

  constructor(apis: readonly Api[], isOnLoopback: boolean, status: () => StatusAnswer) {
    this.#apis = apis;
    this.#isLoopback = isOnLoopback;
    this.#status = status;
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    if (this.#isLoopback && !isLocalHost(request.headers.host ?? '')) {
      answerText(response, 403, 'this address answers to localhost only (see --query)');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answerText(response, 405, `${request.method} is not answered here`, { allow: 'GET, HEAD' });
      return;
    }
    const [path, query] = splitTarget(request.url ?? '/');
    if (this.#apis.some((api) => api.handle(path, query, response))) return;
    if (answerPage(path, response)) return;
    if (path === '/healthz') {
      const body = JSON.stringify({ status: 'ok', ...this.#status() });
      answer(response, 200, 'application/json', `${body}\n`);
    } else {
      answerError(response, 404, 'no such page; the list of traces is /');
    }
  };
}

function splitTarget(target: string): [path: string, query: URLSearchParams] {
  const at = target.indexOf('?');
  if (at === -1) return [target, new URLSearchParams()];
  return [target.slice(0, at), new URLSearchParams(target.slice(at + 1))];
}

/** Whether only this machine reaches `address`. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(\.\d+){3}$/.test(address);
}

/** Whether a Host field names this machine by an address or by `localhost`. */
function isLocalHost(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d+$/, '');
  return name === '[::1]' || /(^|\.)localhost$/.test(name) || /^\d+(\.\d+){3}$/.test(name);
}
