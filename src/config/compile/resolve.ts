/**
 * Resolve: what a destination written in a rule leads to: a service, one port of it, maybe a subset.
 *
 * The same function serves the complaints about a whole folder and the compilation for one workload, so
 * both see the same mistakes. A problem carries the cause with which its rule fails closed.
 */

import type { Cause } from '../../model/failure.ts';
import type { Destination } from '../resource/destination.ts';
import type { DestinationRuleSpec } from '../resource/destination-rule.ts';
import { fullName, isWildcard, kubernetesName } from '../resource/host-names.ts';
import { mayBeHttp } from '../resource/port-protocol.ts';
import { type DestinationRuleResource, resourceName } from '../resource/resource.ts';
import type { Complaints, Place } from '../syntax/complaints.ts';
import type { ComplaintKind } from '../syntax/diagnostic-codes.ts';
import { didYouMean, listOfNames, nearestName } from '../syntax/nearest-name.ts';
import type { Service, ServicePort } from '../world/service-facts.ts';
import { isServiceExported, type World } from '../world/world.ts';

export type Subset = NonNullable<DestinationRuleSpec['subsets']>[number];

export interface Resolved {
  readonly service: Service;
  /** Undefined only when no listener's port was given to choose by. */
  readonly port: ServicePort | undefined;
  readonly rule: DestinationRuleResource | undefined;
  readonly subset: Subset | undefined;
}

export interface Problem {
  readonly kind: ComplaintKind;
  readonly at: Place;
  readonly message: string;
  readonly fix: string;
  readonly cause: Cause;
}

/** From whose view something is resolved; undefined parts are not known yet. */
export interface View {
  /** The calling workload's namespace. */
  readonly namespace: string | undefined;
  /** The listener's port: the port of a service when the rule says none. */
  readonly port: number | undefined;
}

export function isProblem(value: Resolved | Problem): value is Problem {
  return 'cause' in value;
}

export function complainOf(problem: Problem, complaints: Complaints): void {
  complaints.add(problem.kind, problem.at, problem.message, problem.fix);
}

/** What `destination`, written in a resource of `namespace`, leads to. */
export function resolveDestination(
  world: World,
  destination: Destination,
  namespace: string,
  view: View,
): Resolved | Problem {
  const { host } = destination;
  const service = world.findService(host, namespace);
  const isVisible =
    service !== undefined &&
    (view.namespace === undefined || isServiceExported(service, view.namespace));
  if (!isVisible) return unknownHost(world, destination, namespace);
  const rule = world.findRule(service, view.namespace);
  const port = resolvePort(service, destination, view);
  if (port !== undefined && 'cause' in port) return port;
  if (destination.subset === undefined) return { service, port, rule, subset: undefined };
  const subset = rule?.spec.subsets?.find((each) => each.name === destination.subset);
  if (subset === undefined) return unknownSubset(world, destination, service, rule, namespace);
  return { service, port, rule, subset };
}

/** The port of a service for a listener's port: the same number, else the only one, else of HTTP. */
export function portFor({ ports }: Service, port: number | undefined): ServicePort | undefined {
  const same = ports.find((each) => each.number === port);
  return same ?? onlyOne(ports) ?? onlyOne(ports.filter(mayBeHttp));
}

function onlyOne<T>(list: readonly T[]): T | undefined {
  return list.length === 1 ? list[0] : undefined;
}

function resolvePort(
  service: Service,
  destination: Destination,
  view: View,
): ServicePort | Problem | undefined {
  const { ports } = service;
  const numbers = ports.map((each) => String(each.number));
  const wanted = destination.port;
  if (wanted !== undefined) {
    const found = ports.find((each) => each.number === wanted.number);
    if (found !== undefined) return found;
    return {
      kind: 'unknown-port',
      at: { ...wanted.at, path: `${wanted.at.path}.number`, offset: wanted.offsets.number! },
      message: `\`${service.host}\` has no port ${wanted.number}`,
      fix: `Its ports are ${listOfNames(numbers)}.`,
      cause: 'no-backend',
    };
  }
  const found = portFor(service, view.port);
  if (found !== undefined || view.port === undefined) return found;
  return {
    kind: 'unknown-port',
    at: destination.at,
    message: `\`${service.host}\` has several ports and none is ${view.port}, the listener's`,
    fix: `Add \`port: {number: N}\` with one of ${listOfNames(numbers)}.`,
    cause: 'no-backend',
  };
}

