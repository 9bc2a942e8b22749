/**
 * Knows the HTTP requests of this thread that are under way, in either direction.
 *
 * A collector may answer before it has read the whole request: a batch is then sent, and its bytes are
 * still needed. The exporter does not tell when they are not, Node.js does (diagnostics_channel).
 */

import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import { type Clock, type Milliseconds, systemClock } from '../base/clock.ts';

let ofThread: RequestWatch | undefined;

/** The thread's one watch; asked for before the first request. */
export function watchRequests(): RequestWatch {
  ofThread ??= new RequestWatch(systemClock);
  return ofThread;
}

export class RequestWatch {
  #made = 0;
  /** When each was made. */
  readonly #underWay = new Map<ClientRequest, Milliseconds>();
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];

  /** Watches for as long as the thread lives. */
  constructor(clock: Clock) {
    this.#clock = clock;
    subscribe('http.client.request.created', (message) => {
      const { request } = message as { readonly request: ClientRequest };
      this.#made++;
      this.#underWay.set(request, this.#clock.now());
      request.once('close', () => this.#end(request));
    });
  }

  /** Ends the requests that are older: an answer may trickle for ever, and nothing else ends it. */
  destroyOlderThan(ageMs: Milliseconds): void {
    const before = this.#clock.now() - ageMs;
    for (const [request, madeAt] of this.#underWay) if (madeAt <= before) request.destroy();
  }

  /** Calls `call` once no request is under way; never when none has been seen at all. */
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
