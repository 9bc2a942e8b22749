/**
 * Table patch: what makes one routing table out of another, for the thread that has the other. Pure.
 *
 *   settle(before, after) ──► `after` made of the parts of `before` that are the same, and the patch
 *   applyPatch(copy of before, patch) ──► the same table, of the copy's own objects where they stay
 *
 * Objects that stay are how the data plane sees what it need not build again. A patch names them by
 * position, so it fits one table only: the generation says which, and lengths are checked on the way.
 */

import { isDeepStrictEqual } from 'node:util';
import type {
  CapturePlan,
  Cluster,
  ConnectionRule,
  Destination,
  Listener,
  OutboundPolicy,
  RoutingTable,
  TracingRules,
  VirtualHost,
} from '../model/routing-table.ts';
import type { InboundSecurity } from '../model/security.ts';
import { deepFreeze } from './deep-freeze.ts';

/** How a list is made: runs of the list before, and new items between them. */
export interface ListPatch<New> {
  readonly steps: readonly Step<New>[];
  /** Of the list before, and of the one that is made. */
  readonly from: number;
  readonly to: number;
}

type Step<New> =
  | { readonly kind: 'keep'; readonly at: number; readonly count: number }
  | { readonly kind: 'put'; readonly item: New };

/** A listener that the table before has too, or none: then all of its hosts are new. */
interface ListenerPatch {
  readonly before: number;
  /** Without its virtual hosts. */
  readonly listener: Listener;
  readonly hosts: ListPatch<VirtualHost>;
}

interface CapturePatch {
  readonly outbound: ListPatch<ListenerPatch>;
  readonly inbound: ListPatch<ListenerPatch>;
  readonly destinations: ListPatch<Destination>;
  readonly outboundPolicy: OutboundPolicy;
}

/** Plain data. */
export interface TablePatch {
  /** Generation of the table that it fits. */
  readonly base: number;
  readonly generation: number;
  readonly listeners: ListPatch<ListenerPatch>;
  readonly clusters: ListPatch<Cluster>;
  readonly capture: CapturePatch | undefined;
  readonly tracing: TracingRules;
  readonly security: InboundSecurity;
}

export interface Settlement {
  /** Equal to `after`. */
  readonly table: RoutingTable;
  /** Undefined when nothing but the generation differs. */
  readonly patch: TablePatch | undefined;
}

/** Finds in `after` what is the same in `before`, object by object. */
export function settle(before: RoutingTable, after: RoutingTable): Settlement {
  const listeners = settleListeners(before.listeners, after.listeners);
  const clusters = settleList(before.clusters, after.clusters, nameOf, sameCluster, whole);
  const outbound = settleListeners(before.capture?.outbound, after.capture?.outbound);
  const inbound = settleListeners(before.capture?.inbound, after.capture?.inbound);
  const destinations = settleDestinations(before.capture, after.capture);
  const tracing = settleWhole(before.tracing, after.tracing);
  const security = settleWhole(before.security, after.security);
  const policies = [before.capture?.outboundPolicy, after.capture?.outboundPolicy];
  const isSame =
    [listeners, clusters, outbound, inbound, destinations].every(({ isSame: same }) => same) &&
    policies[0] === policies[1] &&
    tracing === before.tracing &&
    security === before.security;
  if (isSame) return { table: before, patch: undefined };
  const table = deepFreeze<RoutingTable>({
    kind: 'routing-table',
    generation: after.generation,
    listeners: listeners.list,
    clusters: clusters.list,
    capture: after.capture && {
      outbound: outbound.list,
      inbound: inbound.list,
      destinations: destinations.list,
      outboundPolicy: after.capture.outboundPolicy,
    },
    tracing,
    security,
  });
  const patch: TablePatch = {
    base: before.generation,
    generation: after.generation,
    listeners: listeners.patch,
    clusters: clusters.patch,
    capture: after.capture && {
      outbound: outbound.patch,
      inbound: inbound.patch,
      destinations: destinations.patch,
      outboundPolicy: after.capture.outboundPolicy,
    },
    tracing,
    security,
  };
  return { table, patch };
}

