/**
 * Plan keeper: from one table's plans to the next one's, building only what is new.
 *
 * Tables share objects: a virtual host or a cluster that is the same object as in the table before
 * keeps its plan, so an edit beside ten thousand rules costs the rules of one host. What must outlive
 * a swap of different objects (a weighted choice's window, connections, loads) is looked up by its
 * stable name. Plans of earlier tables that still serve somewhere are untouched.
 */

import type {
  Direction,
  Listener,
  ListenerTls,
  RoutingTable,
  TracingRules,
  VirtualHost,
} from '../model/routing-table.ts';
import type { AuthorizationPlan } from '../model/security.ts';
import { RouteIndex } from '../routing/route-index.ts';
import type { RequestSeries } from '../telemetry/metrics/metrics.ts';
import { Guard } from './exchange/guard.ts';
import { ClusterKeeper } from './plan/cluster-keeper.ts';
import { DestinationPlanner } from './plan/destination-planner.ts';
import { EntrancePlanner } from './plan/entrance-planner.ts';
import { HostPlanner } from './plan/host-planner.ts';
import type { HostPlan, ListenerPlan, Plans } from './plan/plan.ts';
import type { ProxyScope } from './scope/proxy-scope.ts';
import type { ServedCertificate } from './tls/tls-files.ts';
import { TlsServer, tlsKey } from './tls/tls-server.ts';
import { type NotedHeaders, notedHeaders } from './trace/noted-headers.ts';

export class PlanKeeper {
  readonly #scope: ProxyScope;
  readonly #clusters: ClusterKeeper;
  readonly #planner: HostPlanner;
  readonly #destinations: DestinationPlanner;
  readonly #entrances: EntrancePlanner;
  /** Of the last table, by name. */
  #listeners = new Map<string, ListenerPlan>();
  #guard: Guard | undefined;
  #tls = new Map<string, TlsServer>();
  /** Not in the last table; listeners that are still open may need them. */
  readonly #oldTls = new Set<TlsServer>();

  constructor(scope: ProxyScope) {
    this.#scope = scope;
    this.#clusters = new ClusterKeeper(scope);
    this.#planner = new HostPlanner(scope);
    this.#destinations = new DestinationPlanner(scope, this.#clusters);
    this.#entrances = new EntrancePlanner(scope, this.#clusters);
  }

