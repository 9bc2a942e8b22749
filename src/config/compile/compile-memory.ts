/**
 * Compile memory: what one compilation found out that the next one need not find out again.
 *
 * Rules of a VirtualService are kept while it is the same object and stands on the same ground: each
 * host that its rules name is made of the same resources under the same DestinationRules. Only what had no
 * problem is kept, because the words of a complaint depend on everything else. So a compilation with a
 * memory and one without give the same table and the same complaints (test/config/session.test.ts).
 */

import type { Cluster, Rule } from '../../model/routing-table.ts';
import type {
  DestinationRuleResource,
  Resource,
  VirtualServiceResource,
} from '../resource/resource.ts';
import { destinationsOf } from '../resource/virtual-service.ts';
import type { Service } from '../world/service-facts.ts';
import type { World } from '../world/world.ts';

/** Rules, and the clusters that they lead to, in the order in which they do. */
export interface KnownRules {
  readonly rules: readonly Rule[];
  readonly clusters: readonly Cluster[];
}

/** What is known of one VirtualService; `compile-rules` and `check-references` write into it. */
export interface RouteMemo {
  readonly ground: readonly Ground[];
  /** No complaint about its destinations. */
  isChecked: boolean;
  /** On some port its rules were complained of: those are not kept. */
  hasProblem: boolean;
  /** By the port of the listener. */
  readonly byPort: Map<number, KnownRules>;
}

/** What a written host led to. */
interface Ground {
  readonly written: string;
  readonly host: string | undefined;
  readonly sources: readonly Resource[] | undefined;
  /** As nobody in particular sees it, and as the workload does. */
  readonly rule: DestinationRuleResource | undefined;
  readonly ownRule: DestinationRuleResource | undefined;
}

interface ServiceMemo {
  readonly sources: readonly Resource[];
  readonly rule: DestinationRuleResource | undefined;
  readonly known: KnownRules;
}

export class CompileMemory {
  #routesBefore = new Map<VirtualServiceResource, RouteMemo>();
  #routes = new Map<VirtualServiceResource, RouteMemo>();
  #servicesBefore = new Map<string, ServiceMemo>();
  #services = new Map<string, ServiceMemo>();

  #security: readonly Resource[] = [];

  /**
   * A compilation begins: what it does not ask for is forgotten after it.
   *
   * @param security what every endpoint's identity depends on: nothing is known where it is another
   */
  begin(security: readonly Resource[]): void {
    if (!areSame(security, this.#security)) {
      this.#routes = new Map();
      this.#services = new Map();
    }
    this.#security = security;
    this.#routesBefore = this.#routes;
    this.#routes = new Map();
    this.#servicesBefore = this.#services;
    this.#services = new Map();
  }

  /** What still holds of `resource`; empty at first. `namespace`: the workload's. */
  routesOf(resource: VirtualServiceResource, world: World, namespace: string): RouteMemo {
    const current = this.#routes.get(resource);
    if (current !== undefined) return current;
    const before = this.#routesBefore.get(resource);
    const memo =
      before?.ground.every((each) => stands(each, resource, world, namespace)) === true
        ? before
        : {
            ground: groundOf(resource, world, namespace),
            isChecked: false,
            hasProblem: false,
            byPort: new Map(),
          };
    this.#routes.set(resource, memo);
    return memo;
  }

  /** Another resource has taken its place. */
  forget(resource: VirtualServiceResource): void {
    this.#routes.delete(resource);
  }

  /** The default rule of a service on a listener's port, if its DestinationRule is still `rule`. */
  defaultOf(
    { sources, host }: Service,
    port: number,
    rule: DestinationRuleResource | undefined,
  ): KnownRules | undefined {
    const key = `${host}:${port}`;
    const memo = this.#services.get(key) ?? this.#servicesBefore.get(key);
    if (memo === undefined || memo.rule !== rule) return undefined;
    if (!areSame(memo.sources, sources)) return undefined;
    this.#services.set(key, memo);
    return memo.known;
  }

  noteDefault(
    { sources, host }: Service,
    port: number,
    rule: DestinationRuleResource | undefined,
    known: KnownRules,
  ): void {
    this.#services.set(`${host}:${port}`, { sources, rule, known });
  }
}

function groundOf(resource: VirtualServiceResource, world: World, namespace: string): Ground[] {
  const written = new Set<string>();
  for (const { host } of destinationsOf(resource.spec)) written.add(host);
  return [...written].map((host) => lookAt(host, resource, world, namespace));
}

function lookAt(
  written: string,
  resource: VirtualServiceResource,
  world: World,
  namespace: string,
): Ground {
  const service = world.findService(written, resource.namespace);
  return {
    written,
    host: service?.host,
    sources: service?.sources,
    rule: service && world.findRule(service, undefined),
    ownRule: service && world.findRule(service, namespace),
  };
}

function stands(
  before: Ground,
  resource: VirtualServiceResource,
  world: World,
  namespace: string,
): boolean {
  const now = lookAt(before.written, resource, world, namespace);
  return (
    now.host === before.host &&
    areSame(now.sources, before.sources) &&
    now.rule === before.rule &&
    now.ownRule === before.ownRule
  );
}

function areSame(
  first: readonly Resource[] | undefined,
  second: readonly Resource[] | undefined,
): boolean {
  if (first === undefined || second === undefined) return first === second;
  return first.length === second.length && first.every((each, index) => each === second[index]);
}
