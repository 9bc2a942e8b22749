/**
 * Entrance planner: the entrances of a table's gateways, with what their relayed connections lead to.
 *
 * Rules of connections are made ready by a DestinationPlanner, as if a gateway's port were an address that
 * everybody dials: windows of weighted choices go on from table to table in the same way.
 */

import type { ConnectionRule, Destination, Listener } from '../../model/routing-table.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { TlsServer } from '../tls/tls-server.ts';
import type { CaptureLookup } from './capture-lookup.ts';
import type { ClusterKeeper } from './cluster-keeper.ts';
import { DestinationPlanner } from './destination-planner.ts';
import { Entrance } from './entrance.ts';

const HTTPS_PORT = 443;

export class EntrancePlanner {
  readonly #relays: DestinationPlanner;
  /** The same rules are the same destination in the next table. */
  readonly #known = new WeakMap<readonly ConnectionRule[], Destination>();
  #lookup: CaptureLookup | undefined;
  #httpsPort = HTTPS_PORT;

  constructor(scope: ProxyScope, clusters: ClusterKeeper) {
    this.#relays = new DestinationPlanner(scope, clusters);
  }

  /** Those of a table follow; its clusters have been taken. */
  take(listeners: readonly Listener[]): void {
    const secure = listeners.filter(({ gateway }) => gateway?.isSecure === true);
    const ports = secure.map(({ port }) => port);
    this.#httpsPort = ports.includes(HTTPS_PORT) ? HTTPS_PORT : (ports[0] ?? HTTPS_PORT);
    const destinations = secure.flatMap((listener) => this.#destinationOf(listener) ?? []);
    this.#lookup = this.#relays.lookupOf(destinations);
  }

  of(
    listener: Listener,
    tlsOf: (settings: Listener['tls']) => TlsServer | undefined,
  ): Entrance | undefined {
    const { gateway, port } = listener;
    if (gateway === undefined) return undefined;
    const destination = this.#destinationOf(listener);
    const relay = destination && this.#lookup?.find(destination.address, port);
    return new Entrance(gateway, ({ tls }) => tlsOf(tls), relay, this.#httpsPort);
  }

  #destinationOf({ gateway, address, port }: Listener): Destination | undefined {
    const rules = gateway?.connectionRules ?? [];
    if (rules.length === 0) return undefined;
    let known = this.#known.get(rules);
    if (known === undefined) {
      known = {
        address,
        prefix: address.includes(':') ? 128 : 32,
        port,
        kind: 'service',
        protocol: 'tls',
        service: '',
        listener: '',
        connectionRules: rules,
      };
      this.#known.set(rules, known);
    }
    return known;
  }
}
