/**
 * `istio_requests_total` and friends: Istio's standard metrics with its labels, made of the same cells,
 * so that Kiali and Istio's dashboards show this mesh too.
 *
 * What a sidecar cannot know is `unknown`, as with Istio: a caller has the name and the namespace that
 * mutual TLS has proved, and no workload: several may have one account. Durations have our bounds, in milliseconds; sizes have a sum and
 * a count and no buckets.
 */

import { failureByCode } from '../../model/failure.ts';
import type { Direction } from '../../model/routing-table.ts';
import { clusterPlace } from './cluster-place.ts';
import { type DurationSum, sumOf } from './duration-sum.ts';
import type { MetricIdentity } from './metric-identity.ts';
import { type LabelPair, type MetricText, printLabels, type Steps } from './metric-text.ts';
import type { MetricRegistry, RequestLabels } from './metrics.ts';
import { type Outcome, outcomeOf, Part } from './request-cell.ts';

/** What the table says of a cluster's endpoints, where all of them agree. */
export interface ClusterLabels {
  readonly app: string;
  readonly version: string;
}

const UNKNOWN = 'unknown';

/** Whose metrics these are, and what peers and clusters are. */
export interface IstioNames {
  readonly identity: MetricIdentity;
  /** By name of the cluster. */
  readonly clusters: ReadonlyMap<string, ClusterLabels>;
  /** Of the NameTable, from its id 1 on. */
  readonly names: readonly string[];
}

/** All families. */
export function* addIstioMetrics(
  text: MetricText,
  registry: MetricRegistry,
  known: IstioNames,
): Steps {
  const points = istioPoints(registry, known);
  const requests = 'istio_requests_total';
  text.family(requests, 'counter', 'Requests by status, flags and peers, as Istio counts them.');
  for (const [labels, { count }] of points) yield text.sample(requests, labels, count);
  const duration = 'istio_request_duration_milliseconds';
  text.family(duration, 'histogram', 'Duration of these requests.');
  for (const [labels, point] of points) yield text.duration(duration, labels, point, 1_000);
  yield* addBytes(text, points, 'istio_request_bytes', 'Bytes of request bodies.', 'requestBytes');
  yield* addBytes(
    text,
    points,
    'istio_response_bytes',
    'Bytes of response bodies.',
    'responseBytes',
  );
  addConnections(text, registry, known);
}

function istioPoints(registry: MetricRegistry, known: IstioNames): Map<string, DurationSum> {
  const points = new Map<string, DurationSum>();
  for (const series of registry.allSeries()) {
    const ofPeers = new Map<number | undefined, string>();
    for (const cell of series.cells) {
      const outcome = outcomeOf(cell.key);
      // Istio counts requests of the application, whatever number of attempts they took.
      if (outcome.part === Part.Attempt) continue;
      const peerId = outcome.isOther ? undefined : cell.peerId;
      const peers = ofPeers.get(peerId) ?? peerLabels(series.labels, peerId, known);
      ofPeers.set(peerId, peers);
      sumOf(points, `${peers},${outcomeLabels(outcome)}`).add(series, cell);
    }
  }
  return points;
}

function* addBytes(
  text: MetricText,
  points: ReadonlyMap<string, DurationSum>,
  name: string,
  help: string,
  field: 'requestBytes' | 'responseBytes',
): Steps {
  text.family(name, 'histogram', help);
  for (const [labels, point] of points) {
    text.sample(`${name}_bucket`, `${labels},le="+Inf"`, point.count);
    text.sample(`${name}_sum`, labels, point[field]);
    yield text.sample(`${name}_count`, labels, point.count);
  }
}

function outcomeLabels(outcome: Outcome): string {
  const failed = failureByCode(outcome.causeCode);
  return printLabels([
    ['request_protocol', 'http'],
    ['response_code', outcome.isOther ? 'other' : String(outcome.status)],
    ['grpc_response_status', ''],
    ['response_flags', failed?.flag ?? '-'],
  ]);
}

/**
 * Everything about source and destination, in Istio's order. `peerId`: of the cell; undefined: it counts
 * requests of any peers.
 */
