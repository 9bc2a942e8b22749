/**
 * The attempts of one exchange: how many there were, and whether another one is safe.
 *
 * Each attempt has the lease of one connection. Where a failure is no proof that nothing has happened
 * upstream, there is no other attempt; the budget of all exchanges together stops storms.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { Failure } from '../../model/failure.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import type { ClusterPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import { isRepeatable } from './retry-rule.ts';
import type { UpstreamLease } from './upstream-lease.ts';

/** The first and one more. */
const ATTEMPTS_MAX = 2;

export class Attempts {
  readonly #scope: ProxyScope;
  readonly #lease: UpstreamLease;
  #count = 0;

  constructor(scope: ProxyScope, lease: UpstreamLease) {
    this.#scope = scope;
    this.#lease = lease;
  }

  /** A new exchange. */
  begin(): void {
    this.#count = 0;
    this.#lease.begin();
  }

  /**
   * Begins an attempt: gets a connection, `isFresh`: one that is dialled; to `pinned`, if that is given.
   * Returns why it cannot be.
   */
  acquire(
    cluster: ClusterPlan,
    isFresh: boolean,
    pinned: EndpointPool | undefined,
  ): Failure | undefined {
    this.#count++;
    const hasOther = this.#count < ATTEMPTS_MAX && pinned === undefined && cluster.pools.length > 1;
    return this.#lease.acquire(cluster, isFresh, pinned, hasOther);
  }

  /** Whether what failed with `what` at `stage` (an `AttemptStage`) may be sent again, at once. */
  mayRepeat(
    what: Failure,
    head: MessageHead,
    stage: number,
    endpoints: number,
    now: Milliseconds,
  ): boolean {
    if (this.#lease.upstream === undefined || this.#count >= ATTEMPTS_MAX) return false;
    if (!isRepeatable(what, head, stage, endpoints)) return false;
    return this.#scope.retryBudget.take(now);
  }

  /** Gives the failed attempt up; the next one follows. */
  giveUp(): void {
    this.#lease.destroy(true);
    this.#scope.counts.retries++;
  }
}
