/**
 * What listeners are for, and which of them must not change yet because of ports that are not free.
 *
 * Two addresses of one edit may exchange what they are for: `reviews` moves from 9080 to 9081, and 9080
 * becomes `ratings`. While 9081 cannot be had, a caller of `reviews` at 9080 must not get `ratings`; so
 * 9080 keeps what it was. Changes that move nothing to a listener which is not open (weights, rules,
 * endpoints, other addresses) are not concerned: a port that is taken harms nothing else.
 */

import type { ListenerPlan } from './plan/plan.ts';

/** A listener as it is to be, and what serves at its address until then. */
export interface Succession {
  readonly next: ListenerPlan;
  /** Plans that it ends; empty for a new address. */
  readonly before: readonly ListenerPlan[];
}

/**
 * Those that have to wait, with the name of the listener that each of them waits for. `unopened`: plans
 * of the same table that are not in force and cannot be now.
 */
export function findHeldBack(
  successions: readonly Succession[],
  unopened: readonly ListenerPlan[],
): ReadonlyMap<ListenerPlan, string> {
  /** What no listener serves yet -> the one that shall. */
  const missing = new Map<string, string>();
  for (const plan of unopened) {
    for (const what of meaningOf(plan)) missing.set(what, plan.listener.name);
  }
  const heldBack = new Map<ListenerPlan, string>();
  // One that is held back serves nothing new either, which may hold back another.
  for (let isSettled = missing.size === 0; !isSettled; ) {
    isSettled = true;
    for (const { next, before } of successions) {
      if (heldBack.has(next)) continue;
      const serves = meaningOf(next);
      const served = new Set(before.flatMap((plan) => [...meaningOf(plan)]));
      const moved = [...served].find((what) => !serves.has(what) && missing.has(what));
      if (moved === undefined) continue;
      heldBack.set(next, missing.get(moved)!);
      for (const what of serves) {
        if (!served.has(what)) missing.set(what, next.listener.name);
      }
      isSettled = false;
    }
  }
  return heldBack;
}

/** Outbound: the services that it leads to; inbound: the application's addresses. */
function meaningOf({ listener, hosts }: ListenerPlan): ReadonlySet<string> {
  if (listener.direction === 'outbound') {
    return new Set(listener.virtualHosts.map(({ name }) => `outbound ${name}`));
  }
  const endpoints = [...hosts.values()]
    .flatMap(({ clusters }) => clusters)
    .flatMap(({ cluster }) => cluster.endpoints);
  return new Set(endpoints.map(({ address, port }) => `inbound ${address} ${port}`));
}
