/**
 * Knows the HTTP requests of this thread that are under way, by what they were made for.
 *
 * A collector may answer before it has read the whole request: a batch is then sent, and its bytes are
 * still needed. The exporter does not tell when they are not, Node.js does (diagnostics_channel). Whose
 * a request is follows from where it was made (AsyncLocalStorage): one collector's trouble is not
 * another's.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest, IncomingMessage } from 'node:http';

/** What local replies carry (proxy/exchange/local-reply.ts). */
const CAUSE_FIELD = 'x-tracecar-cause';
const CAUSE_LENGTH_MAX = 40;

let ofThread: RequestWatch | undefined;

/** The thread's one watch; asked for before the first request. */
export function watchRequests(): RequestWatch {
  ofThread ??= new RequestWatch();
  return ofThread;
}

/** Requests that belong together: of one batch, or of one export. */
export class RequestGroup {
  /** Why a sidecar has given the last answer; '' when it was the collector's, or there is none yet. */
  lastCause = '';
  /** The last request has the head of its answer. */
  isAnswered = false;
  #made = 0;
  readonly #underWay = new Set<ClientRequest>();
  #waiting: (() => void)[] = [];

  add(request: ClientRequest): void {
    this.#made++;
    this.isAnswered = false;
    this.lastCause = '';
    this.#underWay.add(request);
    request.once('close', () => this.#end(request));
  }

  answered({ headers }: IncomingMessage): void {
    const cause = headers[CAUSE_FIELD];
    this.isAnswered = true;
    this.lastCause = typeof cause === 'string' ? cause.slice(0, CAUSE_LENGTH_MAX) : '';
  }

  /** Ends them all: an answer may trickle for ever, and nothing else ends it. */
  destroyAll(): void {
    for (const request of this.#underWay) request.destroy();
  }

  /** Calls `call` once none is under way; never when none has been seen at all. */
  afterAll(call: () => void): void {
    if (this.#underWay.size > 0) this.#waiting.push(call);
    else if (this.#made > 0) call();
  }

  #end(request: ClientRequest): void {
    this.#underWay.delete(request);
    if (this.#underWay.size > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call();
  }
}

export class RequestWatch {
  readonly #groups = new AsyncLocalStorage<RequestGroup>();
  readonly #groupOf = new WeakMap<ClientRequest, RequestGroup>();

  /** Watches for as long as the thread lives. */
  constructor() {
    subscribe('http.client.request.created', (message) => {
      const { request } = message as { readonly request: ClientRequest };
      const group = this.current;
      if (group === undefined) return;
      this.#groupOf.set(request, group);
      group.add(request);
    });
    subscribe('http.client.response.finish', (message) => {
      const { request, response } = message as {
        readonly request: ClientRequest;
        readonly response: IncomingMessage;
      };
      this.#groupOf.get(request)?.answered(response);
    });
  }

  /** Whose the requests are that are made here; undefined: nobody's. */
  get current(): RequestGroup | undefined {
    return this.#groups.getStore();
  }

  /** The requests that `call` makes, now or after it has waited for something, are of `group`. */
  run<T>(group: RequestGroup, call: () => T): T {
    return this.#groups.run(group, call);
  }
}
