/**
 * Compile rules: the entries of a VirtualService, or a service's default, to rules of the table.
 *
 * A rule whose destination does not exist is kept, with its match, and answers with a named failure: a
 * request that it takes must not fall through to a rule that was never meant for it.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { Cause } from '../../model/failure.ts';
import { type Backend, type Cluster, noHeaderEdits, type Rule } from '../../model/routing-table.ts';
import { noEdits } from '../resource/header-rules.ts';
import { toNamed } from '../resource/http-rule-checks.ts';
import {
  type DestinationRuleResource,
  resourceName,
  type VirtualServiceResource,
} from '../resource/resource.ts';
import type { VirtualServiceSpec } from '../resource/virtual-service.ts';
import { type Complaints, type Place, placeText } from '../syntax/complaints.ts';
import type { Service } from '../world/service-facts.ts';
import type { World } from '../world/world.ts';
import type { ClusterList } from './compile-clusters.ts';
import type { CompileMemory } from './compile-memory.ts';
import {
  complainOf,
  isProblem,
  type Problem,
  portFor,
  type Resolved,
  resolveDestination,
  type View,
} from './resolve.ts';

type HttpRule = NonNullable<VirtualServiceSpec['http']>[number];
type Route = HttpRule['route'][number];

const NO_TIMEOUT: Milliseconds = Number.POSITIVE_INFINITY;
/** Of a single destination without a weight: all of it. */
export const WHOLE_WEIGHT = 100;

export class RuleCompiler {
  readonly #world: World;
  readonly #clusters: ClusterList;
  readonly #complaints: Complaints;
  readonly #namespace: string;
  readonly #memory: CompileMemory;
  /** Of this compilation, those with problems too. */
  readonly #compiled = new Map<VirtualServiceResource, Map<number, readonly Rule[]>>();

  constructor(
    world: World,
    clusters: ClusterList,
    complaints: Complaints,
    namespace: string,
    memory: CompileMemory,
  ) {
    this.#world = world;
    this.#clusters = clusters;
    this.#complaints = complaints;
    this.#namespace = namespace;
    this.#memory = memory;
  }

  /** The rules of a VirtualService on a listener with this port; made once for each port. */
  rulesOf(resource: VirtualServiceResource, listenerPort: number): readonly Rule[] {
    const byPort = this.#compiled.get(resource) ?? new Map<number, readonly Rule[]>();
    this.#compiled.set(resource, byPort);
    const known = byPort.get(listenerPort);
    if (known !== undefined) return known;
    const rules = this.#remembered(resource, listenerPort) ?? this.#compile(resource, listenerPort);
    byPort.set(listenerPort, rules);
    return rules;
  }

