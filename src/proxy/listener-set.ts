/**
 * The listeners of one proxy: opened, kept across tables, retired; bound before others go.
 *
 *   follow(plans): those that stay get their plan; new ones are opened; only when all of the table
 *   are open are those retired that it does not name. So a port that is taken costs nothing that
 *   works: the old listener serves on, with its old plan, while `open` is tried again.
 */

import type { Direction } from '../model/routing-table.ts';
import type { ListenError } from './accept-socket.ts';
import { CaptureListener } from './capture-listener.ts';
import type { ListenerPlan, Plans } from './plan.ts';
import type { CaptureOptions, ProxyScope } from './proxy-scope.ts';
import { TrafficListener } from './traffic-listener.ts';

export class ListenerSet {
  /** Listeners of the table that are not open; empty when all is well. */
  unopened: readonly ListenError[] = [];
  /** Both directions, when connections are captured; they stay for the life of the proxy. */
  readonly captures: readonly CaptureListener[];
  readonly #scope: ProxyScope;
  readonly #listeners = new Map<string, TrafficListener>();
  /** Listeners that accept nothing more but still have connections. */
  readonly #retired = new Set<TrafficListener>();
  /** Directions that accept nothing more: the proxy drains. */
  readonly #closed = new Set<Direction>();
  #plans: Plans;

  constructor(scope: ProxyScope, capture: CaptureOptions | undefined, plans: Plans) {
    this.#scope = scope;
    this.#plans = plans;
    const directions = capture === undefined ? [] : (['outbound', 'inbound'] as const);
    this.captures = directions.map(
      (direction) =>
        new CaptureListener(scope, capture!, direction, plans.capture, () => this.captures),
    );
  }

  /** Those that accept, in the order in which they were opened; captures last. */
  listening(): readonly (TrafficListener | CaptureListener)[] {
    return [...this.#listeners.values(), ...this.captures.filter((each) => each.isListening)];
  }

  all(): readonly (TrafficListener | CaptureListener)[] {
    return [...this.#listeners.values(), ...this.#retired, ...this.captures];
  }

  /** Plans of listeners that the table does not name and that serve on until all others are open. */
  oldPlans(): readonly ListenerPlan[] {
    return this.#old().map(({ plan }) => plan);
  }

  /** From now on `plans` hold: at once where a listener is open. */
  follow(plans: Plans): Promise<void> {
    this.#plans = plans;
    for (const capture of this.captures) capture.plans = plans.capture;
    for (const [name, listener] of this.#listeners) {
      const plan = plans.listeners.get(name);
      if (plan !== undefined) listener.plan = plan;
    }
    return this.open();
  }

  /** Opens what is not open; what could not be is in `unopened`. One call at a time. */
  async open(): Promise<void> {
    const opened = [...this.#plans.listeners.values()]
      .filter((plan) => !this.#listeners.has(plan.listener.name))
      .map((plan) => this.#open(plan));
    const captures = this.captures.filter((each) => !each.isListening);
    const errors = await Promise.all([...opened, ...captures.map((each) => each.listen())]);
    this.unopened = errors.filter((error) => error !== undefined);
    if (this.unopened.length === 0) for (const old of this.#old()) this.#retire(old);
    for (const listener of this.#retired) {
      if (listener.connections.size === 0) this.#retired.delete(listener);
    }
  }

  /** Accepts nothing more of one direction; open connections finish what is under way. */
  retire(direction: Direction): void {
    this.#closed.add(direction);
    for (const listener of this.#listeners.values()) {
      if (listener.plan.listener.direction === direction) this.#retire(listener);
    }
    for (const capture of this.captures) if (capture.direction === direction) capture.retire();
  }

  async #open(plan: ListenerPlan): Promise<ListenError | undefined> {
    const { address, port } = plan.listener;
    const listener = new TrafficListener(this.#scope, plan);
    const old = this.#old().filter((each) => port !== 0 && each.plan.listener.port === port);
    const same = old.find((each) => each.plan.listener.address === address);
    if (same !== undefined) {
      listener.takeOver(same);
      this.#retire(same);
      this.#add(listener);
      return undefined;
    }
    const error = await listener.listen();
    if (error === undefined) {
      this.#add(listener);
      return undefined;
    }
    // A port of all addresses and the same port of one exclude each other: then we are in our own way.
    if (error.code !== 'EADDRINUSE' || old.length === 0) return error;
    for (const each of old) this.#retire(each);
    return this.#open(plan);
  }

  #add(listener: TrafficListener): void {
    this.#listeners.set(listener.name, listener);
    if (this.#closed.has(listener.plan.listener.direction)) this.#retire(listener);
  }

  #old(): TrafficListener[] {
    return [...this.#listeners.values()].filter(({ name }) => !this.#plans.listeners.has(name));
  }

  #retire(listener: TrafficListener): void {
    this.#listeners.delete(listener.name);
    this.#retired.add(listener);
    listener.retire();
  }
}
