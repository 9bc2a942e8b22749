/**
 * Plans: a routing table made ready to run: indexes, counters, series and pools beside each rule.
 *
 *   RoutingTable --build--> Plans: listener name -> ListenerPlan -> RulePlan -> BackendPlan
 *                                                                                    |
 *   kept across tables by PlanKeeper: weight counters, pools, cursors <-- ClusterPlan
 *
 * A plan never changes once built; an exchange keeps the one it began with. What must outlive a
 * swap (a weighted choice's window, connections, loads) is looked up by its stable name.
 */

import { type PickState, startPicking } from '../balancing/pick-endpoint.ts';
import type {
  Backend,
  Cluster,
  Direction,
  Listener,
  ListenerTls,
  RoutingTable,
  Rule,
} from '../model/routing-table.ts';
import { RouteIndex } from '../routing/route-index.ts';
import { startWeights, type WeightState, weightsKey } from '../routing/weighted-choice.ts';
import type { RequestSeries } from '../telemetry/metrics.ts';
import { EndpointPool } from './endpoint-pool.ts';
import { type CompiledEdits, compileEdits } from './header-edits.ts';
import type { ProxyScope } from './proxy-scope.ts';
import { TlsServer, tlsKey } from './tls-server.ts';

export interface Plans {
  readonly generation: number;
  readonly listeners: ReadonlyMap<string, ListenerPlan>;
  readonly clusters: readonly ClusterPlan[];
  readonly capture: CapturePlans;
}

/** For captured connections, by the port of their original destination. */
export interface CapturePlans {
  readonly outbound: ReadonlyMap<number, ListenerPlan>;
  readonly inbound: ReadonlyMap<number, ListenerPlan>;
  /** Ports that no listener is for: no virtual host, so everything passes on. */
  readonly others: Readonly<Record<Direction, ListenerPlan>>;
}

export interface ListenerPlan {
  readonly listener: Listener;
  readonly generation: number;
  readonly index: RouteIndex;
  readonly rules: ReadonlyMap<Rule, RulePlan>;
  /** For exchanges that no rule took. */
  readonly series: RequestSeries;
  /** Ends TLS of what the listener accepts; undefined: plain text. */
  readonly tls: TlsServer | undefined;
}

export interface RulePlan {
  readonly rule: Rule;
  readonly routeId: number;
  readonly weights: WeightState;
  /** In the order of `rule.backends`; undefined where a broken rule names no cluster. */
  readonly backends: readonly (BackendPlan | undefined)[];
  /** For exchanges that end before a backend is chosen. */
  readonly series: RequestSeries;
}

export interface BackendPlan {
  readonly cluster: ClusterPlan;
  /** As written; 0 when the rule has one backend and so makes no choice. */
  readonly weight: number;
  readonly requestEdits: CompiledEdits;
  readonly responseEdits: CompiledEdits;
  readonly clusterId: number;
  readonly subsetId: number;
  readonly series: RequestSeries;
}

/** A cluster with its endpoints' pools, in the order of `cluster.endpoints`. */
export interface ClusterPlan {
  readonly cluster: Cluster;
  readonly pools: readonly EndpointPool[];
  readonly state: ClusterState;
}

/** What a cluster keeps across swaps. */
export interface ClusterState {
  readonly pick: PickState;
  /** Exchanges that wait for a connection. */
  pending: number;
}

export class PlanKeeper {
  readonly #scope: ProxyScope;
  #weights = new Map<string, WeightState>();
  #clusters = new Map<string, ClusterState>();
  #pools = new Map<string, EndpointPool>();
  #tls = new Map<string, TlsServer>();
  /** Not in the last table; listeners that are still open may need them. */
  readonly #oldTls = new Set<TlsServer>();

  constructor(scope: ProxyScope) {
    this.#scope = scope;
  }

