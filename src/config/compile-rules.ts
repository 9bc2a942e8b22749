/**
 * Compile rules: the entries of a VirtualService, or a service's default, to rules of the table.
 *
 * A rule whose destination does not exist is kept, with its match, and answers with a named failure: a
 * request that it takes must not fall through to a rule that was never meant for it.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { Cause } from '../model/failure.ts';
import { type Backend, noHeaderEdits, type Rule } from '../model/routing-table.ts';
import type { ClusterList } from './compile-clusters.ts';
import { type Complaints, type Place, placeText } from './complaints.ts';
import { noEdits } from './header-rules.ts';
import { toNamed } from './http-rule-checks.ts';
import {
  complainOf,
  isProblem,
  type Problem,
  portFor,
  type Resolved,
  resolveDestination,
  type View,
} from './resolve.ts';
import { resourceName, type VirtualServiceResource } from './resource.ts';
import type { VirtualServiceSpec } from './virtual-service.ts';
import type { Service, World } from './world.ts';

type HttpRule = VirtualServiceSpec['http'][number];
type Route = HttpRule['route'][number];

const NO_TIMEOUT: Milliseconds = Number.POSITIVE_INFINITY;
/** Of a single destination without a weight: all of it. */
const WHOLE_WEIGHT = 100;

export class RuleCompiler {
  readonly #world: World;
  readonly #clusters: ClusterList;
  readonly #complaints: Complaints;
  readonly #namespace: string;
  readonly #compiled = new Map<VirtualServiceResource, Map<number, readonly Rule[]>>();

  constructor(world: World, clusters: ClusterList, complaints: Complaints, namespace: string) {
    this.#world = world;
    this.#clusters = clusters;
    this.#complaints = complaints;
    this.#namespace = namespace;
  }

  /** The rules of a VirtualService on a listener with this port; made once for each port. */
  rulesOf(resource: VirtualServiceResource, listenerPort: number): readonly Rule[] {
    const byPort = this.#compiled.get(resource) ?? new Map<number, readonly Rule[]>();
    this.#compiled.set(resource, byPort);
    const known = byPort.get(listenerPort);
    if (known !== undefined) return known;
    const view = { namespace: this.#namespace, port: listenerPort };
    const rules = resource.spec.http.map((rule, index) => this.#rule(resource, rule, index, view));
    byPort.set(listenerPort, rules);
    return rules;
  }

  /** The only rule of a service that no VirtualService binds: everything goes to all of it. */
  defaultRule(service: Service, listenerPort: number): Rule {
    const { entry } = service;
    const port = portFor(service, listenerPort);
    const rule = this.#world.findRule(service, this.#namespace);
    const resolved: Resolved = { service, port, rule, subset: undefined };
    if (port === undefined) {
      const numbers = entry.spec.ports.map((each) => each.number).join(', ');
      const message = `\`${service.host}\` has several ports (${numbers}) and none is the listener's`;
      const fix = `Give the listener the number of one, or add a VirtualService that names it.`;
      this.#complaints.add('unknown-port', service.at, `${message} (${listenerPort})`, fix);
    }
    const cluster = port === undefined ? -1 : this.#clusters.outbound(resolved, port);
    return makePlainRule({
      identity: `${resourceName(entry)}/${service.host}:${port?.number ?? listenerPort}`,
      resource: `ServiceEntry ${resourceName(entry)}`,
      route: resourceName(entry),
      index: 0,
      at: service.at,
      cluster,
      broken: port === undefined || !entry.isSound ? 'no-backend' : undefined,
    });
  }

  #rule(resource: VirtualServiceResource, rule: HttpRule, index: number, view: View): Rule {
    const routes = rule.route.map((route) => ({
      route,
      found: resolveDestination(this.#world, route.destination, resource.namespace, view),
    }));
    for (const { found } of routes) if (isProblem(found)) complainOf(found, this.#complaints);
    const isSingle = routes.length === 1;
    const backends: Backend[] = [];
    let broken: Cause | undefined = resource.isSound ? undefined : 'no-backend';
    for (const { route, found } of routes) {
      const weight = route.weight ?? (isSingle ? WHOLE_WEIGHT : 0);
      if (isProblem(found) && weight > 0) broken ??= found.cause;
      // A destination with weight 0 may be missing: it is often written before it exists.
      if (isProblem(found) && weight === 0) continue;
      backends.push(this.#backend(route, found, weight));
    }
    if (broken === undefined && !backends.some((each) => this.#canAnswer(each))) {
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

  #backend(route: Route, found: Resolved | Problem, weight: number): Backend {
    const edits = route.headers ?? noEdits;
    const cluster =
      isProblem(found) || found.port === undefined
        ? -1
        : this.#clusters.outbound(found, found.port);
    return { cluster, weight, requestHeaders: edits.request, responseHeaders: edits.response };
  }

  #canAnswer(backend: Backend): boolean {
    if (backend.weight === 0 || backend.cluster === -1) return false;
    return this.#clusters.clusters[backend.cluster]!.endpoints.length > 0;
  }
}

/** Where a rule that takes everything comes from, and the one cluster that it leads to. */
interface PlainRule {
  readonly identity: string;
  readonly resource: string;
  readonly route: string;
  readonly index: number;
  readonly at: Place;
  /** -1 when there is none; then `broken` says why. */
  readonly cluster: number;
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

function wholeBackend(cluster: number): Backend {
  return {
    cluster,
    weight: WHOLE_WEIGHT,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
  };
}
