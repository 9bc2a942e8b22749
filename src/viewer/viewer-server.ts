/**
 * The viewer as one thing to start and to close: the OTLP receiver on one address, the query API
 * and the pages on another, one store between them.
 *
 * No authentication: whoever reaches the addresses may read and write. On loopback a page in the
 * user's browser could reach them too, so the query address then refuses names that are not this
 * machine's (DNS rebinding), and the receiver takes no type that a form can send.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { ViewerLimits } from '../model/limits.ts';
import { answer, answerText, HttpListener, type ListenAddress } from './http-listener.ts';
import { OtlpReceiver, type ReceiverCounts } from './otlp-receiver.ts';
import { answerIndex, answerTracePage } from './pages.ts';
import { answerError, QueryApi } from './query-api.ts';
import { parseTraceId } from './query-parameters.ts';
import { type StoreCounts, TraceStore } from './trace-store.ts';

export interface ViewerOptions {
  readonly otlpAddress: ListenAddress;
  readonly queryAddress: ListenAddress;
  readonly clock: Clock;
  readonly limits: ViewerLimits;
}

/** What `GET /healthz` says. */
export interface ViewerCounts {
  readonly uptimeSeconds: number;
  readonly receiver: ReceiverCounts;
  readonly store: StoreCounts;
}

/** One start and one close in a life. */
export class ViewerServer {
  #otlp: HttpListener | undefined;
  #query: HttpListener | undefined;

  /** Opens both addresses; rejects with ListenFailure, and leaves none open, if one cannot be had. */
  async start(options: ViewerOptions): Promise<{ otlpPort: number; queryPort: number }> {
    const { otlpAddress, queryAddress, clock, limits } = options;
    const startedMs = clock.now();
    const store = new TraceStore(limits);
    const receiver = new OtlpReceiver(store, limits);
    const counts = (): ViewerCounts => ({
      uptimeSeconds: Math.floor((clock.now() - startedMs) / 1000),
      receiver: receiver.counts(),
      store: store.counts(),
    });
    const reader = new Reader(store, limits, isLoopback(queryAddress.address), counts);
    this.#otlp = await HttpListener.open(otlpAddress, receiver.handle, limits, {
      purpose: 'OTLP',
      flag: '--otlp ADDR:PORT',
    });
    try {
      this.#query = await HttpListener.open(queryAddress, reader.handle, limits, {
        purpose: 'queries',
        flag: '--query ADDR:PORT',
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    return { otlpPort: this.#otlp.port, queryPort: this.#query.port };
  }

  /** Ends both listeners and every open connection. */
  async close(): Promise<void> {
    await Promise.all([this.#otlp?.close(), this.#query?.close()]);
  }
}

/** Routes what is asked on the query address. */
class Reader {
  readonly #store: TraceStore;
  readonly #api: QueryApi;
  readonly #isLoopback: boolean;
  readonly #counts: () => ViewerCounts;

  constructor(
    store: TraceStore,
    limits: ViewerLimits,
    isOnLoopback: boolean,
    counts: () => ViewerCounts,
  ) {
    this.#store = store;
    this.#api = new QueryApi(store, limits);
    this.#isLoopback = isOnLoopback;
    this.#counts = counts;
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
    if (this.#api.handle(path, query, response)) return;
    if (path === '/') {
      answerIndex(response, this.#store);
    } else if (path.startsWith('/trace/')) {
      const text = path.slice('/trace/'.length);
      const traceId = parseTraceId(text);
      const trace = traceId === undefined ? undefined : this.#store.trace(traceId);
      answerTracePage(response, text, trace);
    } else if (path === '/healthz') {
      const body = JSON.stringify({ status: 'ok', ...this.#counts() });
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
