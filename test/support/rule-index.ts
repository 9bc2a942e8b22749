/**
 * A route index that answers with the rule itself: what tests and micro benchmarks ask it for.
 */

import type { Listener, Rule } from '../../src/model/routing-table.ts';
import { HostIndex, RouteIndex } from '../../src/routing/route-index.ts';

export function ruleIndex(listener: Listener): RouteIndex<Rule> {
  const hosts = listener.virtualHosts.map((host) => new HostIndex(host, host.rules));
  return new RouteIndex(listener, hosts);
}
