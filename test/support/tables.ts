/**
 * Routing tables for tests, built by hand: one listener, some rules, some clusters.
 */

import type {
  Backend,
  CapturePlan,
  Cluster,
  ConnectionRule,
  Destination,
  Listener,
  RoutingTable,
  Rule,
} from '../../src/model/routing-table.ts';
import { noHeaderEdits, noTracingRules } from '../../src/model/routing-table.ts';
import { autoTls, usualSecurity } from '../../src/model/security.ts';

const clusterName = 'outbound|80||service.default.svc.cluster.local';

/** A rule that takes everything and sends it to the cluster of `clusterOf`, but for `over`. */
export function ruleOf(over: Partial<Rule> = {}): Rule {
  return {
    identity: 'default/route/http[0]',
    resource: 'VirtualService default/route',
    route: 'default/route',
    index: 0,
    origin: 'routes.yaml:1:1',
    matches: [],
    backends: [backendOf()],
    timeoutMs: Number.POSITIVE_INFINITY,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
    broken: undefined,
    ...over,
  };
}

export function backendOf(over: Partial<Backend> = {}): Backend {
  return {
    cluster: clusterName,
    weight: 100,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
    ...over,
  };
}

/** A cluster of local ports. */
export function clusterOf(ports: readonly number[], over: Partial<Cluster> = {}): Cluster {
  return {
    name: clusterName,
    service: 'service.default.svc.cluster.local',
    namespace: 'default',
    subset: '',
    balancing: 'round-robin',
    connectTimeoutMs: undefined,
    tls: autoTls,
    endpoints: ports.map((port) => ({
      address: '127.0.0.1',
      port,
      labels: {},
      zone: '',
      identity: '',
    })),
    ...over,
  };
}

/** A listener on a free port that sends every authority to `rules`. */
export function listenerOf(rules: readonly Rule[], over: Partial<Listener> = {}): Listener {
  return {
    name: 'outbound|127.0.0.1|0',
    direction: 'outbound',
    address: '127.0.0.1',
    port: 0,
    tls: undefined,
    virtualHosts: [{ name: 'service.default.svc.cluster.local', domains: ['*'], rules }],
    defaultHost: 0,
    ...over,
  };
}

export function tableOf(
  listeners: readonly Listener[],
  clusters: readonly Cluster[],
  generation = 1,
): RoutingTable {
  return {
    kind: 'routing-table',
    generation,
    listeners,
    clusters,
    capture: undefined,
    tracing: noTracingRules,
    security: usualSecurity,
  };
}

/** A plan for captured connections that knows nothing, but for `over`. */
export function capturePlanOf(over: Partial<CapturePlan> = {}): CapturePlan {
  return { outbound: [], inbound: [], destinations: [], outboundPolicy: 'allow-any', ...over };
}

/** A rule that takes every connection and sends it to the cluster of `clusterOf`, but for `over`. */
export function connectionRuleOf(over: Partial<ConnectionRule> = {}): ConnectionRule {
  return {
    identity: 'default/route/tcp[0]',
    resource: 'VirtualService default/route',
    route: 'default/route',
    index: 0,
    origin: 'routes.yaml:1:1',
    matches: [],
    backends: [backendOf()],
    broken: undefined,
    ...over,
  };
}

/** A virtual address on port 80 of nobody's protocol, but for `over`. */
export function destinationOf(over: Partial<Destination> = {}): Destination {
  return {
    address: '10.96.0.1',
    prefix: 32,
    port: 80,
    kind: 'service',
    protocol: 'detect',
    service: 'service.default.svc.cluster.local',
    listener: '',
    connectionRules: [],
    ...over,
  };
}
