/**
 * Cluster facts: what spans say of a cluster beyond its name, by the generation of the routing table.
 *
 * The record carries a cluster's id and a generation; the rest is told to the worker once for each
 * table, on the port of the names. Facts of earlier tables are kept (fact-history.ts): an exchange ends
 * under the table that it began with, and may be recalled long after.
 */

import type { BalancingPolicy, RoutingTable } from '../../model/routing-table.ts';
import { FactHistory, type FactKind } from './fact-history.ts';

export interface ClusterFacts {
  readonly name: string;
  /** What the service's own spans call it, as far as its host name tells: `reviews`. */
  readonly serviceName: string;
  /** Empty for a host outside Kubernetes. */
  readonly serviceNamespace: string;
  readonly balancing: BalancingPolicy;
  /** Endpoints that the policy chooses among. */
  readonly candidates: number;
}

/** The facts of one table; survives structured cloning. */
export interface ClustersMessage {
  readonly generation: number;
  readonly clusters: readonly ClusterFacts[];
}

const KUBERNETES_HOST = /^([^.]+)\.([^.]+)\.svc(?:\.|$)/;

/** What the worker has to be told about `table`. */
export function clustersMessage(table: RoutingTable): ClustersMessage {
  const clusters = table.clusters.map(({ name, service, balancing, endpoints }) => {
    const [, short = service, namespace = ''] = KUBERNETES_HOST.exec(service) ?? [];
    return {
      name,
      serviceName: short,
      serviceNamespace: namespace,
      balancing,
      candidates: endpoints.length,
    };
  });
  return { generation: table.generation, clusters };
}

const clusterKind: FactKind<ClusterFacts> = {
  isSame: (one, other) =>
    one.candidates === other.candidates &&
    one.balancing === other.balancing &&
    one.serviceName === other.serviceName &&
    one.serviceNamespace === other.serviceNamespace,
  bytesOf: ({ name, serviceName, serviceNamespace }) =>
    100 + name.length + serviceName.length + serviceNamespace.length,
};

/** The facts of the newest table and of those before it. */
export class ClusterBook {
  /** Changes with every `add`: what was found before may not be found, or differ. */
  edition = 0;
  readonly #history = new FactHistory<ClusterFacts>(clusterKind);

  /** A table with a generation that is known already replaces it. */
  add({ generation, clusters }: ClustersMessage): void {
    this.edition++;
    this.#history.add(generation, new Map(clusters.map((each) => [each.name, each])));
  }

  /** Undefined when the table is not remembered or has no such cluster. */
  find(generation: number, name: string): ClusterFacts | undefined {
    return this.#history.find(generation, name);
  }
}