function unknownHost(world: World, destination: Destination, namespace: string): Problem {
  const { host, at, offsets } = destination;
  const full = fullName(host, namespace);
  const shown = full === host ? `\`${host}\`` : `\`${host}\` (${full})`;
  return {
    kind: 'unknown-host',
    at: { ...at, path: `${at.path}.host`, offset: offsets.host! },
    message: `No ServiceEntry defines ${shown}`,
    fix: nearestHost(world, host, namespace),
    cause: 'no-backend',
  };
}

/** The service that somebody probably meant, as it would be written in that namespace. */
export function nearestHost(world: World, written: string, namespace: string): string {
  return world.hintFor(written, namespace, () => searchHost(world, written, namespace));
}

function searchHost(world: World, written: string, namespace: string): string {
  const hosts = [...world.services.keys()];
  const byShortName = new Map<string, string>();
  for (const host of hosts) {
    const parts = kubernetesName(host);
    if (parts !== undefined) byShortName.set(parts.name, host);
  }
  const short = written.split('.', 1)[0]!;
  const nearest = nearestName(short, byShortName.keys());
  const host = nearest === undefined ? undefined : byShortName.get(nearest);
  if (host !== undefined) {
    const isOwn = kubernetesName(host)!.namespace === namespace && !written.includes('.');
    return `Did you mean \`${isOwn ? nearest : host}\`?`;
  }
  const otherwise =
    hosts.length === 0
      ? 'Add a ServiceEntry for it.'
      : `The hosts are ${listOfNames(hosts)}; or add a ServiceEntry.`;
  return didYouMean(written, hosts, otherwise);
}

function unknownSubset(
  world: World,
  destination: Destination,
  service: Service,
  rule: DestinationRuleResource | undefined,
  namespace: string,
): Problem {
  const { at, offsets } = destination;
  const name = destination.subset!;
  const names = (rule?.spec.subsets ?? []).map((each) => each.name);
  const where = rule === undefined ? undefined : `DestinationRule ${resourceName(rule)}`;
  return {
    kind: 'unknown-subset',
    at: { ...at, path: `${at.path}.subset`, offset: offsets.subset! },
    message:
      where === undefined
        ? `\`${service.host}\` has no subset \`${name}\`: it has no DestinationRule`
        : `\`${service.host}\` has no subset \`${name}\` (${where})`,
    fix:
      where === undefined
        ? missingRule(world, destination, service, namespace)
        : didYouMean(name, names, `Its subsets are ${listOfNames(names)}.`),
    cause: 'subset-empty',
  };
}

/**
 * What to do about a subset of a service without a DestinationRule. One that has this subset and is for
 * a host that nothing defines was probably meant for the service.
 */
function missingRule(
  world: World,
  { host, subset }: Destination,
  service: Service,
  namespace: string,
): string {
  const stray = world.destinationRules.find(
    ({ spec, namespace: itsOwn }) =>
      itsOwn === namespace &&
      !isWildcard(spec.host) &&
      world.findService(spec.host, itsOwn) === undefined &&
      spec.subsets?.some(({ name }) => name === subset),
  );
  if (stray === undefined) {
    return `Add a DestinationRule with \`host: ${service.host}\` and the subset.`;
  }
  return (
    `DestinationRule ${resourceName(stray)} has \`${subset}\`, but for \`${stray.spec.host}\`, ` +
    `which nothing defines: did you mean \`host: ${host}\` there?`
  );
}
