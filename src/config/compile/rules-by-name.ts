/**
 * Rules by name: connections to addresses that nobody here knows, told apart by what they ask for.
 *
 * A service outside is often a name alone: DNS says its addresses, today these and tomorrow others. With
 * TLS the ClientHello names it. Without, nothing does; so where the unknown is refused (REGISTRY_ONLY)
 * everything on its port goes to the service, as in Istio, and never to where it was going.
 */

import { parseAddress } from '../../base/ip-address.ts';
import type { ConnectionMatch, ConnectionRule, Destination } from '../../model/routing-table.ts';
import type { Service } from '../world/service-facts.ts';
import type { BoundHost } from '../world/world.ts';
import type { CaptureParts } from './compile-capture.ts';
import type { ImportedService } from './imports.ts';

interface StrangerRules {
  readonly stranger: BoundHost;
  readonly port: number;
  readonly rules: readonly ConnectionRule[];
}

export class RulesByName {
  readonly #parts: Pick<CaptureParts, 'world' | 'connections' | 'complaints'>;
  readonly #byPort = new Map<number, ConnectionRule[]>();

  constructor(parts: Pick<CaptureParts, 'world' | 'connections' | 'complaints'>) {
    this.#parts = parts;
  }

  add(port: number, rules: readonly ConnectionRule[]): void {
    if (rules.length === 0) return;
    this.#byPort.set(port, [...(this.#byPort.get(port) ?? []), ...rules]);
  }

  /** The rules that hold for any address of the port; most services need none. */
  rulesOf(imported: ImportedService, isDenying: boolean): readonly ConnectionRule[] {
    const { connections } = this.#parts;
    const { service, port, bound } = imported;
    const { number, protocol } = port;
    if (service.addresses.length > 0 || protocol === 'http') return [];
    if (protocol === 'tls' || (protocol === 'detect' && isDenying)) {
      if (service.isHeadless && !service.isOwnEndpoint) return [];
      const rules = bound === undefined ? [] : connections.tlsRules(bound.resource, number);
      const matches = [{ sniHosts: [service.host], subnets: [] }];
      return [...rules.filter(takesNames), connections.defaultRule(service, port, matches)];
    }
    const rules = bound === undefined ? [] : connections.tcpRules(bound.resource, number);
    if (isDenying && protocol !== 'detect' && !hasAddress(service)) {
      return [...rules, connections.defaultRule(service, port)];
    }
    if (bound !== undefined && !rules.every(holdsForEndpoints)) this.#complainOfAddress(bound);
    return [];
  }

  /** Of VirtualServices whose hosts no resource defines. */
  rulesOfStrangers(strangers: readonly BoundHost[]): readonly StrangerRules[] {
    const { connections } = this.#parts;
    const found: StrangerRules[] = [];
    for (const stranger of strangers) {
      const { resource, host } = stranger;
      const isAddress = parseAddress(host) !== undefined;
      if (!isAddress && resource.spec.tcp !== undefined) this.#complainOfAddress(stranger);
      for (const port of this.#portsOf(stranger)) {
        const byName = connections.tlsRules(resource, port);
        const others = isAddress ? connections.tcpRules(resource, port) : [];
        const rules = [...byName, ...others];
        if (rules.length > 0) found.push({ stranger, port, rules });
      }
    }
    return found;
  }

  /** One for each port that has such rules, for every address. */
  destinations(listeners: ReadonlyMap<number, string>): readonly Destination[] {
    return [...this.#byPort].map(([port, rules]) => {
      const byName = uniqueRules(rules.filter(takesNames));
      const others = uniqueRules(rules.filter((rule) => !takesNames(rule)));
      const listener = listeners.get(port) ?? '';
      const protocol = byName.length > 0 ? 'tls' : 'tcp';
      return {
        address: '',
        prefix: 0,
        port,
        kind: 'service',
        protocol: listener === '' ? protocol : 'detect',
        service: '',
        listener,
        connectionRules: [...byName, ...others],
      };
    });
  }

  /** Those that its matches say, else those of what it leads to. */
  #portsOf({ resource }: BoundHost): ReadonlySet<number> {
    const { tls = [], tcp = [] } = resource.spec;
    const ports = new Set<number>();
    for (const { match, route } of [...tls, ...tcp]) {
      const said = (match ?? []).map(({ port }) => port);
      for (const port of said) if (port !== undefined) ports.add(port);
      if (match !== undefined && !said.includes(undefined)) continue;
      for (const { destination } of route) {
        const service = this.#parts.world.findService(destination.host, resource.namespace);
        if (destination.port !== undefined) ports.add(destination.port.number);
        else for (const { number } of service?.ports ?? []) ports.add(number);
      }
    }
    return ports;
  }

  #complainOfAddress({ host, at }: BoundHost): void {
    const message = `\`${host}\` has no address of its own here, so its \`tcp\` rules take no connection`;
    const fix =
      'Give its ServiceEntry `addresses`, or its Service a `clusterIP`; or write the address as the host.';
    this.#parts.complaints.add('rule-without-address', at, message, fix);
  }
}

/** Whether a rule takes nothing but TLS for certain names. */
export function takesNames({ matches }: ConnectionRule): boolean {
  return matches.length > 0 && matches.every(({ sniHosts }) => sniHosts.length > 0);
}

/**
 * Who dials an endpoint means that one: shares of a service are not for it. What somebody wrote for the
 * name that a ClientHello asks for is, as with requests, and so is what is written for addresses.
 */
export function holdsForEndpoints({ matches }: ConnectionRule): boolean {
  const isNarrow = ({ sniHosts, subnets }: ConnectionMatch) => sniHosts.length + subnets.length > 0;
  return matches.length > 0 && matches.every(isNarrow);
}

function hasAddress({ endpoints }: Service): boolean {
  return endpoints.some(({ address }) => parseAddress(address) !== undefined);
}

/** A VirtualService for several hosts comes with each of them. */
export function uniqueRules(rules: readonly ConnectionRule[]): readonly ConnectionRule[] {
  const seen = new Map<string, ConnectionRule>();
  for (const rule of rules) if (!seen.has(rule.identity)) seen.set(rule.identity, rule);
  return [...seen.values()];
}
