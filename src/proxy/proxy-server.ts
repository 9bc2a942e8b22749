/**
 * The proxy: plans of the current table, its listeners, and how all of it ends.
 *
 *   openCaptures -> captured connections are accepted and wait for the first table
 *   apply(table) -> plans -> listeners that stay get theirs, new ones are opened, then those go that
 *   the table does not name. A listener that cannot be opened is reported, harms nothing else, and is
 *   tried again every `listenRetryMs` until it opens or another table does without it. What moves to
 *   it is served where it was until then.
 */

import { isIPv4 } from 'node:net';
import type { Milliseconds } from '../base/clock.ts';
import { noTracingRules, type RoutingTable } from '../model/routing-table.ts';
import { type InboundSecurity, usualSecurity } from '../model/security.ts';
import type { OwnAnswer, OwnDial } from '../telemetry/transport/own-dial.ts';
import type { Family } from './capture/sentinel.ts';
import { Drain } from './drain.ts';
import { ListenerSet } from './listener-set.ts';
import type { Plans } from './plan/plan.ts';
import { PlanKeeper } from './plan-keeper.ts';
import type { ListenError } from './scope/accept-socket.ts';
import { InboundModes } from './scope/inbound-modes.ts';
import type { PlaintextReport } from './scope/plaintext-callers.ts';
import { type ProxyOptions, ProxyScope, type ScopeCounts } from './scope/proxy-scope.ts';
import {
  type ConnectionSnapshot,
  connectionsOf,
  type ProxySnapshot,
  snapshotOf,
} from './snapshot.ts';
import type { ServedCertificate } from './tls/tls-files.ts';

export type { ListenError } from './scope/accept-socket.ts';

/** What a drain came to: connections that ended by themselves, and those that were cut. */
export interface DrainResult {
  readonly finished: number;
  readonly cut: number;
}

/** A listener that ends TLS and never had a certificate to do it with. */
export interface UnloadedCertificate {
  readonly listener: string;
  readonly file: string;
  /** One line, which names the files. */
  readonly problem: string;
  /** The server of a Gateway: `default/shop/servers[0]`; empty where the whole listener is meant. */
  readonly server: string;
  /** Others on the port serve: no reason to send everybody elsewhere. */
  readonly isPartial: boolean;
}

export class ProxyServer {
  readonly #scope: ProxyScope;
  readonly #keeper: PlanKeeper;
  readonly #listeners: ListenerSet;
  /** Addresses of the pod whose connections are captured. */
  readonly #ownAddresses: readonly string[];
  #plans: Plans;
  #applying: Promise<unknown> = Promise.resolve();
  #callOffRetry: (() => void) | undefined;
  /** Of the newest table. */
  #security: InboundSecurity | undefined;

  constructor(options: ProxyOptions) {
    this.#scope = new ProxyScope(options);
    this.#keeper = new PlanKeeper(this.#scope);
    this.#plans = this.#keeper.build(noTable);
    this.#listeners = new ListenerSet(this.#scope, options.capture, this.#plans);
    this.#ownAddresses = options.capture?.ownAddresses ?? [];
  }

