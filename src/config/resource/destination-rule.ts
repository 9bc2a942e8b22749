/**
 * DestinationRule: the fields of networking.istio.io that name a host's subsets and its policy.
 *
 * Implemented: subsets by labels, least-request and round-robin balancing, the connect timeout, TLS to
 * upstreams; of single ports and subsets too. Everything else of Istio's type is refused by name.
 */

import type { BalancingPolicy } from '../../model/routing-table.ts';
import { placeText } from '../syntax/complaints.ts';
import { checked, choice, list, needed, optional, record } from '../syntax/schema.ts';
import { subsetName } from './destination.ts';
import { upstreamTls } from './upstream-tls.ts';
import { duration, hostPattern, labels, portNumber } from './values.ts';
import { exportTo } from './virtual-service.ts';

const loadBalancer = record(
  {
    simple: optional(
      choice<BalancingPolicy>(
        {
          LEAST_REQUEST: 'least-request',
          ROUND_ROBIN: 'round-robin',
          LEAST_CONN: 'least-request',
          UNSPECIFIED: 'least-request',
        },
        { RANDOM: 'random balancing', PASSTHROUGH: 'it needs capture' },
      ),
    ),
  },
  {
    consistentHash: 'sticky balancing',
    localityLbSetting: 'balancing by locality',
    warmupDurationSecs: 'slow start',
    warmup: 'slow start',
  },
);

const connectionPool = record(
  {
    tcp: optional(
      record(
        { connectTimeout: optional(duration) },
        {
          maxConnections: 'limits on connections',
          tcpKeepalive: 'TCP keep-alive settings',
          maxConnectionDuration: 'limits on the life of a connection',
          idleTimeout: 'idle timeouts of TCP connections',
        },
      ),
    ),
  },
  { http: 'limits on requests and connections' },
);

const notInPolicies = {
  outlierDetection: 'ejection of failing endpoints',
  tunnel: 'tunnels',
  proxyProtocol: 'the PROXY protocol',
  retryBudget: 'retries',
};

const policyFields = {
  loadBalancer: optional(loadBalancer),
  connectionPool: optional(connectionPool),
  tls: optional(upstreamTls),
};

const portPolicy = record(
  { port: needed(record({ number: needed(portNumber) })), ...policyFields },
  notInPolicies,
);

const portPolicies = checked(list(portPolicy), (all, cursor) => {
  const first = new Map<number, (typeof all)[number]>();
  for (const each of all) {
    const { number } = each.port;
    const other = first.get(number);
    if (other === undefined) {
      first.set(number, each);
      continue;
    }
    const place = { ...each.at, path: `${each.at.path}.port`, offset: each.offsets.port! };
    const message = `Port ${number} has a policy already, at ${placeText(other.at)}`;
    cursor.reading.complaints.add('duplicate-port', place, message, 'Write one entry for a port.');
  }
});

const trafficPolicy = record(
  { ...policyFields, portLevelSettings: optional(portPolicies) },
  notInPolicies,
);

/** Of a subset only balancing and TLS may differ from the host's. */
const subsetPolicy = record(
  { loadBalancer: optional(loadBalancer), tls: optional(upstreamTls) },
  {
    ...notInPolicies,
    portLevelSettings: 'policies of single ports of a subset',
    connectionPool: 'limits of single subsets',
  },
);

const subset = record({
  name: needed(subsetName),
  labels: optional(labels),
  trafficPolicy: optional(subsetPolicy),
});

const subsets = checked(list(subset), (all, cursor) => {
  const first = new Map<string, (typeof all)[number]>();
  for (const each of all) {
    const other = first.get(each.name);
    if (other === undefined) {
      first.set(each.name, each);
      continue;
    }
    const place = { ...each.at, path: `${each.at.path}.name`, offset: each.offsets.name! };
    const message = `The subset \`${each.name}\` is already defined at ${placeText(other.at)}`;
    const fix = 'Give one of the two another name, or remove it.';
    cursor.reading.complaints.add('duplicate-subset', place, message, fix);
  }
});

export const destinationRuleSpec = record(
  {
    host: needed(hostPattern),
    trafficPolicy: optional(trafficPolicy),
    subsets: optional(subsets),
    exportTo: optional(exportTo),
  },
  { workloadSelector: 'rules for some workloads only' },
);

export type DestinationRuleSpec = NonNullable<ReturnType<typeof destinationRuleSpec>>;
