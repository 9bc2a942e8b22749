/**
 * Passthrough: backends for captured traffic that no rule is about; each is one original destination.
 *
 * Unlike the clusters of a table they come from traffic, so they are bounded and forgotten: beyond
 * `passthroughMax`, or unused for `passthroughIdleMs`, the one unused for longest goes. One with a
 * request under way stays until it is idle.
 *
 *    map   oldest use ── ... ── newest use     (a use takes it out and puts it at the end)
 */

import { startPicking } from '../../balancing/pick-endpoint.ts';
import type { Milliseconds } from '../../base/clock.ts';
import type { Cluster, Direction } from '../../model/routing-table.ts';
import { noHeaderEdits } from '../../model/routing-table.ts';
import { autoTls } from '../../model/security.ts';
import type { RequestSeries } from '../../telemetry/metrics/metrics.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { EndpointPool } from '../upstream/endpoint-pool.ts';
import type { TlsClient } from '../upstream/upstream-tls.ts';
import { compileEdits } from './header-edits.ts';
import type { BackendPlan, ClusterPlan } from './plan.ts';

/** Cluster name of everything here, in records and metrics: addresses are no labels. */
const clusterName = 'passthrough';

/** How exactly the time of the last use is known. */
const markMs = 1_000;

const noEdits = compileEdits(noHeaderEdits, noHeaderEdits);

/** One original destination; forgotten when `pool.isRetired`. */
export interface OnwardEntry {
  readonly backend: BackendPlan;
  readonly pool: EndpointPool;
  usedMs: Milliseconds;
}

export class Passthrough {
  readonly #scope: ProxyScope;
  readonly #connectTimeoutMs: Milliseconds;
  readonly #series: RequestSeries;
  readonly #clusterId: number;
  readonly #entries = new Map<string, OnwardEntry>();
  readonly #unfollow: (() => void) | undefined;

  constructor(scope: ProxyScope, direction: Direction) {
    const { limits, telemetry } = scope;
    this.#scope = scope;
    this.#connectTimeoutMs =
      direction === 'inbound' ? limits.connectLocalTimeoutMs : limits.connectPassthroughMs;
    this.#clusterId = telemetry.names.idOf(clusterName);
    this.#series = telemetry.metrics.lastingSeries({
      direction,
      listener: `capture|${direction}`,
      route: '',
      rule: '',
      cluster: clusterName,
      subset: '',
    });
    this.#unfollow = scope.mesh?.follow(() => this.#closeOld());
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * What leads to `address:port`, marked as used now.
   *
   * @param tls of the mesh, where the workload there is known to speak it
   */
  to(address: string, port: number, tls: TlsClient | undefined): OnwardEntry {
    const key = `${address} ${port} ${tls?.identity ?? ''}`;
    const now = this.#scope.clock.now();
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#forget(now);
      entry = this.#create(address, port, tls, now);
    } else {
      this.#entries.delete(key);
      entry.usedMs = now;
    }
    this.#entries.set(key, entry);
    return entry;
  }

  /** Whether `entry` may be used without another look-up: a holder asks before every use. */
  isFresh({ pool, usedMs }: OnwardEntry, tls: TlsClient | undefined): boolean {
    const isFresh = !pool.isRetired && this.#scope.clock.now() < usedMs + markMs;
    return isFresh && (pool.tls === tls || pool.tls?.identity === tls?.identity);
  }

  /** The proxy ends: closes idle connections, and keeps none that comes back. */
  retire(): void {
    this.#unfollow?.();
    for (const { pool } of this.#entries.values()) {
      pool.isRetired = true;
      pool.closeIdle();
    }
  }

  /** Connections of older keys or roots that are idle; those in use end when they come back. */
  #closeOld(): void {
    for (const { pool } of this.#entries.values()) if (pool.tls !== undefined) pool.closeIdle();
  }

  #create(
    address: string,
    port: number,
    tls: TlsClient | undefined,
    now: Milliseconds,
  ): OnwardEntry {
    const pool = new EndpointPool(this.#scope, address, port, false, tls);
    const cluster: Cluster = {
      name: clusterName,
      service: '',
      namespace: '',
      subset: '',
      balancing: 'round-robin',
      connectTimeoutMs: this.#connectTimeoutMs,
      tls: autoTls,
      endpoints: [{ address, port, labels: {}, zone: '', identity: tls?.identity ?? '' }],
    };
    const state = { pick: startPicking(this.#scope.random), pending: 0 };
    const plan: ClusterPlan = { cluster, pools: [pool], state };
    const backend: BackendPlan = {
      cluster: plan,
      weight: 0,
      requestEdits: noEdits,
      responseEdits: noEdits,
      clusterId: this.#clusterId,
      subsetId: 0,
      series: this.#series,
    };
    return { backend, pool, usedMs: now };
  }

  /** Makes room: drops what is too old, and one more when there are too many. */
  #forget(now: Milliseconds): void {
    const { passthroughMax, passthroughIdleMs } = this.#scope.limits;
    for (const [key, { pool, usedMs }] of this.#entries) {
      const isOld = now >= usedMs + passthroughIdleMs;
      if (!isOld && this.#entries.size < passthroughMax) return;
      if (pool.inFlight > 0) continue;
      pool.isRetired = true;
      pool.closeIdle();
      this.#entries.delete(key);
    }
  }
}
