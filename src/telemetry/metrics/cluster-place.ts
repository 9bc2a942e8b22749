/**
 * What the name of a cluster says: `outbound|9080|v1|reviews.default.svc.cluster.local`.
 *
 * Metrics know clusters by name only. A cluster that is not made of a service, such as the one that
 * passes everything on, says nothing.
 */

export interface ClusterPlace {
  /** Full name of the service. */
  readonly host: string;
  readonly port: number;
  /** What the service's own spans call it, as far as its name tells: `reviews`. */
  readonly serviceName: string;
  /** Empty for a host outside Kubernetes. */
  readonly serviceNamespace: string;
}

const NAME = /^(?:outbound|inbound)\|(\d{1,5})\|[^|]*\|([^|]+)$/;
const KUBERNETES_HOST = /^([^.]+)\.([^.]+)\.svc(?:\.|$)/;

/** Undefined for a name of another kind. */
export function clusterPlace(cluster: string): ClusterPlace | undefined {
  const [, port, host] = NAME.exec(cluster) ?? [];
  if (port === undefined || host === undefined) return undefined;
  const [, serviceName = host, serviceNamespace = ''] = KUBERNETES_HOST.exec(host) ?? [];
  return { host, port: Number(port), serviceName, serviceNamespace };
}
