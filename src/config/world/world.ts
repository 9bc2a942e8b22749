/**
 * World: all resources of one reading, found by what they are about.
 *
 * Services by host, VirtualServices and DestinationRules by the hosts that they bind. Where two say
 * something about the same host the first (by file, then line) counts and the second is complained of,
 * naming both. What a workload may see of it (exportTo, Sidecar) is asked by its namespace.
 */

import { usualTrustDomain } from '../../model/security.ts';
import { covers, fullName, isWildcard } from '../resource/host-names.ts';
import type {
  DestinationRuleResource,
  GatewayResource,
  PeerAuthenticationResource,
  PolicyResource,
  Resource,
  SecretResource,
  SidecarResource,
  TelemetryResource,
  VirtualServiceResource,
} from '../resource/resource.ts';
import type { Complaints, Place } from '../syntax/complaints.ts';
import { EndpointIdentities } from './endpoint-identity.ts';
import { PeerModes } from './peer-modes.ts';
import { complainOfTwo, gatherServices, type Service } from './service-facts.ts';

/** One host that a VirtualService binds, by its full name. */
export interface BoundHost {
  readonly host: string;
  readonly resource: VirtualServiceResource;
  readonly at: Place;
}

/** As in Istio, unless somebody says otherwise. */
export const usualRootNamespace = 'istio-system';

/** Names that hold for the whole mesh. */
interface MeshNames {
  readonly rootNamespace?: string;
  readonly trustDomain?: string;
}

export class World {
  readonly services: ReadonlyMap<string, Service>;
  readonly boundHosts: readonly BoundHost[];
  readonly sidecars: readonly SidecarResource[];
  readonly virtualServices: readonly VirtualServiceResource[];
  readonly destinationRules: readonly DestinationRuleResource[];
  readonly gateways: readonly GatewayResource[];
  readonly secrets: readonly SecretResource[];
  readonly telemetries: readonly TelemetryResource[];
  readonly peerAuthentications: readonly PeerAuthenticationResource[];
  readonly policies: readonly PolicyResource[];
  readonly peerModes: PeerModes;
  readonly identities: EndpointIdentities;
  /** Full host to its rules, one of each namespace. */
  readonly #rulesByHost = new Map<string, DestinationRuleResource[]>();
  /** Service to the rules that cover it, made when first asked for. */
  readonly #rulesOfService = new Map<string, readonly DestinationRuleResource[]>();
  readonly #hints = new Map<string, string>();
  /** Hosts of wildcard rules, longest first; made when first asked for. */
  #wildcards: readonly string[] | undefined;

  constructor(
    resources: readonly Resource[],
    complaints: Complaints,
    { rootNamespace = usualRootNamespace, trustDomain = usualTrustDomain }: MeshNames = {},
  ) {
    this.sidecars = resources.filter((each) => each.kind === 'Sidecar');
    this.virtualServices = resources.filter((each) => each.kind === 'VirtualService');
    this.destinationRules = resources.filter((each) => each.kind === 'DestinationRule');
    this.secrets = resources.filter((each) => each.kind === 'Secret');
    this.gateways = resources.filter((each) => each.kind === 'Gateway');
    this.telemetries = resources.filter((each) => each.kind === 'Telemetry');
    const peers = resources.filter((each) => each.kind === 'PeerAuthentication');
    this.peerAuthentications = peers;
    this.policies = resources.filter(
      (each) => each.kind === 'AuthorizationPolicy' || each.kind === 'RequestAuthentication',
    );
    this.peerModes = new PeerModes(peers, rootNamespace, complaints);
    this.identities = new EndpointIdentities(this.peerModes, trustDomain);
    this.services = gatherServices(resources, complaints);
    this.boundHosts = indexHosts(this.virtualServices, complaints);
    this.#indexRules(complaints);
  }

  /** The service that `written` means in a resource of `namespace`: by full name, else as it is. */
  findService(written: string, namespace: string): Service | undefined {
    return this.services.get(fullName(written, namespace)) ?? this.services.get(written);
  }

