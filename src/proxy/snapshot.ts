/**
 * The state of the proxy as plain data, for the admin page: a copy, safe to print as JSON.
 */

import type { Milliseconds } from '../base/clock.ts';
import { detectedWords } from '../telemetry/record/detection.ts';
import type { CapturedConnection } from './capture/captured-connection.ts';
import type { DownstreamConnection } from './exchange/downstream-connection.ts';
import type { UpgradedConnection } from './exchange/upgrade-switch.ts';
import type { Plans } from './plan/plan.ts';
import type { ProxyScope, ScopeCounts } from './scope/proxy-scope.ts';
import { printAddress } from './socket/print-address.ts';
import type { ConnectionReport } from './tunnel/connection-report.ts';

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
    /** Kept ready for connections that become busy. */
    readonly exchangesFree: number;
    /** Deadlines that wait for their time: a leak shows here. */
    readonly deadlines: number;
  };
  readonly listeners: readonly {
    readonly name: string;
    readonly address: string;
    readonly port: number;
    /** Of the table that it serves: an older one while what it is for cannot move yet. */
    readonly generation: number;
    readonly isRetired: boolean;
    readonly connections: number;
    /** Relayed unread, or not yet known to be HTTP. */
    readonly captured: number;
    /** Switched to another protocol. */
    readonly tunnels: number;
    /** Original destinations that are remembered. */
    readonly destinations: number;
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
  /** Absent while HTTP is spoken. */
  readonly relayed?: RelayedSnapshot;
}

/** What is known of a connection whose bytes are not read, until it has ended. */
interface RelayedSnapshot {
  /** A word of `detectedWords`; `unknown` until somebody has spoken. */
  readonly protocol: string;
  /** Where it was going, or the Host of the request that asked to switch. */
  readonly to: string;
  /** That a TLS ClientHello asks for; '' = none. */
  readonly serverName: string;
  /** Since it was accepted, or has switched. */
  readonly ageMs: Milliseconds;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** What there is to say of a listener of either kind. */
export interface ListenerView {
  readonly name: string;
  readonly address: { readonly address: string; readonly port: number };
  /** Of the table that it serves. */
  readonly generation: number;
  readonly isRetired: boolean;
  readonly connections: ReadonlySet<DownstreamConnection>;
  /** Connections that are relayed unread, or not yet known to be HTTP. */
  readonly captured?: ReadonlySet<
    Pick<CapturedConnection, 'report' | 'requestHeldBytes' | 'socket'>
  >;
  /** Connections that have switched protocols. */
  readonly tunnels: ReadonlySet<UpgradedConnection>;
  /** Original destinations that are remembered. */
  readonly destinations?: number;
}

/**
 * The first `most` open downstream connections: those that are relayed, then those that speak HTTP, the
 * oldest of each listener first. A long list, made when it is asked for.
 */
export function connectionsOf(
  listeners: readonly ListenerView[],
  now: Milliseconds,
  most: number,
): ConnectionSnapshot[] {
  const shown: ConnectionSnapshot[] = [];
  for (const connection of everyConnection(listeners, now)) {
    if (shown.length >= most) break;
    shown.push(connection);
  }
  return shown;
}

function* everyConnection(
  listeners: readonly ListenerView[],
  now: Milliseconds,
): Generator<ConnectionSnapshot> {
  for (const { name: listener, captured, tunnels } of listeners) {
    for (const { report, requestHeldBytes, socket } of captured ?? []) {
      yield {
        id: report.record.connectionId,
        listener,
        peer: printAddress(report.record.peerAddress, report.record.peerPort),
        requests: 0,
        isBusy: true,
        requestHeldBytes,
        responseHeldBytes: socket.writableLength,
        relayed: relayedOf(report, now),
      };
    }
    for (const { id, peer, requests, tunnel } of tunnels) {
      const { requestHeldBytes, responseHeldBytes } = tunnel;
      const relayed = relayedOf(tunnel.report, now);
      const held = { requestHeldBytes, responseHeldBytes };
      yield { id, listener, peer, requests, isBusy: true, ...held, relayed };
    }
  }
  for (const { name: listener, connections } of listeners) {
    for (const connection of connections) {
      const { id, requests, isBusy, requestHeldBytes } = connection;
      const peer = printAddress(connection.peerAddress, connection.peerPort);
      const responseHeldBytes = connection.socket.writableLength;
      yield { id, listener, peer, requests, isBusy, requestHeldBytes, responseHeldBytes };
    }
  }
}

function relayedOf({ record }: ConnectionReport, now: Milliseconds): RelayedSnapshot {
  return {
    protocol: detectedWords[record.method] ?? '',
    to: record.authority,
    serverName: record.target,
    ageMs: Math.round(now - record.startMs),
    sentBytes: record.requestBytes,
    receivedBytes: record.responseBytes,
  };
}

/** A copy of what is so now. */
export function snapshotOf(
  scope: ProxyScope,
  plans: Plans,
  listeners: readonly ListenerView[],
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
      exchangesFree: scope.exchangesOf('inbound').free + scope.exchangesOf('outbound').free,
      deadlines: scope.deadlines.size,
    },
    listeners: listeners.map((listener) => ({
      name: listener.name,
      ...listener.address,
      generation: listener.generation,
      isRetired: listener.isRetired,
      connections: listener.connections.size,
      captured: listener.captured?.size ?? 0,
      tunnels: listener.tunnels.size,
      destinations: listener.destinations ?? 0,
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
