/**
 * Imports: the services and VirtualServices that `hosts` of an egress listener bring in, as in Istio.
 *
 * They become virtual hosts: of everything for a listener with a socket of its own, or port by port
 * for captured connections, whose original destination says which port of a service was meant.
 */

import type { VirtualHost } from '../../model/routing-table.ts';
import { covers, isWildcard, shortForms } from '../resource/host-names.ts';
import { mayBeHttp } from '../resource/port-protocol.ts';
import type { VirtualServiceResource } from '../resource/resource.ts';
import type { EgressHost } from '../resource/sidecar.ts';
import type { Service, ServicePort } from '../world/service-facts.ts';
import { type BoundHost, isExported, isServiceExported, type World } from '../world/world.ts';
import type { RuleCompiler } from './compile-rules.ts';

/** Where a host without a service is expected: the port of HTTP. */
const HTTP_PORT = 80;

export class Imports {
  readonly #world: World;
  /** `.` in a Sidecar is the Sidecar's namespace; visibility is the workload's. */
  readonly #own: string;
  readonly #namespace: string;
  readonly #services = new Map<string, Service>();
  /** With rules for requests. */
  readonly #bound = new Map<string, BoundHost>();
  /** With rules for connections. */
  readonly #connections = new Map<string, BoundHost>();

  constructor(world: World, own: string, namespace: string) {
    this.#world = world;
    this.#own = own;
    this.#namespace = namespace;
  }

  add(pattern: EgressHost): void {
    if (pattern.namespace === '~') return;
    const wanted = pattern.namespace === '.' ? this.#own : pattern.namespace;
    const isIn = (namespace: string) => wanted === '*' || wanted === namespace;
    for (const service of this.#candidates(pattern.host)) {
      if (!isIn(service.resource.namespace)) continue;
      if (!isServiceExported(service, this.#namespace)) continue;
      this.#services.set(service.host, service);
    }
    for (const bound of this.#world.boundHosts) {
      const { resource, host } = bound;
      if (!isIn(resource.namespace) || !isExported(resource, this.#namespace)) continue;
      // A wildcard VirtualService also reaches a single host that the pattern names.
      if (!covers(pattern.host, host) && !covers(host, pattern.host)) continue;
      const { http, tls, tcp } = resource.spec;
      if (http !== undefined) this.#bind(this.#bound, bound);
      if ((tls ?? tcp) !== undefined) this.#bind(this.#connections, bound);
    }
  }

  /** The services of each port, by host. */
  servicesByPort(): ReadonlyMap<number, readonly ImportedService[]> {
    const byPort = new Map<number, ImportedService[]>();
    const wildcards = [...this.#connections.values()].filter(({ host }) => isWildcard(host));
    const services = [...this.#services.values()];
    for (const service of services.toSorted(byHost)) {
      const bound = boundTo(service.host, this.#connections, wildcards);
      for (const port of service.ports) {
        const list = byPort.get(port.number) ?? [];
        list.push({ service, port, bound });
        byPort.set(port.number, list);
      }
    }
    return byPort;
  }

  /** Hosts with rules for connections that are no service here, by host. */
  strangers(): readonly BoundHost[] {
    const strangers = [...this.#connections.values()].filter(
      ({ host }) => !this.#services.has(host),
    );
    return strangers.toSorted(byHost);
  }

  /** The hosts of each port, for captured connections. */
  hostsByPort(): ReadonlyMap<number, ReadonlySet<string>> {
    const byPort = new Map<number, Set<string>>();
    for (const host of this.#hosts()) {
      const ports = this.#services
        .get(host)
        ?.ports.filter(mayBeHttp)
        .map(({ number }) => number);
      for (const port of ports ?? portsLedTo(this.#world, this.#bound.get(host)!.resource)) {
        byPort.set(port, (byPort.get(port) ?? new Set()).add(host));
      }
    }
    return byPort;
  }

  /** Virtual hosts of a listener with this port; of all that is imported unless `hosts` says less. */
  virtualHosts(
    rules: RuleCompiler,
    port: number,
    hosts: ReadonlySet<string> = this.#hosts(),
  ): VirtualHost[] {
    const taken = new Set(hosts);
    const claims = countClaims(hosts, this.#namespace);
    const wildcards = [...this.#bound.values()].filter(({ host }) => isWildcard(host));
    const result: VirtualHost[] = [];
    for (const host of hosts) {
      const service = this.#services.get(host);
      const bound = boundTo(host, this.#bound, wildcards);
      const domains = [host];
      for (const form of shortForms(host, this.#namespace)) {
        if (!taken.has(form) && claims.get(form) === 1) domains.push(form);
      }
      for (const address of service?.addresses ?? []) {
        if (address.includes('/') || taken.has(address)) continue;
        taken.add(address);
        domains.push(address);
      }
      const compiled =
        bound === undefined
          ? [rules.defaultRule(service!, port)]
          : rules.rulesOf(bound.resource, port);
      result.push({ name: host, domains, rules: compiled });
    }
    return result;
  }

  /** That may be asked for by HTTP. */
  #hosts(): ReadonlySet<string> {
    const services = [...this.#services.values()].filter(({ ports }) => ports.some(mayBeHttp));
    return new Set([...services.map(({ host }) => host), ...this.#bound.keys()]);
  }

  #bind(hosts: Map<string, BoundHost>, bound: BoundHost): void {
    const isNearer = bound.resource.namespace === this.#namespace;
    if (!hosts.has(bound.host) || isNearer) hosts.set(bound.host, bound);
  }

  #candidates(pattern: string): Iterable<Service> {
    if (!isWildcard(pattern)) {
      const service = this.#world.services.get(pattern);
      return service === undefined ? [] : [service];
    }
    return [...this.#world.services.values()].filter((each) => covers(pattern, each.host));
  }
}

/** A port of an imported service, and the rules for its connections, if somebody wrote any. */
export interface ImportedService {
  readonly service: Service;
  readonly port: ServicePort;
  readonly bound: BoundHost | undefined;
}

/** The VirtualService of a host: by its name, else by the longest wildcard. */
function boundTo(
  host: string,
  hosts: ReadonlyMap<string, BoundHost>,
  wildcards: readonly BoundHost[],
): BoundHost | undefined {
  const exact = hosts.get(host);
  if (exact !== undefined) return exact;
  let longest: BoundHost | undefined;
  for (const bound of wildcards) {
    if (!covers(bound.host, host)) continue;
    if (longest === undefined || bound.host.length > longest.host.length) longest = bound;
  }
  return longest;
}

function byHost(first: { readonly host: string }, second: { readonly host: string }): number {
  return first.host < second.host ? -1 : Number(first.host > second.host);
}

/** A host that is no service may be called on the ports of the services that it leads to. */
export function portsLedTo(
  world: World,
  { spec, namespace }: VirtualServiceResource,
): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const { destination } of (spec.http ?? []).flatMap(({ route }) => route)) {
    const service = world.findService(destination.host, namespace);
    if (destination.port !== undefined || service === undefined) {
      ports.add(destination.port?.number ?? HTTP_PORT).add(HTTP_PORT);
    } else for (const { number } of service.ports) ports.add(number);
  }
  return ports;
}

/** How many of the hosts could be meant by each short form. */
function countClaims(hosts: Iterable<string>, namespace: string): ReadonlyMap<string, number> {
  const claims = new Map<string, number>();
  for (const host of hosts) {
    for (const form of shortForms(host, namespace)) claims.set(form, (claims.get(form) ?? 0) + 1);
  }
  return claims;
}
