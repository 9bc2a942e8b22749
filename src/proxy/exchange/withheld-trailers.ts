/**
 * Withheld trailers: whether fields behind a request's body are sifted, and which ones stay behind.
 *
 * Some servers merge trailers into the head. What is taken out of a head, or judged in it, would come
 * back that way, when nobody looks any more.
 */

import type { ListenerPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';

const noNames: ReadonlySet<string> = new Set();

/** Lower-case names, beside all that have no place in trailers; undefined: trailers are let be. */
export function withheldTrailers(
  { entrance, guard, listener }: ListenerPlan,
  scope: ProxyScope,
): ReadonlySet<string> | undefined {
  const isInbound = listener.direction === 'inbound';
  if (guard?.authorizer.looksAtRequests === true) return guard.authorizer.headerNames;
  const isCleaned = entrance !== undefined || (scope.mesh !== undefined && isInbound);
  return isCleaned ? noNames : undefined;
}
