/**
 * The listeners of one proxy: opened, kept across tables, retired; bound before others go.
 *
 *   follow(plans):  what is open and keeps its meaning -> its new plan, at once
 *                   new addresses are bound; what they replace makes room where it must
 *                   addresses that change their meaning follow when its new place is open
 *                   all open -> those are retired that the table does not name
 *
 * So a port that is taken costs nothing that works: what moves away serves on where it was, with its
 * old plan, while `open` is tried again. `listener-meaning.ts` says who has to wait.
 */

import type { Milliseconds } from '../base/clock.ts';
import { KEEP_PORT } from '../model/known-ports.ts';
import type { Direction } from '../model/routing-table.ts';
import { CaptureListener } from './capture/capture-listener.ts';
import { OwnCalls } from './capture/own-calls.ts';
import { Sentinel } from './capture/sentinel.ts';
import { findHeldBack, type Succession } from './listener-meaning.ts';
import { MeshServer } from './mesh/mesh-server.ts';
import type { ListenerPlan, Plans } from './plan/plan.ts';
import type { ListenError } from './scope/accept-socket.ts';
import { LocalHop } from './scope/local-hop.ts';
import { type CaptureOptions, NO_INBOUND_HALF, type ProxyScope } from './scope/proxy-scope.ts';
import { countSockets, SocketState } from './socket/port-holders.ts';
import { TrafficListener } from './traffic-listener.ts';

export class ListenerSet {
  /** Listeners that are not as the table wants them; empty when all is well. */
  unopened: readonly ListenError[] = [];
  /** Outbound, then inbound, when connections are captured; they stay for the life of the proxy. */
  readonly captures: readonly CaptureListener[];
  /** What proves that the captures are reached. */
  readonly sentinel: Sentinel;
  readonly #scope: ProxyScope;
  readonly #listeners = new Map<string, TrafficListener>();
  /** Listeners that accept nothing more but still have connections. */
  readonly #retired = new Set<TrafficListener>();
  /** Directions that accept nothing more: the proxy drains. */
  readonly #closed = new Set<Direction>();
  /** Listeners for which others made room in vain, and when that may be tried again. */
  readonly #roomAgainMs = new Map<string, Milliseconds>();
  #plans: Plans;
  /** Ends the mesh's mutual TLS; undefined where this workload has no identity. */
  readonly #meshServer: MeshServer | undefined;
  /** The process's own connections to collectors; undefined when none are captured. */
  readonly ownCalls: OwnCalls | undefined;

  constructor(scope: ProxyScope, capture: CaptureOptions | undefined, plans: Plans) {
    this.#scope = scope;
    this.#plans = plans;
    if (scope.mesh !== undefined) this.#meshServer = new MeshServer(scope, scope.mesh);
    this.sentinel = new Sentinel(
      scope.wakeUps,
      (direction) => this.captures.find((each) => each.direction === direction)?.port ?? 0,
      { tell: (text) => scope.log('warn', text) },
    );
    if (capture === undefined) this.captures = [];
    else {
      const context = {
        options: capture,
        sentinel: this.sentinel,
        meshServer: this.#meshServer,
        listeners: () => this.captures,
      };
      this.captures = (['outbound', 'inbound'] as const).map(
        (direction) => new CaptureListener(scope, context, direction, plans.capture),
      );
      scope.callbackPort = KEEP_PORT;
      this.ownCalls = new OwnCalls(scope, this.captures[0]!, capture.ownAddresses);
      const inbound = this.captures.find(({ direction }) => direction === 'inbound');
      scope.localHop = new LocalHop(
        capture.ownAddresses,
        () => inbound?.isOpen === true,
        (accepted, destination) => inbound?.takeLocal(accepted, destination),
      );
    }
  }