function peerLabels(
  { direction, cluster }: Pick<RequestLabels, 'direction' | 'cluster'>,
  peerId: number | undefined,
  { identity, clusters, names }: IstioNames,
): string {
  const isInbound = direction === 'inbound';
  const place = clusterPlace(cluster);
  const isProved = peerId !== undefined && peerId !== 0;
  const principal = isProved ? (names[peerId - 1] ?? UNKNOWN) : UNKNOWN;
  const namespace = namespaceOf(principal);
  const own = { ...sideOf(identity), principal: (isProved && identity.principal) || UNKNOWN };
  const peer = isInbound
    ? { ...nobody, principal, namespace: namespace ?? UNKNOWN }
    : {
        ...sideOfCluster(namespace ?? place?.serviceNamespace, clusters.get(cluster)),
        principal,
      };
  const service = place?.serviceName ?? (isInbound ? own.canonicalService : UNKNOWN);
  return printLabels([
    ['reporter', isInbound ? 'destination' : 'source'],
    ...sideLabels('source', isInbound ? peer : own),
    ...sideLabels('destination', isInbound ? own : peer),
    ['destination_service', place?.host ?? UNKNOWN],
    ['destination_service_name', service],
    [
      'destination_service_namespace',
      place?.serviceNamespace || (isInbound ? own.namespace : UNKNOWN),
    ],
    // A caller without mutual TLS may have TLS of its own: only the callee's side knows that.
    [
      'connection_security_policy',
      isProved ? 'mutual_tls' : isInbound && peerId === 0 ? 'none' : UNKNOWN,
    ],
  ]);
}

/** Of a SPIFFE id of the mesh. */
function namespaceOf(principal: string): string | undefined {
  return /\/ns\/([^/]+)\/sa\/[^/]+$/.exec(principal)?.[1];
}

interface Side {
  readonly workload: string;
  readonly namespace: string;
  /** SPIFFE id. */
  readonly principal: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
}

const nobody: Side = {
  workload: UNKNOWN,
  namespace: UNKNOWN,
  principal: UNKNOWN,
  app: UNKNOWN,
  version: UNKNOWN,
  cluster: UNKNOWN,
  canonicalService: UNKNOWN,
  canonicalRevision: UNKNOWN,
};

function sideOf(identity: MetricIdentity): Side {
  return {
    workload: identity.workload || UNKNOWN,
    namespace: identity.namespace || UNKNOWN,
    principal: UNKNOWN,
    app: identity.app || UNKNOWN,
    version: identity.version || UNKNOWN,
    cluster: identity.cluster || UNKNOWN,
    canonicalService: identity.service || UNKNOWN,
    canonicalRevision: identity.version || 'latest',
  };
}

function sideOfCluster(namespace: string | undefined, callee: ClusterLabels | undefined): Side {
  return {
    ...nobody,
    namespace: namespace || UNKNOWN,
    app: callee?.app || UNKNOWN,
    version: callee?.version || UNKNOWN,
    canonicalService: callee?.app || UNKNOWN,
    canonicalRevision: callee?.version || (callee?.app ? 'latest' : UNKNOWN),
  };
}

function sideLabels(name: 'source' | 'destination', side: Side): readonly LabelPair[] {
  return [
    [`${name}_workload`, side.workload],
    [`${name}_workload_namespace`, side.namespace],
    [`${name}_principal`, side.principal],
    [`${name}_app`, side.app],
    [`${name}_version`, side.version],
    [`${name}_cluster`, side.cluster],
    [`${name}_canonical_service`, side.canonicalService],
    [`${name}_canonical_revision`, side.canonicalRevision],
  ];
}

const tcpFamilies = [
  [
    'istio_tcp_sent_bytes_total',
    'Bytes of answers: from the callee, on connections relayed unread.',
    'opaqueReceivedBytes',
  ],
  [
    'istio_tcp_received_bytes_total',
    'Bytes of requests: from the caller, on such connections.',
    'opaqueSentBytes',
  ],
  ['istio_tcp_connections_closed_total', 'Such connections that have ended.', 'opaqueTotal'],
] as const;

/** Of connections that were relayed unread; counted when they end. */
function addConnections(text: MetricText, registry: MetricRegistry, known: IstioNames): void {
  const directions: readonly Direction[] = ['inbound', 'outbound'];
  const rest = printLabels([
    ['request_protocol', 'tcp'],
    ['response_flags', '-'],
  ]);
  for (const [name, help, field] of tcpFamilies) {
    text.family(name, 'counter', help);
    for (const direction of directions) {
      const counts = registry.connectionGauge(direction);
      let plain = counts[field];
      for (const each of counts.opaquePeers.values()) plain -= each[field];
      const labelsOf = (peerId: number) => peerLabels({ direction, cluster: '' }, peerId, known);
      const points = new Map([[labelsOf(0), plain]]);
      for (const [peerId, each] of counts.opaquePeers) {
        const peers = labelsOf(peerId);
        points.set(peers, (points.get(peers) ?? 0) + each[field]);
      }
      for (const [peers, value] of points) text.sample(name, `${peers},${rest}`, value);
    }
  }
}
