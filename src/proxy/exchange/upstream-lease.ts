/**
 * The hold of one exchange on an endpoint: chosen, counted, connected, and given back exactly once.
 *
 *   acquire ──► an idle connection, or one being dialled ──► release (to the pool) or destroy
 *
 * It owns the counts that go with it: requests in flight at the endpoint, exchanges waiting in the
 * cluster. It does not know why an exchange ends, only that the connection is whole or in doubt.
 */

import { pickEndpoint } from '../../balancing/pick-endpoint.ts';
import { assert } from '../../base/assert.ts';
import type { Milliseconds } from '../../base/clock.ts';
import { type Failure, failure } from '../../model/failure.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { connectTimeoutOf } from '../plan/connect-timeout.ts';
import type { ClusterPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { printAddress } from '../socket/print-address.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import {
  UpstreamConnection,
  UpstreamState,
  type UpstreamUser,
} from '../upstream/upstream-connection.ts';

export class UpstreamLease {
  /** The connection, from `acquire` to the end of the lease. */
  upstream: UpstreamConnection | undefined;
  /** The endpoint of the lease, or of the last one: what a failure was about. */
  pool: EndpointPool | undefined;
  /** What `acquire` refused for, for people. */
  detail = '';
  readonly #scope: ProxyScope;
  readonly #counts: ConnectionCounts;
  readonly #user: UpstreamUser;
  readonly #isInbound: boolean;
  #cluster: ClusterPlan | undefined;
  #poolIndex = -1;
  #isDialling = false;
  /** How much longer the endpoint may take to accept when there is no other to try after all. */
  #reserveMs: Milliseconds = 0;
  /** Somebody has logged in on this connection: it is for the same downstream only. */
  #own: UpstreamConnection | undefined = undefined;

  constructor(scope: ProxyScope, counts: ConnectionCounts, user: UpstreamUser, isInbound: boolean) {
    this.#scope = scope;
    this.#counts = counts;
    this.#user = user;
    this.#isInbound = isInbound;
  }

  /** The endpoint as people write it, '' when none was chosen. */
  get where(): string {
    return this.pool === undefined ? '' : printAddress(this.pool.address, this.pool.port);
  }

  /** Mutual TLS of the mesh is spoken to the endpoint. */
  get isMeshed(): boolean {
    // Not by principalId: a NameTable that is full gives 0, and policies are not to hang on that.
    return (this.pool?.tls?.identity ?? '') !== '';
  }

  /** The connection of the lease is one that `keep` has kept for this downstream. */
  get isOwn(): boolean {
    return this.upstream !== undefined && this.upstream === this.#own;
  }

  /** There is one that `keep` has kept, and that may still serve. */
  get hasOwn(): boolean {
    return this.#own?.state === UpstreamState.Idle;
  }

  /** A new exchange: no endpoint has failed yet. */
  begin(): void {
    this.pool = undefined;
    this.#cluster = undefined;
    this.#poolIndex = -1;
  }