  /** The plans of `table`; endpoints that no table names any more are retired. */
  build(table: RoutingTable): Plans {
    this.#scope.telemetry.metrics.beginTable();
    const work = new PlanWork(this.#scope, this.#weights, this.#clusters, this.#pools, this.#tls);
    const plans = work.build(table);
    this.#weights = work.weights;
    this.#clusters = work.states;
    for (const [key, pool] of this.#pools) {
      if (work.pools.has(key)) continue;
      pool.isRetired = true;
      pool.closeIdle();
    }
    this.#pools = work.pools;
    for (const [key, server] of this.#tls) if (!work.tls.has(key)) this.#oldTls.add(server);
    this.#tls = work.tls;
    return plans;
  }

  /** Lets go what only earlier tables needed, but for the plans that are `kept`. */
  forgetOld(kept: readonly ListenerPlan[]): void {
    for (const server of this.#oldTls) {
      if (kept.some(({ tls }) => tls === server)) continue;
      server.close();
      this.#oldTls.delete(server);
    }
    this.#scope.telemetry.metrics.endTable(new Set(kept.flatMap(seriesOf)));
  }

  /** Resolves when every certificate file that the plans need has been looked at once. */
  async tlsLoaded(): Promise<void> {
    await Promise.all([...this.#tls.values()].map((server) => server.loaded));
  }

  /** No more handshakes, no more reading of files. */
  closeTls(): void {
    for (const server of [...this.#tls.values(), ...this.#oldTls]) server.close();
  }

  pools(): Iterable<EndpointPool> {
    return this.#pools.values();
  }
}

/** All that a plan counts in. */
function seriesOf({ series, rules }: ListenerPlan): RequestSeries[] {
  const found = [series];
  for (const rule of rules.values()) {
    found.push(rule.series);
    for (const backend of rule.backends) if (backend !== undefined) found.push(backend.series);
  }
  return found;
}

/** One build: takes over from the old maps what the table still names. */
class PlanWork {
  readonly weights = new Map<string, WeightState>();
  readonly states = new Map<string, ClusterState>();
  readonly pools = new Map<string, EndpointPool>();
  readonly tls = new Map<string, TlsServer>();
  readonly #scope: ProxyScope;
  readonly #oldWeights: ReadonlyMap<string, WeightState>;
  readonly #oldStates: ReadonlyMap<string, ClusterState>;
  readonly #oldPools: ReadonlyMap<string, EndpointPool>;
  readonly #oldTls: ReadonlyMap<string, TlsServer>;

  constructor(
    scope: ProxyScope,
    oldWeights: ReadonlyMap<string, WeightState>,
    oldStates: ReadonlyMap<string, ClusterState>,
    oldPools: ReadonlyMap<string, EndpointPool>,
    oldTls: ReadonlyMap<string, TlsServer>,
  ) {
    this.#scope = scope;
    this.#oldWeights = oldWeights;
    this.#oldStates = oldStates;
    this.#oldPools = oldPools;
    this.#oldTls = oldTls;
  }

  build(table: RoutingTable): Plans {
    const clusters = table.clusters.map((cluster) => this.#cluster(cluster));
    const listeners = new Map<string, ListenerPlan>();
    for (const listener of table.listeners) {
      listeners.set(listener.name, this.#listener(listener, table.generation, clusters));
    }
    const { generation } = table;
    const byPort = (virtual: readonly Listener[]) =>
      new Map(virtual.map((each) => [each.port, this.#listener(each, generation, clusters)]));
    const capture = {
      outbound: byPort(table.capture?.outbound ?? []),
      inbound: byPort(table.capture?.inbound ?? []),
      others: {
        outbound: this.#listener(otherPorts('outbound'), generation, clusters),
        inbound: this.#listener(otherPorts('inbound'), generation, clusters),
      },
    };
    return { generation, listeners, clusters, capture };
  }

  #listener(
    listener: Listener,
    generation: number,
    clusters: readonly ClusterPlan[],
  ): ListenerPlan {
    const rules = new Map<Rule, RulePlan>();
    for (const host of listener.virtualHosts) {
      for (const rule of host.rules) rules.set(rule, this.#rule(rule, listener, clusters));
    }
    const series = this.#series(listener, undefined);
    const tls = listener.tls === undefined ? undefined : this.#tlsServer(listener.tls);
    return { listener, generation, index: new RouteIndex(listener), rules, series, tls };
  }

  #tlsServer(settings: ListenerTls): TlsServer {
    const key = tlsKey(settings);
    let server = this.tls.get(key) ?? this.#oldTls.get(key);
    if (server === undefined) server = new TlsServer(this.#scope, settings);
    this.tls.set(key, server);
    return server;
  }

  #rule(rule: Rule, listener: Listener, clusters: readonly ClusterPlan[]): RulePlan {
    const backends = rule.backends.map((backend) =>
      this.#backend(backend, rule, listener, clusters),
    );
    return {
      rule,
      routeId: this.#scope.telemetry.names.idOf(rule.route),
      weights: this.#weightState(rule),
      backends,
      series: this.#series(listener, rule),
    };
  }

  #backend(
    backend: Backend,
    rule: Rule,
    listener: Listener,
    clusters: readonly ClusterPlan[],
  ): BackendPlan | undefined {
    const cluster = clusters[backend.cluster];
    if (cluster === undefined) return undefined;
    const { names } = this.#scope.telemetry;
    return {
      cluster,
      weight: rule.backends.length > 1 ? backend.weight : 0,
      requestEdits: compileEdits(rule.requestHeaders, backend.requestHeaders),
      responseEdits: compileEdits(rule.responseHeaders, backend.responseHeaders),
      clusterId: names.idOf(cluster.cluster.name),
      subsetId: names.idOf(cluster.cluster.subset),
      series: this.#series(listener, rule, cluster.cluster),
    };
  }

  #series(listener: Listener, rule: Rule | undefined, cluster?: Cluster): RequestSeries {
    return this.#scope.telemetry.metrics.requestSeries({
      direction: listener.direction,
      listener: listener.name,
      route: rule?.route ?? '',
      rule: rule?.identity ?? '',
      cluster: cluster?.name ?? '',
      subset: cluster?.subset ?? '',
    });
  }

  #weightState(rule: Rule): WeightState {
    const key = weightsKey(rule);
    let state = this.weights.get(key) ?? this.#oldWeights.get(key);
    if (state === undefined) {
      const weights = rule.backends.map((backend) => backend.weight);
      state = startWeights(weights.length === 0 ? [0] : weights, this.#scope.random);
    }
    this.weights.set(key, state);
    return state;
  }

  #cluster(cluster: Cluster): ClusterPlan {
    const state = this.#oldStates.get(cluster.name) ?? {
      pick: startPicking(this.#scope.random),
      pending: 0,
    };
    this.states.set(cluster.name, state);
    const pools = cluster.endpoints.map(({ address, port }) => this.#pool(address, port));
    return { cluster, pools, state };
  }

  #pool(address: string, port: number): EndpointPool {
    const key = `${address} ${port}`;
    let pool = this.pools.get(key) ?? this.#oldPools.get(key);
    if (pool === undefined) pool = new EndpointPool(this.#scope, address, port);
    this.pools.set(key, pool);
    return pool;
  }
}

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
