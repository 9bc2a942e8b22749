/**
 * `istio_requests_total` and friends: Istio's standard metrics with its labels, made of the same cells,
 * so that Kiali and Istio's dashboards show this mesh too.
 *
 * What a sidecar cannot know yet is `unknown`, as with Istio: of a caller everything (until mesh TLS
 * proves it), of a callee its workload. Durations have our bounds, in milliseconds; sizes have a sum and
 * a count and no buckets.
 */

import { failureByCode } from '../model/failure.ts';
import type { Direction } from '../model/routing-table.ts';
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

/** All families. `clusters` by name of the cluster. */
export function* addIstioMetrics(
  text: MetricText,
  registry: MetricRegistry,
  identity: MetricIdentity,
  clusters: ReadonlyMap<string, ClusterLabels>,
): Steps {
  const points = istioPoints(registry, identity, clusters);
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
  addConnections(text, registry, identity);
}

function istioPoints(
  registry: MetricRegistry,
  identity: MetricIdentity,
  clusters: ReadonlyMap<string, ClusterLabels>,
): Map<string, DurationSum> {
  const points = new Map<string, DurationSum>();
  for (const series of registry.allSeries()) {
    const peers = peerLabels(series.labels, identity, clusters.get(series.labels.cluster));
    for (const cell of series.cells) {
      const outcome = outcomeOf(cell.key);
      // Istio counts requests of the application, whatever number of attempts they took.
      if (outcome.part === Part.Attempt) continue;
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

/** Everything about source and destination, in Istio's order. */
function peerLabels(
  { direction, cluster }: Pick<RequestLabels, 'direction' | 'cluster'>,
  identity: MetricIdentity,
  callee: ClusterLabels | undefined,
): string {
  const isInbound = direction === 'inbound';
  const place = clusterPlace(cluster);
  const own = sideOf(identity);
  const peer = isInbound ? nobody : sideOfCluster(place?.serviceNamespace, callee);
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
    ['connection_security_policy', isInbound ? 'none' : UNKNOWN],
  ]);
}

interface Side {
  readonly workload: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
}

const nobody: Side = {
  workload: UNKNOWN,
  namespace: UNKNOWN,
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
    [`${name}_principal`, UNKNOWN],
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
function addConnections(
  text: MetricText,
  registry: MetricRegistry,
  identity: MetricIdentity,
): void {
  const directions: readonly Direction[] = ['inbound', 'outbound'];
  for (const [name, help, field] of tcpFamilies) {
    text.family(name, 'counter', help);
    for (const direction of directions) {
      const peers = peerLabels({ direction, cluster: '' }, identity, undefined);
      const rest = printLabels([
        ['request_protocol', 'tcp'],
        ['response_flags', '-'],
      ]);
      text.sample(name, `${peers},${rest}`, registry.connectionGauge(direction)[field]);
    }
  }
}