  /** Downstream connections that a drain waits for: not the process's own. */
  awaitedConnections(): number {
    return Math.max(0, this.#scope.openConnections() - (this.ownCalls?.open ?? 0));
  }

  /** Those that accept, in the order in which they were opened; captures last. */
  listening(): readonly (TrafficListener | CaptureListener)[] {
    return [...this.#listeners.values(), ...this.captures].filter((each) => each.isListening);
  }

  /** Whether others than the own application are led here: their lists of endpoints follow late. */
  takesCallers(): boolean {
    const entrances = [...this.#listeners.values()].filter(
      ({ plan }) => plan.entrance !== undefined,
    );
    return this.takes('inbound') || entrances.some(({ isListening }) => isListening);
  }

  /** Whether anything that comes in that direction is passed on. */
  takes(direction: Direction): boolean {
    return this.listening().some(
      (each) =>
        each.direction === direction && !(each instanceof CaptureListener && each.isParking),
    );
  }

  /** Who calls by mutual TLS of the mesh from now on shakes hands in full. */
  forgetSessions(): void {
    this.#meshServer?.forgetSessions();
  }

  /** The proxy ends: no more handshakes, and what is still open is cut. */
  cutAll(): void {
    this.#meshServer?.close();
    for (const listener of this.all()) listener.destroyConnections();
  }

  all(): readonly (TrafficListener | CaptureListener)[] {
    return [...this.#listeners.values(), ...this.#retired, ...this.captures];
  }

  /** Plans in force that are not of the newest table: what waits for others to be opened. */
  oldPlans(): readonly ListenerPlan[] {
    return [...this.#listeners.values()]
      .map(({ plan }) => plan)
      .filter((plan) => this.#plans.listeners.get(plan.listener.name) !== plan);
  }

  /** Binds the captures; what comes is parked until there are plans. */
  async openCaptures(): Promise<void> {
    const closed = this.captures.filter((each) => !each.isListening);
    const errors = await Promise.all(closed.map((each) => each.listen()));
    this.unopened = errors.filter((error) => error !== undefined);
  }

  /** From now on `plans` hold: at once where a listener is open and keeps its meaning. */
  follow(plans: Plans): Promise<void> {
    this.#plans = plans;
    this.#roomAgainMs.clear();
    // Inbound first: a call of the pod to itself that was parked comes in by it.
    for (const capture of this.captures.toReversed()) capture.follow(plans.capture);
    this.#adopt(this.#heldBack(this.#missing(), []));
    return this.open();
  }

  /** Opens what is not open; what could not be is in `unopened`. One call at a time. */
  async open(): Promise<void> {
    const captures = this.captures.filter((each) => !each.isListening);
    const others = await Promise.all(
      [...this.#closedOnes(), ...captures].map((one) => one.listen()),
    );
    const failed = new Map<ListenerPlan, ListenError>();
    const isNew = (plan: ListenerPlan) => this.#atAddressOf(plan) === undefined;
    const note = (plan: ListenerPlan, error: ListenError | undefined) => {
      if (error === undefined) failed.delete(plan);
      else failed.set(plan, error);
    };
    const bind = async (plan: ListenerPlan) => note(plan, await this.#bind(plan));
    await Promise.all(this.#missing().filter(isNew).map(bind));
    const crowded = [...failed.keys()].filter((plan) => this.#onPortOf(plan).length > 0);
    const stuck = [...failed.keys()].filter((plan) => !crowded.includes(plan));
    const mayNot = this.#heldBack(stuck, crowded);
    for (const plan of crowded) {
      if (!mayNot.has(plan)) note(plan, await this.#bindInPlace(plan, failed.get(plan)!));
    }
    const heldBack = this.#heldBack([...failed.keys()], crowded);
    for (const plan of this.#missing()) if (!heldBack.has(plan)) this.#takeOver(plan);
    this.#adopt(heldBack);
    for (const [plan, waitsFor] of heldBack) {
      const { name, address, port } = plan.listener;
      failed.set(plan, { listener: name, address, port, code: 'WAITS', waitsFor });
    }
    this.unopened = [...failed.values(), ...others.filter((error) => error !== undefined)];
    if (this.unopened.length === 0) await Promise.all(this.#old().map((old) => this.#retire(old)));
    for (const listener of this.#retired) {
      if (listener.isEmpty && !listener.isListening) this.#retired.delete(listener);
    }
  }

  /** Takes what has come and accepts nothing more of one direction; what is under way finishes. */
  async retire(direction: Direction): Promise<void> {
    this.#closed.add(direction);
    const listeners = [...this.#listeners.values()].filter((each) => each.direction === direction);
    const captures = this.captures.filter((each) => each.direction === direction);
    await Promise.all([
      ...listeners.map((listener) => this.#retire(listener)),
      ...captures.map((capture) => capture.retire()),
    ]);
  }

  /** Who has to wait for one of `unopened`; `crowded` would replace what has their port. */
  #heldBack(
    unopened: readonly ListenerPlan[],
    crowded: readonly ListenerPlan[],
  ): ReadonlyMap<ListenerPlan, string> {
    const successions = [...this.#plans.listeners.values()].map((next): Succession => {
      const same = this.#listeners.get(next.listener.name) ?? this.#atAddressOf(next);
      if (same !== undefined) return { next, before: [same.plan] };
      const before = crowded.includes(next) ? this.#onPortOf(next).map(({ plan }) => plan) : [];
      return { next, before };
    });
    return findHeldBack(successions, unopened);
  }

  /** Gives open listeners their new plans, but for those that are held back. */
  #adopt(heldBack: ReadonlyMap<ListenerPlan, string>): void {
    for (const [name, listener] of this.#listeners) {
      const plan = this.#plans.listeners.get(name);
      if (plan !== undefined && !heldBack.has(plan)) listener.plan = plan;
    }
  }

  async #bind(plan: ListenerPlan): Promise<ListenError | undefined> {
    const listener = new TrafficListener(this.#scope, plan, this.#meshServer);
    const error = await listener.listen();
    if (error === undefined) await this.#add(listener);
    return error;
  }

  /** Goes on with the socket of an old listener: there is no moment without one. */
  #takeOver(plan: ListenerPlan): void {
    const same = this.#atAddressOf(plan);
    if (same === undefined) return;
    const listener = new TrafficListener(this.#scope, plan, this.#meshServer);
    listener.takeOver(same);
    void this.#retire(same);
    void this.#add(listener);
  }

  /**
   * A port of all addresses and the same port of one exclude each other, and we have the other. It
   * makes room only when nobody else is in the way, and comes back if that was in vain.
   */
  async #bindInPlace(plan: ListenerPlan, error: ListenError): Promise<ListenError | undefined> {
    const { clock, limits } = this.#scope;
    const { name, port } = plan.listener;
    if (error.code !== 'EADDRINUSE') return error;
    if (clock.now() < (this.#roomAgainMs.get(name) ?? 0)) return error;
    const olds = this.#onPortOf(plan);
    const holders = await countSockets(port, SocketState.Listening);
    if (holders !== undefined && holders > olds.length) return error;
    await Promise.all(olds.map((old) => old.leaveAddress()));
    const stillTaken = await this.#bind(plan);
    if (stillTaken === undefined) {
      await Promise.all(olds.map((old) => this.#retire(old)));
      return undefined;
    }
    this.#roomAgainMs.set(name, clock.now() + limits.listenRoomMs);
    const isWanted = ({ direction }: TrafficListener) => !this.#closed.has(direction);
    // One that cannot come back at once is tried again by the next `open`.
    await Promise.all(olds.filter(isWanted).map((old) => old.listen()));
    return stillTaken;
  }

  async #add(listener: TrafficListener): Promise<void> {
    this.#listeners.set(listener.name, listener);
    this.#findCallbackPort();
    if (this.#closed.has(listener.direction)) await this.#retire(listener);
  }

  async #retire(listener: TrafficListener): Promise<void> {
    this.#listeners.delete(listener.name);
    this.#retired.add(listener);
    this.#findCallbackPort();
    await listener.retire();
  }

  /** Where peers reach the inbound half, in plain HTTP. */
  #findCallbackPort(): void {
    if (this.captures.length > 0) return;
    const inbound = [...this.#listeners.values()].find(
      ({ direction, plan }) => direction === 'inbound' && plan.tls === undefined,
    );
    this.#scope.callbackPort = inbound?.port ?? NO_INBOUND_HALF;
  }

  /** Plans of the table that have no listener yet. */
  #missing(): ListenerPlan[] {
    return [...this.#plans.listeners.values()].filter(
      ({ listener }) => !this.#listeners.has(listener.name),
    );
  }

  /** Listeners that the table does not name. */
  #old(): TrafficListener[] {
    return [...this.#listeners.values()].filter(({ name }) => !this.#plans.listeners.has(name));
  }

  /** Of the old ones, those that have the port of `plan`. */
  #onPortOf({ listener: { port } }: ListenerPlan): TrafficListener[] {
    if (port === 0) return [];
    return this.#old().filter((each) => each.isListening && each.plan.listener.port === port);
  }

  /** Of those, the one that has its very address. */
  #atAddressOf(plan: ListenerPlan): TrafficListener | undefined {
    const { address } = plan.listener;
    return this.#onPortOf(plan).find((each) => each.plan.listener.address === address);
  }

  /** Those that made room and could not come back. */
  #closedOnes(): TrafficListener[] {
    return [...this.#listeners.values()].filter(({ isListening }) => !isListening);
  }
}
