/**
 * Compile destinations: what is known of the addresses that captured connections were going to.
 *
 *   virtual addresses of services ──┐
 *   addresses of their endpoints ───┼─► one Destination for each address and port
 *   names of services without any ──┴─► one for all other addresses of a port, told apart by SNI
 *
 * Where two services have the same address and port a virtual address goes before an endpoint's, a
 * headless service before another, then the name of the resource decides: never the order of files.
 */

import { parseAddress, parseRange, printBytes } from '../../base/ip-address.ts';
import type { ConnectionRule, Destination } from '../../model/routing-table.ts';
import { mayBeHttp } from '../resource/port-protocol.ts';
import { resourceName } from '../resource/resource.ts';
import type { BoundHost } from '../world/world.ts';
import type { CaptureParts } from './compile-capture.ts';
import { selectEndpoints } from './compile-clusters.ts';
import type { ImportedService } from './imports.ts';
import { holdsForEndpoints, RulesByName, takesNames, uniqueRules } from './rules-by-name.ts';

type Parts = Pick<CaptureParts, 'world' | 'connections' | 'complaints'>;

export interface CaptureView {
  /** By port of the service, ascending; of each port by host. */
  readonly services: readonly (readonly [port: number, services: readonly ImportedService[]])[];
  /** Hosts with rules for connections that are no service. */
  readonly strangers: readonly BoundHost[];
  /** Names of the listeners by their port. */
  readonly listeners: ReadonlyMap<number, string>;
  /** What is not known is refused. */
  readonly isDenying: boolean;
}

interface Candidate {
  readonly destination: Destination;
  readonly from: ImportedService | undefined;
  readonly rank: string;
}

/** Sorted by address, prefix and port. */
export function compileDestinations(parts: Parts, view: CaptureView): readonly Destination[] {
  const candidates: Candidate[] = [];
  const byName = new RulesByName(parts);
  for (const [port, services] of view.services) {
    for (const service of services) {
      const rules = rulesOf(parts, service);
      candidates.push(...candidatesOf(service, rules, view.listeners.get(port) ?? ''));
      byName.add(port, byName.rulesOf(service, view.isDenying));
    }
  }
  for (const { stranger, port, rules } of byName.rulesOfStrangers(view.strangers)) {
    const destination = destinationOfStranger(stranger, port, rules);
    if (destination === undefined) byName.add(port, rules);
    else candidates.push({ destination, from: undefined, rank: `0 1 ${stranger.host}` });
  }
  const destinations = takeFirst(candidates, parts);
  return [...destinations, ...byName.destinations(view.listeners)].toSorted(compare);
}

/**
 * Of connections that are known to be for the service, the default last. Where HTTP was declared it takes
 * what is relayed all the same: HTTP/2 without TLS, or whatever else is spoken there.
 */
function rulesOf(
  { connections }: Parts,
  { service, port, bound }: ImportedService,
): readonly ConnectionRule[] {
  const { protocol, number } = port;
  const isRuled = bound !== undefined && protocol !== 'http';
  const mayBeTls = protocol === 'tls' || protocol === 'detect';
  return [
    ...(isRuled && mayBeTls ? connections.tlsRules(bound.resource, number) : []),
    ...(isRuled ? connections.tcpRules(bound.resource, number) : []),
    connections.defaultRule(service, port),
  ];
}

function candidatesOf(
  from: ImportedService,
  connectionRules: readonly ConnectionRule[],
  listener: string,
): Candidate[] {
  const { service, port } = from;
  const { protocol } = port;
  const shared = {
    protocol,
    service: service.host,
    listener: mayBeHttp(port) ? listener : '',
  };
  const last = connectionRules.length - 1;
  const endpointRules = connectionRules.filter(
    (rule, index) => index === last || holdsForEndpoints(rule),
  );
  const name = `${service.isHeadless ? 0 : 1} ${resourceName(service.resource)}`;
  const candidates: Candidate[] = [];
  for (const written of service.addresses) {
    const range = parseRange(written);
    if (range === undefined) continue;
    const at = { address: printBytes(range.bytes), prefix: range.prefix, port: port.number };
    const destination = { ...at, kind: 'service' as const, ...shared, connectionRules };
    candidates.push({ destination, from, rank: `0 ${name}` });
  }
  for (const { address, port: number } of selectEndpoints(service, port, undefined)) {
    const bytes = parseAddress(address);
    if (bytes === undefined) continue;
    const at = { address, prefix: bytes.length * 8, port: number };
    const rules = { connectionRules: endpointRules };
    const destination = { ...at, kind: 'endpoint' as const, ...shared, ...rules };
    candidates.push({ destination, from, rank: `1 ${name}` });
  }
  return candidates;
}

