/**
 * Compile connections: `tls` and `tcp` of a VirtualService, or a service's default, to rules for
 * connections that are not read.
 *
 * As with rules for requests a rule whose destination does not exist is kept and refuses what it takes.
 * They are compiled each time: there are few of them, and edits of them change the plan's destinations.
 */

import type { Cause } from '../../model/failure.ts';
import {
  type Backend,
  type Cluster,
  type ConnectionMatch,
  type ConnectionRule,
  noHeaderEdits,
} from '../../model/routing-table.ts';
import type { ConnectionRoute } from '../resource/connection-route.ts';
import { resourceName, type VirtualServiceResource } from '../resource/resource.ts';
import { type Complaints, placeText } from '../syntax/complaints.ts';
import type { Service, ServicePort } from '../world/service-facts.ts';
import type { World } from '../world/world.ts';
import type { ClusterList } from './compile-clusters.ts';
import { WHOLE_WEIGHT } from './compile-rules.ts';
import { complainOf, isProblem, resolveDestination } from './resolve.ts';

export class ConnectionCompiler {
  readonly #world: World;
  readonly #clusters: ClusterList;
  readonly #complaints: Complaints;
  readonly #namespace: string;

  constructor(world: World, clusters: ClusterList, complaints: Complaints, namespace: string) {
    this.#world = world;
    this.#clusters = clusters;
    this.#complaints = complaints;
    this.#namespace = namespace;
  }

  /** The rules of `tls` that hold on a port. */
  tlsRules(resource: VirtualServiceResource, port: number): readonly ConnectionRule[] {
    return this.#rules(resource, 'tls', resource.spec.tls ?? [], port);
  }

  /** The rules of `tcp` that hold on a port. */
  tcpRules(resource: VirtualServiceResource, port: number): readonly ConnectionRule[] {
    return this.#rules(resource, 'tcp', resource.spec.tcp ?? [], port);
  }

  /** Everything that matches goes to all of the service. */
  defaultRule(
    service: Service,
    port: ServicePort,
    matches: readonly ConnectionMatch[] = [],
  ): ConnectionRule {
    const { resource, host, at } = service;
    const rule = this.#world.findRule(service, this.#namespace);
    const cluster = this.#clusters.outbound({ service, port, rule, subset: undefined }, port);
    return {
      identity: `${resourceName(resource)}/${host}:${port.number}`,
      resource: `${resource.kind} ${resourceName(resource)}`,
      route: resourceName(resource),
      index: 0,
      origin: placeText(at),
      matches,
      backends: [backendOf(cluster, WHOLE_WEIGHT)],
      broken: resource.isSound ? undefined : 'no-backend',
    };
  }

  #rules(
    resource: VirtualServiceResource,
    kind: 'tls' | 'tcp',
    routes: readonly ConnectionRoute[],
    port: number,
  ): ConnectionRule[] {
    const rules: ConnectionRule[] = [];
    for (const [index, route] of routes.entries()) {
      const matches = matchesOn(port, route);
      if (matches === undefined) continue;
      rules.push({
        identity: `${resourceName(resource)}/${kind}[${index}]`,
        resource: `VirtualService ${resourceName(resource)}`,
        route: resourceName(resource),
        index,
        origin: placeText(route.at),
        matches,
        ...this.#backends(resource, route, port),
      });
    }
    return rules;
  }

  #backends(
    resource: VirtualServiceResource,
    { route }: ConnectionRoute,
    port: number,
  ): Pick<ConnectionRule, 'backends' | 'broken'> {
    const view = { namespace: this.#namespace, port };
    const backends: Backend[] = [];
    let broken: Cause | undefined = resource.isSound ? undefined : 'no-backend';
    let canAnswer = false;
    for (const { destination, weight = route.length === 1 ? WHOLE_WEIGHT : 0 } of route) {
      const found = resolveDestination(this.#world, destination, resource.namespace, view);
      if (isProblem(found)) {
        complainOf(found, this.#complaints);
        if (weight > 0) broken ??= found.cause;
      }
      // A destination with weight 0 may be missing: it is often written before it exists.
      if (isProblem(found) && weight === 0) continue;
      const isFound = !isProblem(found) && found.port !== undefined;
      const cluster = isFound ? this.#clusters.outbound(found, found.port!) : undefined;
      backends.push(backendOf(cluster, weight));
      canAnswer ||= weight > 0 && (cluster?.endpoints.length ?? 0) > 0;
    }
    if (broken === undefined && !canAnswer) broken = 'subset-empty';
    return { backends, broken };
  }
}

/** The conditions of a rule on a port, none for always; undefined when it is for other ports. */
function matchesOn(port: number, { match }: ConnectionRoute): ConnectionMatch[] | undefined {
  if (match === undefined) return [];
  const matches: ConnectionMatch[] = [];
  for (const each of match) {
    if (each.port !== undefined && each.port !== port) continue;
    const sniHosts = 'sniHosts' in each ? each.sniHosts.map(({ value }) => value) : [];
    matches.push({ sniHosts, subnets: each.destinationSubnets ?? [] });
  }
  return matches.length === 0 ? undefined : matches;
}

function backendOf(cluster: Cluster | undefined, weight: number): Backend {
  return {
    cluster: cluster?.name ?? '',
    weight,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
  };
}
