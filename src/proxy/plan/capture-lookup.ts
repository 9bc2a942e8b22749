/**
 * Capture lookup: what a table knows of the address that a captured connection was going to.
 *
 *   port ──► exact address ──► ranges, longest first ──► every address of the port (by SNI) ──► nothing
 *
 * Built when a table is applied; asked once for each connection, so it is two maps and, where somebody
 * wrote ranges, a short list. It decides nothing: exchange-route.ts and connection-choice.ts do.
 */

import { type AddressRange, isWithin, parseAddress, parseRange } from '../../base/ip-address.ts';
import type { ConnectionRule, Destination } from '../../model/routing-table.ts';
import type { ConnectionRules } from '../../routing/connection-rules.ts';
import type { WeightState } from '../../routing/weighted-choice.ts';
import type { BackendPlan, ClusterPlan } from './plan.ts';

/** A weighted choice of a rule for connections; no requests are counted there. */
export type ConnectionBackend = Pick<BackendPlan, 'cluster' | 'weight' | 'clusterId' | 'subsetId'>;

/** A destination made ready. */
export interface DestinationPlan {
  readonly destination: Destination;
  /** For every address that has no other on the port: nothing is known of the address itself. */
  readonly isAnyAddress: boolean;
  /** NameTable id of address and port; 0 where nothing is known of the address. */
  readonly nameId: number;
  /** Which of `connections` takes a connection. */
  readonly rules: ConnectionRules;
  readonly connections: readonly ConnectionPlan[];
  /** That its backends lead to. */
  readonly clusters: readonly ClusterPlan[];
}

/** One rule for connections. */
export interface ConnectionPlan {
  readonly rule: ConnectionRule;
  /** No VirtualService has written it. */
  readonly isDefault: boolean;
  readonly routeId: number;
  /** Shared by all destinations that have the rule. */
  readonly weights: WeightState;
  /** In the order of `rule.backends`; undefined where a broken rule names no cluster. */
  readonly backends: readonly (ConnectionBackend | undefined)[];
}

interface PortLookup {
  readonly exact: Map<string, DestinationPlan>;
  /** Longest prefix first. */
  readonly ranges: { readonly range: AddressRange; readonly plan: DestinationPlan }[];
  any: DestinationPlan | undefined;
}

export class CaptureLookup {
  readonly #ports = new Map<number, PortLookup>();

  constructor(plans: Iterable<DestinationPlan>) {
    for (const plan of plans) this.#add(plan);
    for (const { ranges } of this.#ports.values()) {
      ranges.sort((first, second) => second.range.prefix - first.range.prefix);
    }
  }

  /** @param address as `node:net` prints it, IPv4-mapped ones as IPv4 */
  find(address: string, port: number): DestinationPlan | undefined {
    const known = this.#ports.get(port);
    if (known === undefined) return undefined;
    const exact = known.exact.get(address);
    if (exact !== undefined) return exact;
    if (known.ranges.length > 0) {
      const bytes = parseAddress(address);
      for (const { range, plan } of known.ranges) {
        if (bytes !== undefined && isWithin(bytes, range)) return plan;
      }
    }
    return known.any;
  }

  #add(plan: DestinationPlan): void {
    const { address, prefix, port } = plan.destination;
    let known = this.#ports.get(port);
    if (known === undefined) {
      known = { exact: new Map(), ranges: [], any: undefined };
      this.#ports.set(port, known);
    }
    if (plan.isAnyAddress) {
      known.any = plan;
      return;
    }
    const range = parseRange(`${address}/${prefix}`);
    if (range === undefined || range.bytes.length * 8 === prefix) known.exact.set(address, plan);
    else known.ranges.push({ range, plan });
  }
}
