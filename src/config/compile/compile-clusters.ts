/**
 * Compile clusters: pools of endpoints, each made once however many rules lead to it.
 *
 * A cluster is a service's port, or one subset of it, with the policy of the DestinationRule that the
 * workload sees; or the application behind an inbound listener.
 */

import type { Cluster, Endpoint } from '../../model/routing-table.ts';
import { autoTls } from '../../model/security.ts';
import { kubernetesName } from '../resource/host-names.ts';
import { carries } from '../resource/labels.ts';
import type { LocalEndpoint } from '../resource/sidecar.ts';
import type { Labels } from '../resource/values.ts';
import type { EndpointIdentities } from '../world/endpoint-identity.ts';
import { noLabels, type Service, type ServicePort } from '../world/service-facts.ts';
import type { Resolved } from './resolve.ts';

export class ClusterList {
  readonly #clusters = new Map<string, Cluster>();
  readonly #identities: EndpointIdentities;

  constructor(identities: EndpointIdentities) {
    this.#identities = identities;
  }

  /** In the order in which they were first led to. */
  get clusters(): readonly Cluster[] {
    return [...this.#clusters.values()];
  }

  /** The cluster that a destination leads to. */
  outbound(resolved: Resolved, port: ServicePort): Cluster {
    const { service, subset, rule } = resolved;
    const name = `outbound|${port.number}|${subset?.name ?? ''}|${service.host}`;
    const known = this.#clusters.get(name);
    if (known !== undefined) return known;
    // What is said of a port stands alone: nothing is taken from the host's then.
    const ofHost = rule?.spec.trafficPolicy;
    const ofPort = ofHost?.portLevelSettings?.find((each) => each.port.number === port.number);
    const policy = ofPort ?? ofHost;
    const balancing =
      subset?.trafficPolicy?.loadBalancer?.simple ??
      policy?.loadBalancer?.simple ??
      'least-request';
    return this.add({
      name,
      service: service.host,
      namespace: kubernetesName(service.host)?.namespace ?? service.resource.namespace,
      subset: subset?.name ?? '',
      balancing,
      connectTimeoutMs: policy?.connectionPool?.tcp?.connectTimeout,
      tls: subset?.trafficPolicy?.tls ?? policy?.tls ?? autoTls,
      endpoints: selectEndpoints(service, port, subset?.labels, this.#identities),
    });
  }

  /** The cluster of the own application behind an inbound listener. */
  inbound(
    listenerPort: number,
    endpoint: LocalEndpoint,
    own: { readonly service: string; readonly namespace: string; readonly version: string },
  ): Cluster {
    return this.add({
      name: `inbound|${listenerPort}|${own.version}|${own.service}`,
      service: own.service,
      namespace: own.namespace,
      subset: own.version,
      balancing: 'least-request',
      connectTimeoutMs: undefined,
      tls: autoTls,
      endpoints: [
        {
          address: endpoint.address,
          port: endpoint.port,
          labels: noLabels,
          zone: '',
          identity: '',
        },
      ],
    });
  }

  /** The one that has its name already, else `cluster`. */
  add(cluster: Cluster): Cluster {
    const known = this.#clusters.get(cluster.name);
    if (known !== undefined) return known;
    this.#clusters.set(cluster.name, cluster);
    return cluster;
  }
}

/**
 * The endpoints of a service's port, or those of them that carry all of `labels`.
 *
 * @param identities absent: nobody asks whose they are, and their identities are empty
 */
export function selectEndpoints(
  service: Service,
  port: ServicePort,
  labels: Labels | undefined,
  identities?: EndpointIdentities,
): Endpoint[] {
  const found: Endpoint[] = [];
  for (const each of service.endpoints) {
    if (!carries(each.labels, labels ?? noLabels)) continue;
    const own = each.ports.get(port.name);
    if (own === undefined && each.isClosed) continue;
    const number = own ?? port.targetPort ?? port.number;
    // Several slices may tell the same of one pod.
    const isTold = (one: Endpoint) => one.address === each.address && one.port === number;
    if (each.isClosed && found.some(isTold)) continue;
    found.push({
      address: each.address,
      port: number,
      labels: each.labels,
      zone: each.zone,
      identity: identities?.identityOf(each.owner, number) ?? '',
    });
  }
  // A service that is its own endpoint has no labels, so its subsets are empty.
  if (service.isOwnEndpoint && Object.keys(labels ?? noLabels).length === 0) {
    const number = port.targetPort ?? port.number;
    found.push({ address: service.host, port: number, labels: noLabels, zone: '', identity: '' });
  }
  return found;
}
