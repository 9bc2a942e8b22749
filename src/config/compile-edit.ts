/**
 * Compile edit: the table after an edit that changed nothing but rules, made from the table before it.
 *
 * The usual edit is of weights, matches or header edits: a VirtualService at the same place, with the
 * same hosts, whose rules lead to the same clusters. Everything else of the table and every complaint
 * is as it was, so only its rules are compiled. Whatever is not surely so is left to `compileTable`;
 * test/config/session.test.ts compares the two.
 */

import type { CapturePlan, Listener, Rule } from '../model/routing-table.ts';
import { checkDestinations } from './compile/check-references.ts';
import { ClusterList } from './compile/compile-clusters.ts';
import type { CompileMemory } from './compile/compile-memory.ts';
import { RuleCompiler } from './compile/compile-rules.ts';
import { portsLedTo } from './compile/imports.ts';
import { deepFreeze } from './deep-freeze.ts';
import type { CompileContext, CompileResult } from './load.ts';
import type { Resource, VirtualServiceResource } from './resource/resource.ts';
import { Complaints, type Placed, placeText } from './syntax/complaints.ts';
import type { World } from './world/world.ts';

/** The compilation before, by the same memory. */
export interface LastCompile extends CompileResult {
  readonly resources: readonly Resource[];
  readonly world: World;
}

interface ChangedRoutes {
  readonly before: VirtualServiceResource;
  readonly after: VirtualServiceResource;
}

/** Undefined when the edit may have changed more than rules. */
export function compileEdit(
  last: LastCompile,
  resources: readonly Resource[],
  context: CompileContext,
  memory: CompileMemory,
): CompileResult | undefined {
  const changed = findChanged(last.resources, resources, last.world);
  if (changed === undefined) return undefined;
  const replaced = new Map<readonly Rule[], readonly Rule[]>();
  for (const each of changed) {
    if (!replaceRules(each, last.world, context, memory, replaced)) return undefined;
  }
  for (const { before } of changed) memory.forget(before);
  const { listeners, clusters, capture, tracing, security } = last.table;
  const table = deepFreeze({
    ...{ kind: 'routing-table' as const, generation: context.generation },
    listeners: replaceIn(listeners, replaced),
    clusters,
    capture: capture && replaceInPlan(capture, replaced),
    tracing,
    security,
  });
  return { table, diagnostics: last.diagnostics, credentials: last.credentials };
}

/** The VirtualServices that differ, if nothing else does. */
function findChanged(
  before: readonly Resource[],
  after: readonly Resource[],
  world: World,
): readonly ChangedRoutes[] | undefined {
  if (before.length !== after.length) return undefined;
  const changed: ChangedRoutes[] = [];
  for (let index = 0; index < after.length; index++) {
    const [old, now] = [before[index]!, after[index]!];
    if (old === now) continue;
    if (old.kind !== 'VirtualService' || now.kind !== 'VirtualService') return undefined;
    if (!isBoundAlike(old, now, world)) return undefined;
    changed.push({ before: old, after: now });
  }
  return changed;
}

/** Whether both are said the same about in all but their rules. */
function isBoundAlike(
  first: VirtualServiceResource,
  second: VirtualServiceResource,
  world: World,
): boolean {
  const [one, other] = [first.spec, second.spec];
  const ports = (resource: VirtualServiceResource) => [...portsLedTo(world, resource)].join();
  // What rules for connections lead to is in the plan's destinations.
  const isForRequests = [one, other].every(({ tls, tcp }) => (tls ?? tcp) === undefined);
  return (
    isForRequests &&
    first.namespace === second.namespace &&
    first.name === second.name &&
    placeText(first.at) === placeText(second.at) &&
    areAlike(one.hosts, other.hosts) &&
    areAlike(one.gateways, other.gateways) &&
    one.exportTo?.join() === other.exportTo?.join() &&
    ports(first) === ports(second)
  );
}

function areAlike(
  first: readonly Placed<string>[] | undefined,
  second: readonly Placed<string>[] | undefined,
): boolean {
  const show = ({ value, at }: Placed<string>) => `${value} ${placeText(at)} ${at.path}`;
  return first?.map(show).join('\n') === second?.map(show).join('\n');
}

/** Compiles the new rules beside the old ones; false when there is more to it. */
function replaceRules(
  { before, after }: ChangedRoutes,
  world: World,
  { namespace }: CompileContext,
  memory: CompileMemory,
  replaced: Map<readonly Rule[], readonly Rule[]>,
): boolean {
  const known = memory.routesOf(before, world, namespace);
  if (!known.isChecked || known.hasProblem) return false;
  const complaints = new Complaints();
  const memo = memory.routesOf(after, world, namespace);
  memo.isChecked ||= checkDestinations(world, after, complaints);
  if (!memo.isChecked) return false;
  for (const [port, { rules, clusters }] of known.byPort) {
    const compiler = new RuleCompiler(
      world,
      new ClusterList(world.identities),
      complaints,
      namespace,
      memory,
    );
    replaced.set(rules, compiler.rulesOf(after, port));
    const now = memo.byPort.get(port)?.clusters;
    if (memo.hasProblem || now?.length !== clusters.length) return false;
    if (now.some(({ name }, index) => name !== clusters[index]!.name)) return false;
  }
  return true;
}

function replaceInPlan(
  plan: CapturePlan,
  replaced: ReadonlyMap<readonly Rule[], readonly Rule[]>,
): CapturePlan {
  return { ...plan, outbound: replaceIn(plan.outbound, replaced) };
}

/** The same objects where nothing of them is replaced. */
function replaceIn(
  listeners: readonly Listener[],
  replaced: ReadonlyMap<readonly Rule[], readonly Rule[]>,
): readonly Listener[] {
  return listeners.map((listener) => {
    const { virtualHosts: hosts } = listener;
    if (!hosts.some(({ rules }) => replaced.has(rules))) return listener;
    const virtualHosts = hosts.map((host) => {
      const rules = replaced.get(host.rules);
      return rules === undefined ? host : { ...host, rules };
    });
    return { ...listener, virtualHosts };
  });
}
