/**
 * Compile outbound: an egress listener of a Sidecar to a listener with its virtual hosts.
 *
 * `hosts` says which services and VirtualServices the listener imports, as in Istio. A listener that
 * names exactly one host takes every authority as that host's, because an application without capture
 * sends `127.0.0.1:PORT` there.
 */

import type { Listener, VirtualHost } from '../model/routing-table.ts';
import { makePlainRule, type RuleCompiler } from './compile-rules.ts';
import { covers, isWildcard, shortForms } from './host-names.ts';
import { resourceName, type SidecarResource } from './resource.ts';
import type { EgressHost, SidecarSpec } from './sidecar.ts';
import { type BoundHost, isExported, type Service, type World } from './world.ts';

export type EgressListener = NonNullable<SidecarSpec['egress']>[number];
const DEFAULT_BIND = '127.0.0.1';

/** The table's listener; undefined when it has no port, which was complained of. */
export function compileOutbound(
  listener: EgressListener,
  sidecar: SidecarResource,
  world: World,
  rules: RuleCompiler,
  namespace: string,
): Listener | undefined {
  if (listener.port === undefined) return undefined;
  const address = listener.bind ?? DEFAULT_BIND;
  const port = listener.port.number;
  const imported = new Imports(world, sidecar.namespace, namespace);
  for (const { value } of listener.hosts) imported.add(value);
  const virtualHosts = imported.virtualHosts(rules, port);
  const only = onlyHost(listener);
  let defaultHost = -1;
  if (only !== undefined) {
    defaultHost = virtualHosts.findIndex((each) => each.name === only);
    if (defaultHost === -1) {
      defaultHost = virtualHosts.length;
      virtualHosts.push(missingHost(only, listener, sidecar));
    }
  }
  return {
    name: `outbound|${address}|${port}`,
    direction: 'outbound',
    address,
    port,
    virtualHosts,
    defaultHost,
  };
}

/** The host of a listener that names exactly one, without a wildcard. */
function onlyHost(listener: EgressListener): string | undefined {
  const names = new Set(listener.hosts.map(({ value }) => value.host));
  const [only] = names;
  return names.size === 1 && only !== undefined && !isWildcard(only) ? only : undefined;
}

/** Stands for the one host of a listener that nothing defines: it fails closed. */
function missingHost(
  name: string,
  listener: EgressListener,
  sidecar: SidecarResource,
): VirtualHost {
  const { at } = listener.hosts[0]!;
  const rule = makePlainRule({
    identity: `${resourceName(sidecar)}/${at.path}`,
    resource: `Sidecar ${resourceName(sidecar)}`,
    route: resourceName(sidecar),
    index: 0,
    at,
    cluster: -1,
    broken: 'no-backend',
  });
  return { name, domains: [name], rules: [rule] };
}

/** What a listener's `hosts` bring in. */
class Imports {
  readonly #world: World;
  /** `.` in a Sidecar is the Sidecar's namespace; visibility is the workload's. */
  readonly #own: string;
  readonly #namespace: string;
  readonly #services = new Map<string, Service>();
  readonly #bound = new Map<string, BoundHost>();

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
      if (!isIn(service.entry.namespace) || !isExported(service.entry, this.#namespace)) continue;
      this.#services.set(service.host, service);
    }
    for (const bound of this.#world.boundHosts) {
      const { resource, host } = bound;
      if (!isIn(resource.namespace) || !isExported(resource, this.#namespace)) continue;
      // A wildcard VirtualService also reaches a single host that the pattern names.
      if (!covers(pattern.host, host) && !covers(host, pattern.host)) continue;
      const other = this.#bound.get(host);
      const isNearer = resource.namespace === this.#namespace;
      if (other === undefined || isNearer) this.#bound.set(host, bound);
    }
  }

  virtualHosts(rules: RuleCompiler, port: number): VirtualHost[] {
    const hosts = new Set([...this.#services.keys(), ...this.#bound.keys()]);
    const taken = new Set(hosts);
    const claims = countClaims(hosts, this.#namespace);
    const result: VirtualHost[] = [];
    for (const host of hosts) {
      const service = this.#services.get(host);
      const bound = this.#boundTo(host);
      const domains = [host];
      for (const form of shortForms(host, this.#namespace)) {
        if (!taken.has(form) && claims.get(form) === 1) domains.push(form);
      }
      for (const address of service?.entry.spec.addresses ?? []) {
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

  #candidates(pattern: string): Iterable<Service> {
    if (!isWildcard(pattern)) {
      const service = this.#world.services.get(pattern);
      return service === undefined ? [] : [service];
    }
    return [...this.#world.services.values()].filter((each) => covers(pattern, each.host));
  }

  /** The VirtualService of a host: by its name, else by the longest wildcard. */
  #boundTo(host: string): BoundHost | undefined {
    const exact = this.#bound.get(host);
    if (exact !== undefined) return exact;
    let longest: BoundHost | undefined;
    for (const bound of this.#bound.values()) {
      if (!isWildcard(bound.host) || !covers(bound.host, host)) continue;
      if (longest === undefined || bound.host.length > longest.host.length) longest = bound;
    }
    return longest;
  }
}

/** How many of the hosts could be meant by each short form. */
function countClaims(hosts: Iterable<string>, namespace: string): ReadonlyMap<string, number> {
  const claims = new Map<string, number>();
  for (const host of hosts) {
    for (const form of shortForms(host, namespace)) claims.set(form, (claims.get(form) ?? 0) + 1);
  }
  return claims;
}
