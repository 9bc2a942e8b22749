/**
 * Cluster facts: what spans say of a cluster beyond its name, by the generation of the routing table.
 *
 * The record carries a cluster's id and a generation; the rest is told to the worker once for each
 * table, on the port of the names. Facts of the last few tables are kept: an exchange ends under the
 * table that it began with. One that is older finds nothing, and its span says less, never wrong things.
 */

import type { BalancingPolicy, RoutingTable } from '../model/routing-table.ts';

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

const GENERATIONS_KEPT = 4;
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

/** The facts of the newest tables. */
export class ClusterBook {
  /** Changes with every `add`: what was found before may not be found, or differ. */
  edition = 0;
  readonly #tables = new Map<number, ReadonlyMap<string, ClusterFacts>>();

  /** A table with a generation that is known already replaces it. */
  add({ generation, clusters }: ClustersMessage): void {
    this.edition++;
    this.#tables.delete(generation);
    this.#tables.set(generation, new Map(clusters.map((each) => [each.name, each])));
    for (const oldest of this.#tables.keys()) {
      if (this.#tables.size <= GENERATIONS_KEPT) break;
      this.#tables.delete(oldest);
    }
  }

  /** Undefined when the table is not one of the newest or has no such cluster. */
  find(generation: number, name: string): ClusterFacts | undefined {
    return this.#tables.get(generation)?.get(name);
  }
}