/** The table that `patch` makes of `before`, frozen. Throws an Error when it is for another one. */
export function applyPatch(before: RoutingTable, patch: TablePatch): RoutingTable {
  if (before.generation !== patch.base) {
    throw new Error(`a patch of generation ${patch.base} does not fit ${before.generation}`);
  }
  return deepFreeze<RoutingTable>({
    kind: 'routing-table',
    generation: patch.generation,
    listeners: applyToListeners(before.listeners, patch.listeners),
    clusters: applyToList(before.clusters, patch.clusters, whole),
    capture: patch.capture && applyToCapture(before.capture, patch.capture),
    // Small enough to be sent whole; the same object where nothing of it changed.
    tracing: settleWhole(before.tracing, patch.tracing),
    security: settleWhole(before.security, patch.security),
  });
}

/** The same object where nothing of it changed. */
function settleWhole<T>(before: T, after: T): T {
  return isDeepStrictEqual(before, after) ? before : after;
}

interface SettledList<T, New> {
  readonly list: readonly T[];
  readonly patch: ListPatch<New>;
  /** `list` is the list before. */
  readonly isSame: boolean;
}

/** The old item where it is the same as the new one; else what `settleItem` makes of the two. */
function settleList<T, New>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (item: T) => string,
  isSame: (first: T, second: T) => boolean,
  settleItem: (item: T, old: T | undefined, at: number) => { item: T; put: New },
): SettledList<T, New> {
  const find = finder(before, keyOf);
  const list: T[] = [];
  const steps: Step<New>[] = [];
  let run: { kind: 'keep'; at: number; count: number } | undefined;
  for (const [index, item] of after.entries()) {
    const at = find(item, index);
    const old = before[at];
    if (old !== undefined && isSame(old, item)) {
      list.push(old);
      if (run !== undefined && run.at + run.count === at) run.count++;
      else {
        run = { kind: 'keep', at, count: 1 };
        steps.push(run);
      }
      continue;
    }
    run = undefined;
    const settled = settleItem(item, old, at);
    list.push(settled.item);
    steps.push({ kind: 'put', item: settled.put });
  }
  const patch = { steps, from: before.length, to: after.length };
  const isWhole = before.length === after.length && list.every((item, at) => item === before[at]);
  return { list: isWhole ? before : list, patch, isSame: isWhole };
}

/** Position of the item with the same key, which mostly has the same position; -1 when there is none. */
function finder<T>(before: readonly T[], keyOf: (item: T) => string) {
  let positions: Map<string, number> | undefined;
  return (item: T, index: number): number => {
    const key = keyOf(item);
    const near = before[index];
    if (near !== undefined && keyOf(near) === key) return index;
    positions ??= new Map(before.map((each, at) => [keyOf(each), at]));
    return positions.get(key) ?? -1;
  };
}

function settleListeners(
  before: readonly Listener[] = [],
  after: readonly Listener[] = [],
): SettledList<Listener, ListenerPatch> {
  // A listener is taken apart before it is known whether it is the same: see `settleListener`.
  const parts = new Map<Listener, ReturnType<typeof settleListener>>();
  const partsOf = (old: Listener, item: Listener) => {
    const known = parts.get(item) ?? settleListener(item, old);
    parts.set(item, known);
    return known;
  };
  return settleList(
    before,
    after,
    nameOf,
    (old, item) => partsOf(old, item).isSame,
    (item, old, at) => {
      const { listener, hosts } = old ? partsOf(old, item) : settleListener(item, undefined);
      const put = { before: at, listener: { ...listener, virtualHosts: [] }, hosts };
      return { item: listener, put };
    },
  );
}

function settleListener(item: Listener, old: Listener | undefined) {
  const hosts = settleList(old?.virtualHosts ?? [], item.virtualHosts, nameOf, sameHost, whole);
  const listener = { ...item, virtualHosts: hosts.list };
  const isSame =
    old !== undefined &&
    hosts.isSame &&
    isDeepStrictEqual({ ...item, virtualHosts: [] }, { ...old, virtualHosts: [] });
  return { listener, hosts: hosts.patch, isSame };
}