  /**
   * The DestinationRule of a service as a workload of `namespace` sees it: of the caller's namespace,
   * else of the service's, else, when no caller is given, of any.
   */
  findRule(service: Service, namespace: string | undefined): DestinationRuleResource | undefined {
    const found = this.#rulesFor(service.host);
    const own = found.find((each) => each.namespace === namespace);
    if (own !== undefined) return own;
    const provider = found.find((each) => each.namespace === service.resource.namespace);
    if (namespace === undefined) return provider ?? found[0];
    return provider !== undefined && isExported(provider, namespace) ? provider : undefined;
  }

  /** What to suggest for a host that nothing defines; made once for each, as it asks every service. */
  hintFor(written: string, namespace: string, make: () => string): string {
    const key = `${namespace}/${written}`;
    const hint = this.#hints.get(key) ?? make();
    this.#hints.set(key, hint);
    return hint;
  }

  /** Exact rules before wildcards, longer wildcards first. */
  #rulesFor(host: string): readonly DestinationRuleResource[] {
    const known = this.#rulesOfService.get(host);
    if (known !== undefined) return known;
    const found = [...(this.#rulesByHost.get(host) ?? [])];
    this.#wildcards ??= [...this.#rulesByHost.keys()]
      .filter(isWildcard)
      .toSorted((first, second) => second.length - first.length);
    for (const each of this.#wildcards) {
      if (covers(each, host)) found.push(...this.#rulesByHost.get(each)!);
    }
    this.#rulesOfService.set(host, found);
    return found;
  }

  #indexRules(complaints: Complaints): void {
    for (const rule of this.destinationRules) {
      const service = this.findService(rule.spec.host, rule.namespace);
      const host = service?.host ?? fullName(rule.spec.host, rule.namespace);
      const sameHost = this.#rulesByHost.get(host) ?? [];
      const other = sameHost.find((each) => each.namespace === rule.namespace);
      if (other === undefined) {
        this.#rulesByHost.set(host, [...sameHost, rule]);
        continue;
      }
      const place = { ...rule.spec.at, path: 'spec.host', offset: rule.spec.offsets.host! };
      const fix = 'Join the two resources: merging is not implemented.';
      complainOfTwo(complaints, 'host-ruled-twice', place, host, other, fix);
    }
  }
}

/** Whether a workload of `namespace` may see the resource. */
export function isExported(
  resource: VirtualServiceResource | DestinationRuleResource,
  namespace: string,
): boolean {
  return isSeenFrom(namespace, resource.namespace, resource.spec.exportTo);
}

/** Whether a workload of `namespace` may see the service. */
export function isServiceExported({ resource, exportTo }: Service, namespace: string): boolean {
  return isSeenFrom(namespace, resource.namespace, exportTo);
}

function isSeenFrom(
  namespace: string,
  home: string,
  exportTo: readonly string[] | undefined,
): boolean {
  return home === namespace || exportTo === undefined || exportTo.includes('*');
}

/** Whether a VirtualService is for sidecars: no `gateways`, or `mesh` among them. */
export function isBoundToMesh(resource: VirtualServiceResource): boolean {
  const { gateways } = resource.spec;
  return gateways === undefined || gateways.some((gateway) => gateway.value === 'mesh');
}

function indexHosts(
  resources: readonly VirtualServiceResource[],
  complaints: Complaints,
): readonly BoundHost[] {
  const bound: BoundHost[] = [];
  const byHost = new Map<string, BoundHost[]>();
  for (const resource of resources) {
    if (!isBoundToMesh(resource)) continue;
    for (const { value, at } of resource.spec.hosts) {
      const host = fullName(value, resource.namespace);
      const sameHost = byHost.get(host) ?? [];
      const other = sameHost.find((each) => meet(each.resource, resource));
      if (other !== undefined) {
        if (other.resource === resource) {
          const message = `\`${host}\` stands twice in this list`;
          complaints.add('duplicate-host', at, message, 'Remove one of the two.');
        } else {
          const fix = 'Join the two resources: merging is not implemented.';
          complainOfTwo(complaints, 'host-routed-twice', at, host, other.resource, fix);
        }
        continue;
      }
      const added = { host, resource, at };
      bound.push(added);
      byHost.set(host, [...sameHost, added]);
    }
  }
  return bound;
}

/** Whether some workload sees both. */
function meet(first: VirtualServiceResource, second: VirtualServiceResource): boolean {
  return isExported(first, second.namespace) || isExported(second, first.namespace);
}
