/**
 * The state of the proxy as plain data, for the admin page: a copy, safe to print as JSON.
 */

import { ExchangeState } from './exchange.ts';
import type { Plans } from './plan.ts';
import type { ProxyScope, ScopeCounts } from './proxy-scope.ts';
import type { TrafficListener } from './traffic-listener.ts';

interface EndpointSnapshot {
  readonly address: string;
  readonly port: number;
  /** Requests under way, from all clusters that name the endpoint. */
  readonly inFlight: number;
  readonly idleConnections: number;
  readonly requests: number;
}

export interface ProxySnapshot {
  readonly generation: number;
  readonly isDraining: boolean;
  readonly counts: ScopeCounts;
  readonly connections: {
    readonly downstreamOpen: number;
    readonly upstreamOpen: number;
    readonly exchangesActive: number;
    /** Deadlines that wait for their time: a leak shows here. */
    readonly deadlines: number;
  };
  readonly listeners: readonly {
    readonly name: string;
    readonly address: string;
    readonly port: number;
    readonly isRetired: boolean;
    readonly connections: number;
  }[];
  readonly clusters: readonly {
    readonly name: string;
    readonly balancing: string;
    readonly pending: number;
    readonly endpoints: readonly EndpointSnapshot[];
  }[];
}

export interface ConnectionSnapshot {
  readonly id: number;
  readonly listener: string;
  readonly peer: string;
  readonly requests: number;
  readonly isBusy: boolean;
  /** Bytes of requests that are held here, and of responses: each at most `heldBytesMax`. */
  readonly requestHeldBytes: number;
  readonly responseHeldBytes: number;
}

/** Every open downstream connection: a long list, made when it is asked for. */
export function connectionsOf(listeners: readonly TrafficListener[]): ConnectionSnapshot[] {
  return listeners.flatMap((listener) =>
    [...listener.connections].map((connection) => ({
      id: connection.id,
      listener: listener.plan.listener.name,
      peer: `${connection.peerAddress}:${connection.peerPort}`,
      requests: connection.requests,
      isBusy: connection.exchange.state !== ExchangeState.Idle,
      requestHeldBytes: connection.requestHeldBytes,
      responseHeldBytes: connection.socket.writableLength,
    })),
  );
}

/** A copy of what is so now. */
export function snapshotOf(
  scope: ProxyScope,
  plans: Plans,
  listeners: readonly TrafficListener[],
): ProxySnapshot {
  const { inbound, outbound } = scope;
  return {
    generation: plans.generation,
    isDraining: scope.isDraining,
    counts: { ...scope.counts },
    connections: {
      downstreamOpen: inbound.downstreamOpen + outbound.downstreamOpen,
      upstreamOpen: inbound.upstreamOpen + outbound.upstreamOpen,
      exchangesActive: inbound.exchangesActive + outbound.exchangesActive,
      deadlines: scope.deadlines.size,
    },
    listeners: listeners.map((listener) => ({
      name: listener.plan.listener.name,
      ...listener.address,
      isRetired: listener.isRetired,
      connections: listener.connections.size,
    })),
    clusters: plans.clusters.map(({ cluster, pools, state }) => ({
      name: cluster.name,
      balancing: cluster.balancing,
      pending: state.pending,
      endpoints: pools.map((pool) => ({
        address: pool.address,
        port: pool.port,
        inFlight: pool.inFlight,
        idleConnections: pool.idleCount,
        requests: pool.requests,
      })),
    })),
  };
}
