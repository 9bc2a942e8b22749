/**
 * Compile gateways: the ports on which a workload takes what comes from outside, as its Gateways say.
 *
 *   Gateways that select the workload ── servers ──by address and port──► one listener each
 *        ▲ named by                        └─ hosts: the server that names a host most exactly has it
 *   VirtualServices ── http ──► virtual hosts of the servers that take requests
 *                   └─ tls ───► rules for connections, of those that pass TLS through
 *
 * A host of a server that no VirtualService binds is a virtual host without rules: what is asked for there
 * has no route, whatever a wildcard of another server says.
 */

import type {
  ConnectionRule,
  GatewayServer,
  Listener,
  VirtualHost,
} from '../../model/routing-table.ts';
import type { GatewayServerSpec } from '../resource/gateway.ts';
import { covers } from '../resource/host-names.ts';
import { carries } from '../resource/labels.ts';
import {
  type GatewayResource,
  resourceName,
  type VirtualServiceResource,
} from '../resource/resource.ts';
import type { Labels } from '../resource/values.ts';
import { type Complaints, type Place, placeText } from '../syntax/complaints.ts';
import { complainOfTwo } from '../world/service-facts.ts';
import { isExported, type World } from '../world/world.ts';
import type { ConnectionCompiler } from './compile-connections.ts';
import type { RuleCompiler } from './compile-rules.ts';
import type { Credentials } from './gateway-credentials.ts';
import { exactnessOf, hostsAt, isBoundTo } from './gateway-world.ts';

const DEFAULT_BIND = '0.0.0.0';

interface GatewayParts {
  readonly world: World;
  readonly rules: RuleCompiler;
  readonly connections: ConnectionCompiler;
  readonly credentials: Credentials;
  readonly complaints: Complaints;
}

interface GatewayWorkload {
  readonly namespace: string;
  readonly labels: Labels;
}

/** A listener, and where to complain of it. */
export interface GatewayListener {
  readonly listener: Listener;
  readonly at: Place;
}

/** A server as it is written, with its gateway. */
interface Entry {
  readonly gateway: GatewayResource;
  readonly spec: GatewayServerSpec;
  readonly index: number;
}

/** A VirtualService that has bound a host, and how exactly it names it. */
interface Binder {
  readonly resource: VirtualServiceResource;
  readonly exactness: number;
}

/** Whether a Gateway selects the workload. */
export function isGateway(world: World, { labels }: GatewayWorkload): boolean {
  return world.gateways.some(({ spec }) => carries(labels, spec.selector));
}

export function compileGateways(
  parts: GatewayParts,
  workload: GatewayWorkload,
): readonly GatewayListener[] {
  const ports = new Map<string, Entry[]>();
  for (const gateway of parts.world.gateways) {
    if (!carries(workload.labels, gateway.spec.selector)) continue;
    gateway.spec.servers.forEach((spec, index) => {
      const key = `${spec.bind ?? DEFAULT_BIND}|${spec.port.number}`;
      const entries = ports.get(key) ?? [];
      ports.set(key, [...entries, { gateway, spec, index }]);
    });
  }
  return [...ports.values()].map((entries) => new PortWork(parts, workload, entries).listener());
}

/** One address and port. */
class PortWork {
  readonly #parts: GatewayParts;
  readonly #workload: GatewayWorkload;
  readonly #entries: readonly Entry[];
  readonly #port: number;
  readonly #isSecure: boolean;
  /** Host to the first server that names it. */
  readonly #owners = new Map<string, Entry>();
  readonly #hosts = new Map<string, VirtualHost>();
  /** Who has bound each of them. */
  readonly #binders = new Map<string, Binder>();
  readonly #connectionRules: ConnectionRule[] = [];

  constructor(parts: GatewayParts, workload: GatewayWorkload, entries: readonly Entry[]) {
    this.#parts = parts;
    this.#workload = workload;
    const { port } = entries[0]!.spec;
    this.#port = port.number;
    this.#isSecure = port.protocol !== 'HTTP';
    this.#entries = entries.filter((entry) => this.#fits(entry));
  }