  #remembered(resource: VirtualServiceResource, listenerPort: number): readonly Rule[] | undefined {
    const memo = this.#memory.routesOf(resource, this.#world, this.#namespace);
    const known = memo.byPort.get(listenerPort);
    for (const cluster of known?.clusters ?? []) this.#clusters.add(cluster);
    return known?.rules;
  }

  #compile(resource: VirtualServiceResource, listenerPort: number): readonly Rule[] {
    const work: RuleWork = {
      resource,
      view: { namespace: this.#namespace, port: listenerPort },
      clusters: new Map(),
      isClean: true,
    };
    const rules = (resource.spec.http ?? []).map((rule, index) => this.#rule(rule, index, work));
    const memo = this.#memory.routesOf(resource, this.#world, this.#namespace);
    if (work.isClean) {
      memo.byPort.set(listenerPort, { rules, clusters: [...work.clusters.values()] });
    } else memo.hasProblem = true;
    return rules;
  }

  /** The only rule of a service that no VirtualService binds: everything goes to all of it. */
  defaultRule(service: Service, listenerPort: number): Rule {
    const rule = this.#world.findRule(service, this.#namespace);
    const known = this.#memory.defaultOf(service, listenerPort, rule);
    if (known !== undefined) {
      for (const cluster of known.clusters) this.#clusters.add(cluster);
      return known.rules[0]!;
    }
    return this.#makeDefault(service, listenerPort, rule);
  }

  #makeDefault(
    service: Service,
    listenerPort: number,
    rule: DestinationRuleResource | undefined,
  ): Rule {
    const { resource } = service;
    const port = portFor(service, listenerPort);
    const resolved: Resolved = { service, port, rule, subset: undefined };
    if (port === undefined) {
      const numbers = service.ports.map((each) => each.number).join(', ');
      const message = `\`${service.host}\` has several ports (${numbers}) and none is the listener's`;
      const fix = `Give the listener the number of one, or add a VirtualService that names it.`;
      this.#complaints.add('unknown-port', service.at, `${message} (${listenerPort})`, fix);
    }
    const cluster = port && this.#clusters.outbound(resolved, port);
    const made = makePlainRule({
      identity: `${resourceName(resource)}/${service.host}:${port?.number ?? listenerPort}`,
      resource: `${resource.kind} ${resourceName(resource)}`,
      route: resourceName(resource),
      index: 0,
      at: service.at,
      cluster: cluster?.name ?? '',
      broken: port === undefined || !resource.isSound ? 'no-backend' : undefined,
    });
    if (cluster !== undefined) {
      this.#memory.noteDefault(service, listenerPort, rule, { rules: [made], clusters: [cluster] });
    }
    return made;
  }

  #rule(rule: HttpRule, index: number, work: RuleWork): Rule {
    const { resource, view } = work;
    const routes = rule.route.map((route) => ({
      route,
      found: resolveDestination(this.#world, route.destination, resource.namespace, view),
    }));
    for (const { found } of routes) {
      if (!isProblem(found)) continue;
      complainOf(found, this.#complaints);
      work.isClean = false;
    }
    const isSingle = routes.length === 1;
    const backends: Backend[] = [];
    let broken: Cause | undefined = resource.isSound ? undefined : 'no-backend';
    for (const { route, found } of routes) {
      const weight = route.weight ?? (isSingle ? WHOLE_WEIGHT : 0);
      if (isProblem(found) && weight > 0) broken ??= found.cause;
      // A destination with weight 0 may be missing: it is often written before it exists.
      if (isProblem(found) && weight === 0) continue;
      backends.push(this.#backend(route, found, weight, work));
    }
    if (broken === undefined && !backends.some((each) => canAnswer(each, work))) {
      broken = 'subset-empty';
    }
    return {
      identity: `${resourceName(resource)}/http[${index}]`,
      resource: `VirtualService ${resourceName(resource)}`,
      route: rule.name ?? resourceName(resource),
      index,
      origin: placeText(rule.at),
      matches: (rule.match ?? []).map((match) => ({
        path: match.uri,
        method: match.method,
        authority: match.authority,
        headers: toNamed(match.headers, true),
        query: toNamed(match.queryParams, false),
      })),
      backends,
      timeoutMs: rule.timeout ?? NO_TIMEOUT,
      requestHeaders: (rule.headers ?? noEdits).request,
      responseHeaders: (rule.headers ?? noEdits).response,
      broken,
    };
  }

  #backend(
    route: Route,
    found: Resolved | Problem,
    weight: number,
    { clusters }: RuleWork,
  ): Backend {
    const edits = route.headers ?? noEdits;
    const cluster =
      isProblem(found) || found.port === undefined
        ? undefined
        : this.#clusters.outbound(found, found.port);
    if (cluster !== undefined) clusters.set(cluster.name, cluster);
    return {
      cluster: cluster?.name ?? '',
      weight,
      requestHeaders: edits.request,
      responseHeaders: edits.response,
    };
  }
}

/** One VirtualService on one port. */
interface RuleWork {
  readonly resource: VirtualServiceResource;
  readonly view: View;
  /** What its rules lead to, in the order in which they do. */
  readonly clusters: Map<string, Cluster>;
  /** Nothing was complained of. */
  isClean: boolean;
}

function canAnswer({ weight, cluster }: Backend, { clusters }: RuleWork): boolean {
  return weight > 0 && (clusters.get(cluster)?.endpoints.length ?? 0) > 0;
}

/** Where a rule that takes everything comes from, and the one cluster that it leads to. */
interface PlainRule {
  readonly identity: string;
  readonly resource: string;
  readonly route: string;
  readonly index: number;
  readonly at: Place;
  /** Its name; empty when there is none, and then `broken` says why. */
  readonly cluster: string;
  readonly broken: Cause | undefined;
}

/** A rule without conditions and edits. All rules have their fields in the same order: one shape. */
export function makePlainRule(plain: PlainRule): Rule {
  return {
    identity: plain.identity,
    resource: plain.resource,
    route: plain.route,
    index: plain.index,
    origin: placeText(plain.at),
    matches: [],
    backends: [wholeBackend(plain.cluster)],
    timeoutMs: NO_TIMEOUT,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
    broken: plain.broken,
  };
}

function wholeBackend(cluster: string): Backend {
  return {
    cluster,
    weight: WHOLE_WEIGHT,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
  };
}
