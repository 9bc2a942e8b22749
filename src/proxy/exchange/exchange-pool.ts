/**
 * Exchanges that wait for a connection with something to do: an idle connection has none.
 *
 *   connection: first byte of a head ──► take ──► requests ──► nothing under way, nothing held ──► giveBack
 *
 * An exchange with its head, readers and report is most of what an HTTP connection weighs, and of
 * thousands of connections few are busy at a time. One pool serves one direction. The last one given
 * back is the next one taken, so that what is in use stays in the processor's cache.
 */

import type { ListenerPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import { Exchange } from './exchange.ts';

export class ExchangePool {
  readonly #scope: ProxyScope;
  readonly #free: Exchange[] = [];

  constructor(scope: ProxyScope) {
    this.#scope = scope;
  }

  /** How many wait. */
  get free(): number {
    return this.#free.length;
  }

  /** For requests of `downstream`, whose listener has `plan`. */
  take(downstream: DownstreamConnection, plan: ListenerPlan): Exchange {
    const exchange = this.#free.pop() ?? new Exchange(this.#scope, plan);
    exchange.attach(downstream);
    return exchange;
  }

  /** Of one that is idle, with no byte of a head read; beyond `exchangesFreeMax` it is let go. */
  giveBack(exchange: Exchange): void {
    exchange.detach();
    if (this.#free.length < this.#scope.limits.exchangesFreeMax) this.#free.push(exchange);
  }
}