  /** The plans of `table`; endpoints that no table names any more are retired. */
  build(table: RoutingTable): Plans {
    this.#scope.telemetry.metrics.beginTable();
    this.#clusters.take(table.clusters);
    const listeners = [...table.listeners, ...others];
    if (table.capture !== undefined) {
      listeners.push(...table.capture.outbound, ...table.capture.inbound);
    }
    const before = this.#listeners;
    const oldTls = this.#tls;
    const kept = this.#keepHosts(listeners);
    this.#listeners = new Map();
    this.#tls = new Map();
    const noted = this.#notedOf(table.tracing);
    this.#entrances.take(table.listeners);
    this.#setGuard(table.security.authorization);
    for (const listener of listeners) {
      const plan = this.#listener(listener, table.generation, noted, kept, before, oldTls);
      this.#listeners.set(listener.name, plan);
    }
    for (const { hosts } of before.values()) {
      for (const host of hosts.values()) if (!kept.has(host)) this.#planner.release(host);
    }
    for (const [key, server] of oldTls) if (!this.#tls.has(key)) this.#oldTls.add(server);
    for (const [server, hosts] of this.#hostsOfTls()) server.expect([...hosts]);
    return this.#plansOf(table);
  }

  /** Lets go what only earlier tables needed, but for the plans that are `kept`. */
  forgetOld(kept: readonly ListenerPlan[]): void {
    for (const server of this.#oldTls) {
      if (kept.some((plan) => tlsServersOf(plan).includes(server))) continue;
      server.retire();
      if (!server.isBusy) this.#oldTls.delete(server);
    }
    this.#scope.telemetry.metrics.endTable(new Set(kept.flatMap(seriesOf)));
  }

  /** Resolves when every certificate file that the plans need has been looked at once. */
  async tlsLoaded(): Promise<void> {
    await this.#clusters.tlsLoaded();
    await Promise.all([...this.#tls.values()].map((server) => server.loaded));
  }

  /** Certificates that downstreams are shown. */
  served(): readonly ServedCertificate[] {
    return [...this.#tls.values()].flatMap(({ served }) => served);
  }

  /** No more handshakes, no more reading of files. */
  closeTls(): void {
    for (const server of [...this.#tls.values(), ...this.#oldTls]) server.close();
    this.#clusters.close();
  }

  pools() {
    return this.#clusters.pools();
  }

  /**
   * The plans that stay. Their series, and those of plans for which only clusters are others now, keep
   * their places among the limited number of them: this is before any new one is asked for.
   */
  #keepHosts(listeners: readonly Listener[]): ReadonlySet<HostPlan> {
    const { metrics } = this.#scope.telemetry;
    const kept = new Set<HostPlan>();
    for (const listener of listeners) {
      const before = predecessor(listener, this.#listeners);
      if (before === undefined) continue;
      for (const host of listener.virtualHosts) {
        const plan = before.hosts.get(host);
        if (plan === undefined) continue;
        for (const series of plan.series) metrics.keepSeries(series);
        if (this.#clusters.holdsFor(plan)) kept.add(plan);
      }
    }
    return kept;
  }

  #listener(
    listener: Listener,
    generation: number,
    noted: Noted,
    kept: ReadonlySet<HostPlan>,
    all: ReadonlyMap<string, ListenerPlan>,
    oldTls: ReadonlyMap<string, TlsServer>,
  ): ListenerPlan {
    const before = predecessor(listener, all);
    const hosts = new Map<VirtualHost, HostPlan>();
    const indexes = listener.virtualHosts.map((host) => {
      const known = before?.hosts.get(host);
      const plan =
        known !== undefined && kept.has(known)
          ? known
          : this.#planner.plan(host, listener, this.#clusters, known);
      hosts.set(host, plan);
      return plan.index;
    });
    return {
      listener,
      generation,
      index: new RouteIndex(listener, indexes, before?.index),
      hosts,
      series: this.#planner.seriesOf(listener),
      noted: noted[listener.direction],
      notedOnArrival: listener.gateway === undefined ? undefined : noted.inbound,
      guard: this.#guardOf(listener),
      tls: this.#tlsServer(listener.tls, oldTls),
      entrance: this.#entrances.of(listener, (tls) => this.#tlsServer(tls, oldTls)),
    };
  }

  /** The same policies have the same guard. */
  #setGuard(plan: AuthorizationPlan): void {
    if (this.#guard?.authorizer.plan === plan) return;
    const isOpen = plan.deny.length + plan.allow.length + plan.audit.length === 0;
    this.#guard = isOpen ? undefined : new Guard(this.#scope, plan);
  }

  /** Calls that leave are the callee's to judge; a gateway is one for those who come from outside. */
  #guardOf({ direction, gateway }: Listener): Guard | undefined {
    return direction === 'inbound' || gateway !== undefined ? this.#guard : undefined;
  }

  #notedOf({ inbound, outbound }: TracingRules): Noted {
    const captured = this.#scope.tracing.capturedHeaders;
    return {
      inbound: notedHeaders(inbound.tags, captured?.inbound),
      outbound: notedHeaders(outbound.tags, captured?.outbound),
    };
  }

  #plansOf({ generation, listeners, capture }: RoutingTable): Plans {
    const planOf = ({ name }: Listener) => this.#listeners.get(name)!;
    const byPort = (virtual: readonly Listener[]) =>
      new Map(virtual.map((each) => [each.port, planOf(each)]));
    const [outbound, inbound] = others;
    return {
      generation,
      listeners: new Map(listeners.map((each) => [each.name, planOf(each)])),
      clusters: this.#clusters.plans,
      capture: {
        lookup: this.#destinations.lookupOf(capture?.destinations),
        outboundPolicy: capture?.outboundPolicy ?? 'allow-any',
        byName: new Map((capture?.outbound ?? []).map((each) => [each.name, planOf(each)])),
        outbound: byPort(capture?.outbound ?? []),
        inbound: byPort(capture?.inbound ?? []),
        others: { outbound: planOf(outbound), inbound: planOf(inbound) },
      },
    };
  }

  /** Servers of Gateways with the same files share a TlsServer. */
  #hostsOfTls(): ReadonlyMap<TlsServer, ReadonlySet<string>> {
    const found = new Map<TlsServer, Set<string>>();
    for (const { entrance } of this.#listeners.values()) {
      for (const { server, tls } of entrance?.servers ?? []) {
        if (tls === undefined) continue;
        const hosts = found.get(tls) ?? new Set();
        for (const host of server.hosts) hosts.add(host);
        found.set(tls, hosts);
      }
    }
    return found;
  }

  #tlsServer(
    settings: ListenerTls | undefined,
    oldTls: ReadonlyMap<string, TlsServer>,
  ): TlsServer | undefined {
    if (settings === undefined) return undefined;
    const key = tlsKey(settings);
    let server = this.#tls.get(key) ?? oldTls.get(key);
    if (server === undefined) server = new TlsServer(this.#scope, settings);
    this.#tls.set(key, server);
    return server;
  }
}

type Noted = Readonly<Record<Direction, NotedHeaders | undefined>>;

/** The plan before `listener`'s, if its series would have the same names. */
function predecessor(
  { name, direction }: Listener,
  all: ReadonlyMap<string, ListenerPlan>,
): ListenerPlan | undefined {
  const before = all.get(name);
  return before?.listener.direction === direction ? before : undefined;
}

/** All that end TLS for a listener. */
function tlsServersOf({ tls, entrance }: ListenerPlan): readonly (TlsServer | undefined)[] {
  return entrance === undefined ? [tls] : entrance.servers.map((each) => each.tls);
}

/** All that a plan counts in. */
function seriesOf({ series, hosts }: ListenerPlan): RequestSeries[] {
  return [series, ...[...hosts.values()].flatMap((host) => host.series)];
}

const others = [otherPorts('outbound'), otherPorts('inbound')] as const;

/** A listener without a virtual host: for captured connections to ports that the table is silent on. */
function otherPorts(direction: Direction): Listener {
  return {
    name: `capture|${direction}`,
    direction,
    address: '',
    port: 0,
    tls: undefined,
    virtualHosts: [],
    defaultHost: -1,
  };
}