/** Of a VirtualService whose host is an address; undefined for a name. */
function destinationOfStranger(
  { host }: BoundHost,
  port: number,
  connectionRules: readonly ConnectionRule[],
): Destination | undefined {
  const bytes = parseAddress(host);
  if (bytes === undefined) return undefined;
  return {
    address: printBytes(bytes),
    prefix: bytes.length * 8,
    port,
    kind: 'service',
    protocol: connectionRules.some(takesNames) ? 'tls' : 'tcp',
    service: host,
    listener: '',
    connectionRules,
  };
}

/** One destination for each address and port: that of the first rank, or of all that TLS tells apart. */
function takeFirst(candidates: readonly Candidate[], parts: Parts): Destination[] {
  const taken = new Map<string, Candidate[]>();
  const sorted = candidates.toSorted(
    (first, second) => Number(first.rank > second.rank) - Number(first.rank < second.rank),
  );
  for (const candidate of sorted) {
    const { address, prefix, port, kind, protocol } = candidate.destination;
    const key = `${address}/${prefix} ${port}`;
    const others = taken.get(key);
    if (others === undefined) {
      taken.set(key, [candidate]);
      continue;
    }
    const [other] = others as [Candidate];
    // Services of HTTP share addresses often: the authority tells which one is meant.
    const { from } = candidate;
    if (areToldApart(candidate, other)) {
      others.push(candidate);
      continue;
    }
    const isUsual = protocol === 'http' && other.destination.protocol === 'http';
    const isPlain = kind !== 'service' || other.destination.kind !== 'service';
    if (isUsual || isPlain || from === undefined) continue;
    const message = `${address}:${port} is already that of \`${other.destination.service}\`, which counts`;
    const fix = 'Give one of the two services another address or port.';
    parts.complaints.add('destination-taken', from.service.at, message, fix);
  }
  return [...taken.values()].map((sharing) => joinByName(sharing, parts));
}

/** Services of TLS that share an address: the name that a ClientHello asks for says which one is meant. */
function areToldApart(one: Candidate, other: Candidate): boolean {
  const isTls = [one, other].every(({ destination }) => destination.protocol === 'tls');
  const areServices = one.from !== undefined && other.from !== undefined;
  const areAlike = one.destination.kind === other.destination.kind;
  return isTls && areServices && areAlike && isNamedOrDefault(one) && isNamedOrDefault(other);
}

/** No rule but its default takes connections without asking for a name. */
function isNamedOrDefault({ destination }: Candidate): boolean {
  return destination.connectionRules.filter((rule) => !takesNames(rule)).length <= 1;
}

/** Names that nobody has are of the first. */
function joinByName(sharing: readonly Candidate[], { connections }: Parts): Destination {
  const [{ destination }] = sharing as [Candidate];
  if (sharing.length === 1) return destination;
  const written: ConnectionRule[] = [];
  const byHost: ConnectionRule[] = [];
  for (const { destination: each, from } of sharing) {
    written.push(...each.connectionRules.filter(takesNames));
    if (from === undefined) continue;
    const matches = [{ sniHosts: [from.service.host], subnets: [] }];
    byHost.push(connections.defaultRule(from.service, from.port, matches));
  }
  // An endpoint that is dialled is meant, whatever is asked for there.
  if (destination.kind === 'endpoint' && written.length === 0) return destination;
  const rest = destination.connectionRules.filter((rule) => !takesNames(rule));
  return { ...destination, connectionRules: [...uniqueRules(written), ...byHost, ...rest] };
}

function compare(first: Destination, second: Destination): number {
  if (first.address !== second.address) return first.address < second.address ? -1 : 1;
  return first.prefix - second.prefix || first.port - second.port;
}
