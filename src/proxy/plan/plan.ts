/**
 * Plans: a routing table made ready to run: indexes, counters, series and pools beside each rule.
 *
 *   RoutingTable --build--> Plans: listener name -> ListenerPlan -> HostPlan -> RulePlan -> BackendPlan
 *                                                                                              |
 *   kept across tables by PlanKeeper: what is the same, weight counters, pools <-- ClusterPlan
 *
 * A plan never changes once built; an exchange keeps the one it began with. Tables share the plans of
 * the virtual hosts that they have in common (plan-keeper.ts).
 */

import type { PickState } from '../../balancing/pick-endpoint.ts';
import type {
  Cluster,
  Direction,
  Listener,
  OutboundPolicy,
  Rule,
  VirtualHost,
} from '../../model/routing-table.ts';
import type { HostIndex, RouteIndex } from '../../routing/route-index.ts';
import type { WeightState } from '../../routing/weighted-choice.ts';
import type { RequestSeries } from '../../telemetry/metrics/metrics.ts';
import type { Guard } from '../exchange/guard.ts';
import type { TlsServer } from '../tls/tls-server.ts';
import type { NotedHeaders } from '../trace/noted-headers.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import type { CaptureLookup } from './capture-lookup.ts';
import type { Entrance } from './entrance.ts';
import type { CompiledEdits } from './header-edits.ts';

export interface Plans {
  readonly generation: number;
  readonly listeners: ReadonlyMap<string, ListenerPlan>;
  readonly clusters: readonly ClusterPlan[];
  readonly capture: CapturePlans;
}

/** For captured connections, by the port of their original destination. */
export interface CapturePlans {
  /** What is known of outbound addresses. */
  readonly lookup: CaptureLookup;
  readonly outboundPolicy: OutboundPolicy;
  /** The outbound ones by name, as destinations refer to them. */
  readonly byName: ReadonlyMap<string, ListenerPlan>;
  readonly outbound: ReadonlyMap<number, ListenerPlan>;
  readonly inbound: ReadonlyMap<number, ListenerPlan>;
  /** Ports that no listener is for: no virtual host, so everything passes on. */
  readonly others: Readonly<Record<Direction, ListenerPlan>>;
}

export interface ListenerPlan {
  readonly listener: Listener;
  readonly generation: number;
  readonly index: RouteIndex<RulePlan>;
  readonly hosts: ReadonlyMap<VirtualHost, HostPlan>;
  /** For exchanges that no rule took. */
  readonly series: RequestSeries;
  /** Header fields that go into spans; undefined: none do. */
  readonly noted: NotedHeaders | undefined;
  /** Likewise of the SERVER span at a Gateway; elsewhere undefined. */
  readonly notedOnArrival: NotedHeaders | undefined;
  /** Who may call; undefined: everybody. */
  readonly guard: Guard | undefined;
  /** Ends TLS of what the listener accepts; undefined: plain text. */
  readonly tls: TlsServer | undefined;
  /** Where the world outside comes in; undefined: it does not. */
  readonly entrance: Entrance | undefined;
}

/** The rules of one virtual host, for one listener. */
export interface HostPlan {
  readonly index: HostIndex<RulePlan>;
  readonly rules: readonly RulePlan[];
  /** That its backends lead to, each once. */
  readonly clusters: readonly ClusterPlan[];
  /** Every backend that names a cluster has it. */
  readonly isWhole: boolean;
  /** That its rules count in, each once. */
  readonly series: readonly RequestSeries[];
}

export interface RulePlan {
  readonly rule: Rule;
  /** No VirtualService has written it: what was captured goes on as it was sent. */
  readonly isDefault: boolean;
  /** A rule of its virtual host depends on the path. */
  readonly looksAtPaths: boolean;
  readonly routeId: number;
  readonly weights: WeightState;
  /** Under which `weights` are found again in the next table. */
  readonly weightsKey: string;
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
