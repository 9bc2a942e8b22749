/**
 * Knows when no HTTP request of this thread is under way, in either direction.
 *
 * A collector may answer before it has read the whole request: a batch is then sent, and its bytes are
 * still needed. The exporter does not tell when they are not, Node.js does (diagnostics_channel).
 */

import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';

export class RequestWatch {
  #made = 0;
  #underWay = 0;
  #waiting: (() => void)[] = [];

  /** Watches for as long as the thread lives; made before the first request. */
  constructor() {
    subscribe('http.client.request.created', (message) => {
      const { request } = message as { readonly request: ClientRequest };
      this.#made++;
      this.#underWay++;
      request.once('close', () => this.#end());
    });
  }

  /** Calls `call` once no request is under way; never when none has been seen at all. */
  afterAll(call: () => void): void {
    if (this.#underWay > 0) this.#waiting.push(call);
    else if (this.#made > 0) call();
  }

  #end(): void {
    if (--this.#underWay > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call();
  }
}