function sameHost(first: VirtualHost, second: VirtualHost): boolean {
  if (first === second) return true;
  // Mostly the lists are others with the same texts: a loop is cheaper here than a general comparison.
  if (first.domains.length !== second.domains.length) return false;
  if (first.domains.some((domain, at) => domain !== second.domains[at])) return false;
  return sameRules(first, second);
}

function sameRules({ rules: first }: VirtualHost, { rules: second }: VirtualHost): boolean {
  if (first === second) return true;
  if (first.length !== second.length) return false;
  return first.every((rule, at) => rule === second[at] || isDeepStrictEqual(rule, second[at]));
}

function settleDestinations(
  before: CapturePlan | undefined,
  after: CapturePlan | undefined,
): SettledList<Destination, Destination> {
  const [old, list] = [before?.destinations ?? [], after?.destinations ?? []];
  if (old !== list) return settleList(old, list, destinationKey, destinationComparison(), whole);
  // As after every edit of rules for requests.
  const count = list.length;
  const steps = count === 0 ? [] : [{ kind: 'keep' as const, at: 0, count }];
  return { list, patch: { steps, from: count, to: count }, isSame: true };
}

/**
 * Mostly new objects of the same texts, thousands of them: compared field by field, and the rules that
 * the addresses of one service share once.
 */
function destinationComparison(): (first: Destination, second: Destination) => boolean {
  const same = new Map<readonly ConnectionRule[], readonly ConnectionRule[]>();
  return (first, second) => {
    if (first === second) return true;
    const isAlike =
      first.address === second.address &&
      first.prefix === second.prefix &&
      first.port === second.port &&
      first.kind === second.kind &&
      first.protocol === second.protocol &&
      first.service === second.service &&
      first.listener === second.listener;
    const [rules, others] = [first.connectionRules, second.connectionRules];
    if (!isAlike || rules === others || same.get(rules) === others) return isAlike;
    if (!isDeepStrictEqual(rules, others)) return false;
    same.set(rules, others);
    return true;
  };
}

function destinationKey({ address, prefix, port }: Destination): string {
  return `${address}/${prefix}|${port}`;
}

function sameCluster(first: Cluster, second: Cluster): boolean {
  return first === second || isDeepStrictEqual(first, second);
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

function whole<T>(item: T): { item: T; put: T } {
  return { item, put: item };
}

function applyToCapture(before: CapturePlan | undefined, patch: CapturePatch): CapturePlan {
  return {
    outbound: applyToListeners(before?.outbound ?? [], patch.outbound),
    inbound: applyToListeners(before?.inbound ?? [], patch.inbound),
    destinations: applyToList(before?.destinations ?? [], patch.destinations, whole),
    outboundPolicy: patch.outboundPolicy,
  };
}

function applyToListeners(
  before: readonly Listener[],
  patch: ListPatch<ListenerPatch>,
): readonly Listener[] {
  return applyToList(before, patch, ({ before: at, listener, hosts }) => {
    const old = at === -1 ? [] : before[at]?.virtualHosts;
    if (old === undefined) throw new Error(`there is no listener ${at}`);
    const virtualHosts = applyToList(old, hosts, whole);
    return { item: { ...listener, virtualHosts } };
  });
}

/** `before` itself when nothing in it changes. */
function applyToList<T, New>(
  before: readonly T[],
  { steps, from, to }: ListPatch<New>,
  make: (put: New) => { item: T },
): readonly T[] {
  if (before.length !== from) throw new Error(`a list has ${before.length} items, not ${from}`);
  const [first] = steps;
  if (steps.length === 0 && from === 0) return before;
  if (steps.length === 1 && first?.kind === 'keep' && first.at === 0 && first.count === from) {
    if (from === to) return before;
  }
  const list: T[] = [];
  for (const step of steps) {
    if (step.kind === 'put') list.push(make(step.item).item);
    else for (let index = 0; index < step.count; index++) list.push(before[step.at + index]!);
  }
  if (list.length !== to) throw new Error(`a patch made ${list.length} items, not ${to}`);
  if (list.some((item) => item === undefined)) throw new Error('a patch names what is not there');
  return list;
}
