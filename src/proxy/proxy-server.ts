/**
 * The proxy: listeners by name, the plans of the current table, and how all of it ends.
 *
 *   apply(table) -> plans -> listeners that stay get theirs, those that go stop accepting, new ones
 *   are opened. A listener that cannot be opened is reported and harms nothing else.
 */

import type { RoutingTable } from '../model/routing-table.ts';
import type { ListenError } from './accept-socket.ts';
import { CaptureListener } from './capture-listener.ts';
import { PlanKeeper, type Plans } from './plan.ts';
import { type ProxyOptions, ProxyScope } from './proxy-scope.ts';
import {
  type ConnectionSnapshot,
  connectionsOf,
  type ProxySnapshot,
  snapshotOf,
} from './snapshot.ts';
import { TrafficListener } from './traffic-listener.ts';

export type { ListenError } from './accept-socket.ts';

/** What a drain came to: connections that ended by themselves, and those that were cut. */
export interface DrainResult {
  readonly finished: number;
  readonly cut: number;
}

export class ProxyServer {
  readonly #scope: ProxyScope;
  readonly #keeper: PlanKeeper;
  readonly #listeners = new Map<string, TrafficListener>();
  /** Listeners that are gone from the table but still have connections. */
  readonly #retired = new Set<TrafficListener>();
  /** Both directions, when connections are captured; they stay for the life of the proxy. */
  readonly #captures: readonly CaptureListener[];
  #plans: Plans;
  #applying: Promise<unknown> = Promise.resolve();

  constructor(options: ProxyOptions) {
    this.#scope = new ProxyScope(options);
    this.#keeper = new PlanKeeper(this.#scope);
    this.#plans = this.#keeper.build(noTable);
    const { capture } = options;
    const directions = capture === undefined ? [] : (['outbound', 'inbound'] as const);
    this.#captures = directions.map(
      (direction) =>
        new CaptureListener(
          this.#scope,
          capture!,
          direction,
          this.#plans.capture,
          () => this.#captures,
        ),
    );
  }

  /**
   * Makes `table` the one that new exchanges use, at once and as a whole; then opens and closes
   * listeners. Returns those that could not be opened; the next `apply` tries them again.
   */
  apply(table: RoutingTable): Promise<readonly ListenError[]> {
    const applied = this.#applying.then(() => this.#apply(table));
    this.#applying = applied.catch(() => undefined);
    return applied;
  }

  /** Bound addresses, in the order of the table; then where captured connections arrive. */
  addresses(): readonly { name: string; address: string; port: number }[] {
    const captures = this.#captures.filter((each) => each.isListening);
    const all = [...this.#listeners.values(), ...captures];
    return all.map((listener) => ({ name: listener.name, ...listener.address }));
  }

  snapshot(): ProxySnapshot {
    return snapshotOf(this.#scope, this.#plans, this.#everyListener());
  }

  /** The open downstream connections, one by one. */
  connections(): readonly ConnectionSnapshot[] {
    return connectionsOf(this.#everyListener());
  }

  /**
   * The pod is ending but its application still works: downstream is told to take its next request
   * elsewhere. Everything is still accepted, because endpoint lists follow late.
   */
  leave(): void {
    this.#scope.isLeaving = true;
  }

  /**
   * Accepts nothing more and lets what is under way finish, at most `timeoutMs`; then cuts the rest
   * with RST. Answers carry `Connection: close` meanwhile.
   */
  async drain(timeoutMs: number): Promise<DrainResult> {
    const { scope, open } = { scope: this.#scope, open: this.#scope.openConnections() };
    scope.isDraining = true;
    for (const [name, listener] of this.#listeners) this.#retire(name, listener);
    for (const capture of this.#captures) capture.retire();
    const cut = await this.#emptied(timeoutMs);
    for (const pool of this.#keeper.pools()) {
      pool.isRetired = true;
      pool.closeIdle();
    }
    for (const capture of this.#captures) capture.passthrough.retire();
    return { finished: open - cut, cut };
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    await this.drain(0);
  }

  async #apply(table: RoutingTable): Promise<readonly ListenError[]> {
    if (this.#scope.isDraining) return [];
    const plans = this.#keeper.build(table);
    // A listener that ends TLS from now on must have its certificate by then.
    await this.#keeper.tlsLoaded();
    this.#plans = plans;
    for (const capture of this.#captures) capture.plans = plans.capture;
    for (const [name, listener] of this.#listeners) {
      const plan = plans.listeners.get(name);
      if (plan === undefined) this.#retire(name, listener);
      else listener.plan = plan;
    }
    for (const listener of this.#retired) {
      if (listener.connections.size === 0) this.#retired.delete(listener);
    }
    const opened = [...plans.listeners.values()]
      .filter((plan) => !this.#listeners.has(plan.listener.name))
      .map((plan) => this.#open(new TrafficListener(this.#scope, plan)));
    const captures = this.#captures.filter((each) => !each.isListening);
    const errors = await Promise.all([...opened, ...captures.map((each) => each.listen())]);
    return errors.filter((error) => error !== undefined);
  }

  async #open(listener: TrafficListener): Promise<ListenError | undefined> {
    const error = await listener.listen();
    const { name } = listener.plan.listener;
    if (error === undefined) {
      this.#listeners.set(name, listener);
      if (this.#scope.isDraining) this.#retire(name, listener);
    }
    return error;
  }

  #retire(name: string, listener: TrafficListener): void {
    this.#listeners.delete(name);
    this.#retired.add(listener);
    listener.retire();
  }

  #everyListener(): (TrafficListener | CaptureListener)[] {
    return [...this.#listeners.values(), ...this.#retired, ...this.#captures];
  }

  /** Waits until no connection is open or the time is over; returns how many had to be cut. */
  async #emptied(timeoutMs: number): Promise<number> {
    const { wakeUps, clock } = this.#scope;
    const until = clock.now() + timeoutMs;
    while (this.#scope.openConnections() !== 0 && clock.now() < until) {
      await new Promise<void>((resolve) => {
        wakeUps.after(Math.min(10, until - clock.now()), resolve);
      });
    }
    const cut = this.#scope.openConnections();
    this.#keeper.closeTls();
    for (const listener of this.#everyListener()) listener.destroyConnections();
    return cut;
  }
}

/** Before the first table: nothing is listened on, captured connections pass on. */
const noTable: RoutingTable = Object.freeze({
  kind: 'routing-table',
  generation: 0,
  listeners: Object.freeze([]),
  clusters: Object.freeze([]),
  capture: undefined,
});
