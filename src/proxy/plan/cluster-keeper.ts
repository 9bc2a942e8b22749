/**
 * Cluster keeper: plans of clusters and their endpoints' pools, from one table to the next.
 *
 * A cluster that is the same object keeps its plan; one with the same name keeps its load state; an
 * endpoint that any cluster still names keeps its pool. Endpoints that none names are retired.
 */

import { startPicking } from '../../balancing/pick-endpoint.ts';
import type { Cluster, Endpoint } from '../../model/routing-table.ts';
import { MeshClient } from '../mesh/mesh-client.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { EndpointPool } from '../upstream/endpoint-pool.ts';
import { OriginationClient } from '../upstream/origination-client.ts';
import {
  filesKeyOf,
  OriginationFiles,
  type OriginationTls,
} from '../upstream/origination-files.ts';
import { poolKeyOf, type TlsClient } from '../upstream/upstream-tls.ts';
import type { ClusterPlan, HostPlan } from './plan.ts';

export class ClusterKeeper {
  readonly #scope: ProxyScope;
  #plans: readonly ClusterPlan[] = [];
  #byName = new Map<string, ClusterPlan>();
  readonly #pools = new Map<string, EndpointPool>();
  readonly #mesh: MeshClient;
  /** By their settings; of the last table. */
  readonly #files = new Map<string, OriginationFiles>();
  #isSame = true;

  constructor(scope: ProxyScope) {
    this.#scope = scope;
    this.#mesh = new MeshClient(scope, () => this.#closeOld());
  }

  /** The proxy ends. */
  close(): void {
    this.#mesh.close();
    for (const files of this.#files.values()) files.close();
  }

  /** Resolves when every file that the clusters' TLS needs has been looked at once. */
  async tlsLoaded(): Promise<void> {
    await Promise.all([...this.#files.values()].map(({ loaded }) => loaded));
  }

  /** In the order of the table. */
  get plans(): readonly ClusterPlan[] {
    return this.#plans;
  }

  /** The last table has the very clusters of the one before. */
  get isSame(): boolean {
    return this.#isSame;
  }

  find(name: string): ClusterPlan | undefined {
    return this.#byName.get(name);
  }

  pools(): Iterable<EndpointPool> {
    return this.#pools.values();
  }

  /** From now on these are the clusters. */
  take(clusters: readonly Cluster[]): void {
    this.#isSame =
      clusters.length === this.#plans.length &&
      clusters.every((cluster, index) => this.#plans[index]!.cluster === cluster);
    if (this.#isSame) return;
    this.#plans = clusters.map((cluster) => this.#plan(cluster));
    this.#byName = new Map(this.#plans.map((plan) => [plan.cluster.name, plan]));
    const used = new Set(this.#plans.flatMap(({ pools }) => pools));
    for (const [key, pool] of this.#pools) {
      if (used.has(pool)) continue;
      this.#pools.delete(key);
      pool.isRetired = true;
      pool.closeIdle();
    }
    this.#forgetFiles();
  }

  /** Whether all that the backends of `host` lead to is still so. */
  holdsFor({ clusters, isWhole }: HostPlan): boolean {
    if (this.#isSame) return true;
    return isWhole && clusters.every((plan) => this.find(plan.cluster.name) === plan);
  }

  #plan(cluster: Cluster): ClusterPlan {
    const before = this.#byName.get(cluster.name);
    if (before?.cluster === cluster) return before;
    const state = before?.state ?? { pick: startPicking(this.#scope.random), pending: 0 };
    const pools = cluster.endpoints.map((endpoint) => this.#pool(endpoint, cluster));
    return { cluster, pools, state };
  }

  #pool(endpoint: Endpoint, cluster: Cluster): EndpointPool {
    const { address, port, zone } = endpoint;
    const key = poolKeyOf(endpoint, cluster, this.#scope.mesh !== undefined);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new EndpointPool(this.#scope, address, port, true, this.#clientOf(endpoint, cluster));
    }
    pool.bytes = this.#scope.telemetry.metrics.zones.outbound(zone);
    this.#pools.set(key, pool);
    return pool;
  }

  /** Undefined where the bytes go as they are. */
  #clientOf({ identity }: Endpoint, { tls, service }: Cluster): TlsClient | undefined {
    const { mode } = tls;
    if (mode === 'simple' || mode === 'mutual') {
      return new OriginationClient(this.#scope, this.#filesOf(tls), tls, service);
    }
    if (mode === 'mesh') return this.#mesh.to(identity);
    // Without an identity of its own a sidecar speaks nothing of the mesh.
    const isMeshed = mode === 'auto' && identity !== '' && this.#scope.mesh !== undefined;
    return isMeshed ? this.#mesh.to(identity) : undefined;
  }

  #filesOf(tls: OriginationTls): OriginationFiles {
    const key = filesKeyOf(tls);
    let files = this.#files.get(key);
    if (files === undefined) {
      files = new OriginationFiles(this.#scope, tls, () => this.#closeOld());
      this.#files.set(key, files);
    }
    return files;
  }

  /** No cluster of the table names them any more; pools that did are retired. */
  #forgetFiles(): void {
    const used = new Set<string>();
    for (const { cluster } of this.#plans) {
      const { tls } = cluster;
      if (tls.mode === 'simple' || tls.mode === 'mutual') used.add(filesKeyOf(tls));
    }
    for (const [key, files] of this.#files) {
      if (used.has(key)) continue;
      files.close();
      this.#files.delete(key);
    }
  }

  /** Connections of older keys or roots that are idle; those in use end when they come back. */
  #closeOld(): void {
    for (const pool of this.#pools.values()) pool.closeOld();
  }
}
