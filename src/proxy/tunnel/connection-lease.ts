/**
 * The hold of one connection that is not read on an endpoint: chosen, counted as its load, dialled, and
 * given up once. Where nothing listens or answers another endpoint is tried, once: no byte can have
 * reached it.
 */

import { pickEndpoint } from '../../balancing/pick-endpoint.ts';
import { type Failure, failure } from '../../model/failure.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { connectTimeoutOf } from '../plan/connect-timeout.ts';
import type { ConnectionChoice } from '../plan/connection-choice.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import { UpstreamConnection, type UpstreamUser } from '../upstream/upstream-connection.ts';

/** The first and one more. */
const DIALS_MAX = 2;

export class ConnectionLease {
  readonly choice: ConnectionChoice;
  /** Of the last dial. */
  pool: EndpointPool | undefined = undefined;
  readonly #scope: ProxyScope;
  readonly #counts: ConnectionCounts;
  readonly #user: UpstreamUser;
  #dials = 0;
  #poolIndex = -1;

  constructor(
    scope: ProxyScope,
    counts: ConnectionCounts,
    user: UpstreamUser,
    choice: ConnectionChoice,
  ) {
    this.#scope = scope;
    this.#counts = counts;
    this.#user = user;
    this.choice = choice;
  }

  /** Whether another endpoint may be dialled after one could not be reached. */
  get mayDialAgain(): boolean {
    const { backend, pinned } = this.choice;
    return pinned === undefined && this.#dials < DIALS_MAX && backend.cluster.pools.length > 1;
  }

  /** Dials an endpoint, another than the last one; returns why that cannot be. */
  dial(): UpstreamConnection | Failure {
    this.end();
    const { backend, pinned } = this.choice;
    const { pools, state, cluster } = backend.cluster;
    const index =
      pinned === undefined
        ? pickEndpoint(cluster.balancing, state.pick, pools, this.#scope.random, this.#poolIndex)
        : pools.indexOf(pinned);
    const pool = pools[index];
    if (pool === undefined) {
      return cluster.subset === '' ? failure['no-healthy-endpoint'] : failure['subset-empty'];
    }
    this.#dials++;
    const refusal = pool.refusal();
    if (refusal !== undefined) return refusal.failure;
    this.#poolIndex = index;
    this.pool = pool;
    if (this.#isLoad) pool.inFlight++;
    const timeoutMs = connectTimeoutOf(backend.cluster, this.#scope.limits, this.mayDialAgain);
    return new UpstreamConnection(this.#scope, pool, this.#counts, this.#user, timeoutMs);
  }

  /** The connection is over, or somebody else's: it is no load any more. */
  end(): void {
    if (this.pool !== undefined && this.#isLoad) this.pool.inFlight--;
    this.pool = undefined;
  }

  /** Where it was going anyway nothing is chosen by load. */
  get #isLoad(): boolean {
    return this.choice.rule !== undefined;
  }
}
