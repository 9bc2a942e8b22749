/**
 * Compile memory: what one compilation found out that the next one need not find out again.
 *
 * Rules of a VirtualService are kept while it is the same object and stands on the same ground: each
 * host that its rules name is the same ServiceEntry under the same DestinationRules. Only what had no
 * problem is kept, because the words of a complaint depend on everything else. So a compilation with a
 * memory and one without give the same table and the same complaints (test/config/session.test.ts).
 */

import type { Cluster, Rule } from '../model/routing-table.ts';
import type {
  DestinationRuleResource,
  ServiceEntryResource,
  VirtualServiceResource,
} from './resource.ts';
import type { Service, World } from './world.ts';

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
  readonly entry: ServiceEntryResource | undefined;
  /** As nobody in particular sees it, and as the workload does. */
  readonly rule: DestinationRuleResource | undefined;
  readonly ownRule: DestinationRuleResource | undefined;
}

interface ServiceMemo {
  readonly rule: DestinationRuleResource | undefined;
  readonly known: KnownRules;
}

export class CompileMemory {
  #routesBefore = new Map<VirtualServiceResource, RouteMemo>();
  #routes = new Map<VirtualServiceResource, RouteMemo>();
  #servicesBefore = new Map<ServiceEntryResource, Map<string, ServiceMemo>>();
  #services = new Map<ServiceEntryResource, Map<string, ServiceMemo>>();

  /** A compilation begins: what it does not ask for is forgotten after it. */
  begin(): void {
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
    { entry, host }: Service,
    port: number,
    rule: DestinationRuleResource | undefined,
  ): KnownRules | undefined {
    const key = `${host}:${port}`;
    const memo = (this.#services.get(entry) ?? this.#servicesBefore.get(entry))?.get(key);
    if (memo === undefined || memo.rule !== rule) return undefined;
    this.#keepDefault(entry, key, memo);
    return memo.known;
  }

  noteDefault(
    { entry, host }: Service,
    port: number,
    rule: DestinationRuleResource | undefined,
    known: KnownRules,
  ): void {
    this.#keepDefault(entry, `${host}:${port}`, { rule, known });
  }

  #keepDefault(entry: ServiceEntryResource, key: string, memo: ServiceMemo): void {
    const kept = this.#services.get(entry) ?? new Map<string, ServiceMemo>();
    kept.set(key, memo);
    this.#services.set(entry, kept);
  }
}

function groundOf(resource: VirtualServiceResource, world: World, namespace: string): Ground[] {
  const written = new Set<string>();
  for (const { route } of resource.spec.http) {
    for (const { destination } of route) written.add(destination.host);
  }
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
    entry: service?.entry,
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
    now.entry === before.entry &&
    now.rule === before.rule &&
    now.ownRule === before.ownRule
  );
}