  /**
   * Opens the ports of captured connections before there is a table: from now on none is refused, and
   * those that come wait for `apply`. Returns the ports that could not be opened.
   */
  openCaptures(): Promise<readonly ListenError[]> {
    return this.#inTurn(async () => {
      if (!this.#scope.isDraining) await this.#listeners.openCaptures();
      return this.#listeners.unopened;
    });
  }

  /**
   * Asks the kernel whether it redirects connections of this pod to us, in both directions and in each
   * family that the pod has and we listen for. Empty when it does; one line for a person when not, or
   * when there is no such family; undefined when that cannot be told now. Never rejects.
   */
  proveRedirection(timeoutMs: Milliseconds): Promise<string | undefined> {
    const { captures, sentinel } = this.#listeners;
    const rules = captures.flatMap(({ direction, families }) =>
      families
        .filter((family) => this.#hasAddressOf(family))
        .map((family) => ({ direction, family })),
    );
    return sentinel.prove(rules, timeoutMs);
  }

  /**
   * Makes `table` the one that new exchanges use, at once and as a whole; then opens and closes
   * listeners. Returns those that could not be opened, and those that keep what they were for because
   * that moves to one of them: they are in `unopened` until they are as the table wants them.
   */
  apply(table: RoutingTable): Promise<readonly ListenError[]> {
    return this.#inTurn(() => this.#apply(table));
  }

  /** What the next tables name as `secret:...`: PEM by these names. Before `apply`. */
  setCredentials(texts: ReadonlyMap<string, string>): void {
    this.#scope.credentials.replace(texts);
  }

  /** Listeners that are not as the table wants them; empty when all are. */
  unopened(): readonly ListenError[] {
    return this.#listeners.unopened;
  }

  /** Listeners of the table whose certificate has never been read; what once was stays in use. */
  unloaded(): readonly UnloadedCertificate[] {
    const { listeners, capture } = this.#plans;
    return [...listeners.values(), ...capture.inbound.values()].flatMap((plan) => {
      const { tls, entrance } = plan;
      const name = plan.listener.name;
      if (entrance !== undefined) return entrance.unloaded(name);
      const problem = tls?.whyUnloaded ?? '';
      const file = plan.listener.tls?.certificateFile ?? '';
      if (problem === '') return [];
      return [{ listener: name, file, problem, server: '', isPartial: false }];
    });
  }

  /** Certificates that downstreams are shown, but for the mesh's; of two kinds of key both. */
  served(): readonly ServedCertificate[] {
    return this.#keeper.served();
  }

  /** Bound addresses, in the order of opening; then where captured connections arrive. */
  addresses(): readonly { name: string; address: string; port: number }[] {
    return this.#listeners
      .listening()
      .map((listener) => ({ name: listener.name, ...listener.address }));
  }

  /** Requests under way, of both directions. */
  get exchangesActive(): number {
    return this.#scope.inbound.exchangesActive + this.#scope.outbound.exchangesActive;
  }

  get counts(): Readonly<ScopeCounts> {
    return this.#scope.counts;
  }

  snapshot(): ProxySnapshot {
    return snapshotOf(this.#scope, this.#plans, this.#listeners.all());
  }

  /** The open downstream connections, one by one; with `most` the first ones, relayed before others. */
  connections(most: number = Number.POSITIVE_INFINITY): readonly ConnectionSnapshot[] {
    return connectionsOf(this.#listeners.all(), this.#scope.clock.now(), most);
  }

  /** Who has called without mutual TLS of the mesh since start; nobody where there is no identity. */
  plaintextCallers(): PlaintextReport {
    return this.#scope.plaintextCallers.report();
  }

  /**
   * The pod is ending but its application still works: downstream is told to take its next request
   * elsewhere. Everything is still accepted, because endpoint lists follow late.
   */
  leave(): void {
    const scope = this.#scope;
    if (!scope.isLeaving) scope.leftMs = scope.clock.now();
    scope.isLeaving = true;
  }

  /**
   * Listens on for `drainListenMs`, then lets what is under way finish, at most `timeoutMs` in all; then cuts the rest with RST. Answers carry `Connection: close` meanwhile.
   */
  async drain(timeoutMs: number): Promise<DrainResult> {
    const scope = this.#scope;
    const before = this.#listeners.awaitedConnections() - scope.accepted;
    scope.isDraining = true;
    this.#callOffRetry?.();
    const cut = await new Drain(scope, this.#listeners).run(timeoutMs);
    this.#keeper.closeTls();
    this.#listeners.cutAll();
    for (const pool of this.#keeper.pools()) {
      pool.isRetired = true;
      pool.closeIdle();
    }
    for (const capture of this.#listeners.captures) capture.passthrough.retire();
    return { finished: before + scope.accepted - cut, cut };
  }

  /** How a connection of this process gets to a collector; also after a drain. Never rejects. */
  dialOwn(to: OwnDial): Promise<OwnAnswer> {
    return this.#listeners.ownCalls?.dial(to) ?? Promise.resolve({ way: 'direct' });
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    await this.drain(0);
  }

  #hasAddressOf(family: Family): boolean {
    return this.#ownAddresses.some((address) => isIPv4(address) === (family === 'v4'));
  }

  async #apply(table: RoutingTable): Promise<readonly ListenError[]> {
    if (this.#scope.isDraining) return [];
    this.#callOffRetry?.();
    const plans = this.#keeper.build(table);
    // A listener that ends TLS from now on must have its certificate by then.
    await this.#keeper.tlsLoaded();
    this.#plans = plans;
    this.#followSecurity(table.security);
    await this.#listeners.follow(plans);
    for (const listener of this.#listeners.all()) listener.endRefused();
    this.#afterOpening();
    return this.#listeners.unopened;
  }

  /** The same object is the same rules: what did not change stays itself from table to table. */
  #followSecurity(security: InboundSecurity): void {
    if (this.#security === security) return;
    this.#scope.inboundModes = new InboundModes(security);
    if (this.#security !== undefined) this.#listeners.forgetSessions();
    this.#security = security;
  }

  async #openRest(): Promise<void> {
    const { unopened } = this.#listeners;
    if (this.#scope.isDraining || unopened.length === 0) return;
    this.#callOffRetry?.();
    await this.#listeners.open();
    this.#afterOpening();
    const left = new Set(this.#listeners.unopened.map(({ listener }) => listener));
    for (const { listener } of unopened) {
      if (!left.has(listener)) this.#scope.log('info', `listener ${listener} is open now`);
    }
  }

  #afterOpening(): void {
    this.#keeper.forgetOld(this.#listeners.oldPlans());
    if (this.#listeners.unopened.length === 0 || this.#scope.isDraining) return;
    const { wakeUps, limits } = this.#scope;
    this.#callOffRetry = wakeUps.after(limits.listenRetryMs, () => {
      void this.#inTurn(() => this.#openRest());
    });
  }

  /** One change of the listeners at a time. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#applying.then(change);
    this.#applying = changed.catch(() => undefined);
    return changed;
  }
}

/** Before the first table: nothing is listened on, captured connections pass on. */
const noTable: RoutingTable = Object.freeze({
  kind: 'routing-table',
  generation: 0,
  listeners: Object.freeze([]),
  clusters: Object.freeze([]),
  capture: undefined,
  tracing: noTracingRules,
  security: usualSecurity,
});