  listener(): GatewayListener {
    const { spec } = this.#entries[0]!;
    const address = spec.bind ?? DEFAULT_BIND;
    for (const entry of this.#entries) this.#takeHosts(entry);
    const servers = this.#entries.map((entry) => this.#server(entry));
    for (const [host] of this.#owners) {
      if (!this.#hosts.has(host)) this.#hosts.set(host, { name: host, domains: [host], rules: [] });
    }
    const listener: Listener = {
      name: `gateway|${address}|${this.#port}`,
      direction: 'outbound',
      address,
      port: this.#port,
      tls: undefined,
      virtualHosts: [...this.#hosts.values()],
      defaultHost: -1,
      gateway: {
        isSecure: this.#isSecure,
        servers,
        connectionRules: this.#connectionRules.toSorted(byExactness),
      },
    };
    return { listener, at: spec.port.at };
  }

  /** Of one port either all servers speak TLS or none. */
  #fits({ spec }: Entry): boolean {
    if ((spec.port.protocol !== 'HTTP') === this.#isSecure) return true;
    const message = `Port ${this.#port} is ${this.#isSecure ? 'TLS' : 'HTTP'} by another server`;
    const fix = 'Give this server a port of its own.';
    this.#parts.complaints.add('gateway-protocols', spec.port.at, message, fix);
    return false;
  }

  #takeHosts(entry: Entry): void {
    for (const { value, at } of entry.spec.hosts) {
      const other = this.#owners.get(value.host);
      if (other === undefined) this.#owners.set(value.host, entry);
      // Without TLS servers share their hosts, as in Istio; with it one certificate has to be chosen.
      else if (this.#isSecure && other !== entry) {
        const name = serverName(other);
        const message = `\`${value.host}\` is a host of ${name} on port ${this.#port}, which counts`;
        const fix = 'Remove it here, or give the server a port of its own.';
        this.#parts.complaints.add('gateway-host-taken', at, message, fix);
      }
    }
  }

  #server(entry: Entry): GatewayServer {
    const { spec, gateway } = entry;
    const name = serverName(entry);
    const hosts = new Set(spec.hosts.map(({ value }) => value.host));
    const action = this.#actionOf(entry);
    const tls =
      action === 'forward' && spec.tls !== undefined && this.#isSecure
        ? this.#parts.credentials.tlsOf(spec.tls, [...hosts])
        : undefined;
    const isClosed = action === 'forward' && this.#isSecure && tls === undefined;
    for (const resource of this.#parts.world.virtualServices) {
      if (!isBoundTo(resource, gateway) || !isExported(resource, this.#workload.namespace))
        continue;
      if (action === 'relay') this.#bindConnections(resource, entry);
      // Where it redirects: requests that came by https to a proxy before us are routed.
      else if (action !== 'closed') this.#bindRequests(resource, entry);
    }
    return {
      name,
      origin: placeText(spec.at),
      hosts: [...hosts].filter((host) => !this.#isSecure || this.#owners.get(host) === entry),
      action: isClosed ? 'closed' : action,
      tls,
    };
  }

  #actionOf({ gateway, spec: { port, tls, offsets } }: Entry): GatewayServer['action'] {
    if (port.protocol === 'HTTP') return tls?.httpsRedirect === true ? 'redirect' : 'forward';
    if (tls?.mode === 'passthrough') return 'relay';
    // What is wrong with it was complained of; it must serve nobody by mistake.
    const isWritten = tls !== undefined && 'tls' in offsets;
    return isWritten && gateway.isSound ? 'forward' : 'closed';
  }

  #bindRequests(resource: VirtualServiceResource, entry: Entry): void {
    if (resource.spec.http === undefined) return;
    for (const [host, exactness] of hostsAt(resource, entry.spec, entry.gateway)) {
      if (this.#isSecure && this.#ownerOf(host) !== entry) continue;
      const other = this.#binders.get(host);
      if (other?.resource === resource || (other?.exactness ?? 0) > exactness) continue;
      if (other?.exactness === exactness) this.#complainOfTwo(host, resource, other.resource);
      else {
        const rules = this.#parts.rules.rulesOf(resource, this.#port);
        this.#binders.set(host, { resource, exactness });
        this.#hosts.set(host, { name: host, domains: [host], rules });
      }
    }
  }

  #complainOfTwo(
    host: string,
    resource: VirtualServiceResource,
    other: VirtualServiceResource,
  ): void {
    const { at } = resource.spec.hosts[0]!;
    const fix = 'Join the two resources: merging is not implemented.';
    complainOfTwo(this.#parts.complaints, 'host-routed-twice', at, host, other, fix);
  }

  #bindConnections(resource: VirtualServiceResource, entry: Entry): void {
    const isOwn = (name: string) =>
      this.#ownerOf(name) === entry &&
      entry.spec.hosts.some(({ value }) => covers(value.host, name));
    for (const rule of this.#parts.connections.tlsRules(resource, this.#port)) {
      for (const { sniHosts, subnets } of rule.matches) {
        for (const name of sniHosts.filter(isOwn)) {
          this.#connectionRules.push({ ...rule, matches: [{ sniHosts: [name], subnets }] });
        }
      }
    }
  }

  /** The server whose hosts name `host`, which may be a wildcard, most exactly. */
  #ownerOf(host: string): Entry | undefined {
    let longest: string | undefined;
    for (const pattern of candidates(host)) {
      if (this.#owners.has(pattern) && covers(pattern, host)) {
        longest = pattern;
        break;
      }
    }
    return longest === undefined ? undefined : this.#owners.get(longest);
  }
}

/** Patterns that may cover `host`, the most exact one first: one step for each of its labels. */
function* candidates(host: string): Iterable<string> {
  yield host;
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    yield `*${host.slice(dot)}`;
  }
  yield '*';
}

function serverName({ gateway, index }: Entry): string {
  return `${resourceName(gateway)}/servers[${index}]`;
}

/** By the one name of each: single names first, then longer suffixes; else as they are written. */
function byExactness(first: ConnectionRule, second: ConnectionRule): number {
  const [one, other] = [exactness(first), exactness(second)];
  return one === other ? 0 : other - one;
}

function exactness({ matches }: ConnectionRule): number {
  return exactnessOf(matches[0]?.sniHosts[0] ?? '*');
}