  /**
   * Chooses an endpoint of `cluster` (`pinned`, if given; else another than the last one, if there is
   * another), and takes an idle connection to it or dials one (`isFresh`: always dials; `hasOther`:
   * another endpoint will be tried when this one does not answer). Returns why that cannot be.
   */
  acquire(
    cluster: ClusterPlan,
    isFresh: boolean,
    pinned: EndpointPool | undefined,
    hasOther: boolean,
  ): Failure | undefined {
    assert(this.upstream === undefined, 'one lease at a time');
    const { random, limits } = this.#scope;
    const { pools, state } = cluster;
    const { balancing, subset, name } = cluster.cluster;
    const own = isFresh ? undefined : this.#ownOf(cluster, pinned);
    const known = own?.pool ?? pinned;
    const index =
      known === undefined
        ? pickEndpoint(balancing, state.pick, pools, random, this.#poolIndex)
        : pools.indexOf(known);
    const pool = pools[index];
    if (pool === undefined) {
      this.detail = name;
      return subset === '' ? failure['no-healthy-endpoint'] : failure['subset-empty'];
    }
    this.pool = pool;
    this.#poolIndex = index;
    this.#cluster = cluster;
    if (pool.inFlight >= limits.inFlightPerEndpointMax) {
      this.detail = `${pool.inFlight} requests under way to ${this.where}`;
      return failure.overflow;
    }
    const idle = isFresh ? undefined : (own ?? pool.takeIdle());
    this.#reserveMs = 0;
    if (idle !== undefined) {
      idle.lease(this.#user);
      this.upstream = idle;
      if (idle.state === UpstreamState.Connecting) this.#awaitConnect(cluster);
    } else if (state.pending >= limits.pendingPerClusterMax) {
      this.detail = `${state.pending} requests wait for ${name}`;
      return failure.overflow;
    } else {
      const refusal = pool.refusal();
      if (refusal !== undefined) {
        this.detail = `${refusal.detail}, ${this.where}`;
        return refusal.failure;
      }
      this.#dial(cluster, pool, hasOther);
    }
    pool.inFlight++;
    pool.requests++;
    return undefined;
  }

  /** The dialled connection is there. */
  connected(): void {
    assert(this.#isDialling, 'only a dialled connection can be connected');
    this.#isDialling = false;
    this.#cluster!.state.pending--;
  }

  /** No other endpoint may be tried: waits on for this one. False when it has had all its time. */
  waitOn(): boolean {
    const moreMs = this.#reserveMs;
    if (!this.#isDialling || moreMs <= 0) return false;
    this.#reserveMs = 0;
    this.upstream!.waitOn(moreMs);
    return true;
  }

  /** Ends the lease after a whole response that leaves no doubt: the pool may lend it again. */
  release(now: Milliseconds): void {
    this.#take().release(now);
  }

  /**
   * As `release`, but for this downstream alone from now on: its later requests that may go to the same
   * endpoint take it, and `letGo` ends it.
   */
  keep(now: Milliseconds): void {
    const upstream = this.#take();
    if (this.#own !== upstream) this.letGo();
    this.#own = upstream;
    upstream.keep(now);
  }

  /** The downstream is gone, and with it what was kept for it. */
  letGo(): void {
    const own = this.#own;
    this.#own = undefined;
    if (own?.state === UpstreamState.Idle) own.destroy(false);
  }

  #ownOf(cluster: ClusterPlan, pinned: EndpointPool | undefined): UpstreamConnection | undefined {
    const own = this.#own;
    if (own?.state !== UpstreamState.Idle) return undefined;
    if (!own.isCurrentAt(this.#scope.clock.now())) return undefined;
    const isMeant = pinned === undefined ? cluster.pools.includes(own.pool) : own.pool === pinned;
    return isMeant ? own : undefined;
  }

  /**
   * The connection goes on without a lease, for good; the endpoint's load counts it until its new owner
   * takes one off `pool.inFlight`.
   */
  detach(): UpstreamConnection {
    assert(this.upstream !== undefined && !this.#isDialling, 'only a connection can be detached');
    const { upstream } = this;
    this.upstream = undefined;
    return upstream;
  }

  /** Ends the lease and the connection, if there is one; `reset` tells the peer by RST. */
  destroy(reset: boolean): void {
    if (this.upstream !== undefined) this.#take().destroy(reset);
  }

  #dial(cluster: ClusterPlan, pool: EndpointPool, hasOther: boolean): void {
    const { limits } = this.#scope;
    const mostMs = this.#isInbound ? limits.connectLocalTimeoutMs : Number.POSITIVE_INFINITY;
    const aloneMs = Math.min(connectTimeoutOf(cluster, limits, false), mostMs);
    const timeoutMs = Math.min(connectTimeoutOf(cluster, limits, hasOther), mostMs);
    this.#reserveMs = aloneMs - timeoutMs;
    this.upstream = new UpstreamConnection(this.#scope, pool, this.#counts, this.#user, timeoutMs);
    this.#awaitConnect(cluster);
  }

  #awaitConnect(cluster: ClusterPlan): void {
    cluster.state.pending++;
    this.#isDialling = true;
  }

  #take(): UpstreamConnection {
    const upstream = this.upstream!;
    this.upstream = undefined;
    if (this.#isDialling) this.connected();
    this.pool!.inFlight--;
    return upstream;
  }
}
