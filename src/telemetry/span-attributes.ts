/**
 * The attributes of a span, exactly as the table of reference/tracing.md section 4 lists them.
 *
 * Pure: a record and the names in, an object out. Every attribute has one type for ever; one that is
 * not known is absent. Sizes and header values are opt-in and not here.
 */

import type { Attributes } from '@opentelemetry/api';
import { failureByCode } from '../model/failure.ts';
import type { ClusterBook, ClusterFacts } from './cluster-facts.ts';
import { type ExchangeRecord, Join, RecordFlag, RecordKind, SampledBy } from './exchange-record.ts';
import { methodNames } from './method-names.ts';
import type { SpanOutcome } from './span-outcome.ts';
import { splitAuthority, splitTarget } from './url-parts.ts';

/** Names by id, as the NameTable of the hot thread gave them; index 0 is unused. */
export type NameList = readonly string[];

/** What attributes need to know beside the record. */
export interface AttributeSources {
  readonly names: NameList;
  readonly clusters: ClusterBook;
  /** Methods that may be named; undefined: all that Tracecar knows. */
  readonly knownMethods: readonly string[] | undefined;
}

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const SCHEME = 'http';

/** The method as a span may name it: undefined when it is unknown or not in `known`. */
export function knownMethod(
  record: ExchangeRecord,
  known: readonly string[] | undefined,
): string | undefined {
  const name = methodNames[record.method];
  return name !== undefined && (known === undefined || known.includes(name)) ? name : undefined;
}

/** All attributes of the record's span. */
export function spanAttributes(
  record: ExchangeRecord,
  outcome: SpanOutcome,
  sources: AttributeSources,
): Attributes {
  const { names } = sources;
  const attributes: Attributes = {};
  addMethod(attributes, record, sources.knownMethods);
  if (outcome.statusCode !== 0) attributes['http.response.status_code'] = outcome.statusCode;
  if (outcome.errorType !== undefined) attributes['error.type'] = outcome.errorType;
  // A client that never connected has not spoken any protocol.
  if (record.kind !== RecordKind.Client || record.peerAddress !== '') {
    attributes['network.protocol.version'] = `1.${record.minorVersion}`;
  }
  if (record.peerAddress !== '') {
    attributes['network.peer.address'] = record.peerAddress;
    if (record.peerPort !== 0) attributes['network.peer.port'] = record.peerPort;
  }
  if (record.kind === RecordKind.Client) addClient(attributes, record, sources);
  else addServer(attributes, record);
  addRouting(attributes, record, names);
  if (outcome.cause !== undefined) attributes['tracecar.cause'] = outcome.cause;
  if (outcome.flags.length > 0) attributes['tracecar.flags'] = [...outcome.flags];
  addTimes(attributes, record);
  if (record.connectionId !== 0) {
    attributes['tracecar.conn.reused'] = (record.flags & RecordFlag.ConnectionReused) !== 0;
    attributes['tracecar.conn.id'] = record.connectionId;
    attributes['tracecar.conn.requests'] = record.connectionRequests;
  }
  if (record.sampledBy !== SampledBy.None) {
    attributes['tracecar.sampled_by'] = record.sampledBy === SampledBy.Parent ? 'parent' : 'ratio';
  }
  return attributes;
}

function addMethod(
  attributes: Attributes,
  record: ExchangeRecord,
  known: readonly string[] | undefined,
): void {
  const method = knownMethod(record, known);
  attributes['http.request.method'] = method ?? '_OTHER';
  const original = methodNames[record.method];
  if (method === undefined && original !== undefined) {
    attributes['http.request.method_original'] = original;
  }
}

function addServer(attributes: Attributes, record: ExchangeRecord): void {
  const { path, query } = splitTarget(record.target);
  attributes['tracecar.direction'] = 'inbound';
  const isSecure = (record.flags & RecordFlag.Tls) !== 0;
  attributes['url.scheme'] = isSecure ? 'https' : SCHEME;
  attributes['url.path'] = path;
  if (query !== undefined && query !== '') attributes['url.query'] = query;
  if (record.authority !== '') {
    const { host, port } = splitAuthority(record.authority, isSecure ? HTTPS_PORT : HTTP_PORT);
    attributes['server.address'] = host;
    attributes['server.port'] = port;
  }
  if (record.peerAddress !== '') attributes['client.address'] = record.peerAddress;
  if (record.userAgent !== '') attributes['user_agent.original'] = record.userAgent;
}

const joinWords: Readonly<Record<number, string>> = {
  [Join.None]: 'none',
  [Join.App]: 'app',
  [Join.Preload]: 'preload',
};

function addClient(
  attributes: Attributes,
  record: ExchangeRecord,
  { names, clusters }: AttributeSources,
): void {
  const endpoint = names[record.endpointId];
  const { host, port, printed } = splitAuthority(record.authority || (endpoint ?? ''), HTTP_PORT);
  const { path, query } = splitTarget(record.target);
  attributes['tracecar.direction'] = 'outbound';
  attributes['server.address'] = host;
  attributes['server.port'] = port;
  // `OPTIONS *` asks about the server itself: its URL has no path.
  const pathAndQuery = `${path === '*' ? '' : path}${query === undefined ? '' : `?${query}`}`;
  attributes['url.full'] = `${SCHEME}://${printed}${pathAndQuery}`;
  if (record.attempt > 0) attributes['http.request.resend_count'] = record.attempt;
  const reason = failureByCode(record.attemptReason);
  if (reason !== undefined) attributes['tracecar.attempt.reason'] = reason.cause;
  const cluster = names[record.clusterId];
  if (cluster) {
    attributes['tracecar.cluster'] = cluster;
    addCluster(attributes, clusters.find(record.generation, cluster));
  }
  if (endpoint) attributes['tracecar.endpoint'] = endpoint;
  attributes['tracecar.join'] = joinWords[record.join] ?? 'none';
  // Both ways of joining are exact; a guess would carry less.
  if (record.join !== Join.None) attributes['tracecar.join.confidence'] = 1;
}

function addCluster(attributes: Attributes, facts: ClusterFacts | undefined): void {
  if (facts === undefined) return;
  attributes['service.peer.name'] = facts.serviceName;
  if (facts.serviceNamespace !== '') attributes['service.peer.namespace'] = facts.serviceNamespace;
  attributes['tracecar.lb.policy'] = facts.balancing;
  attributes['tracecar.lb.candidates'] = facts.candidates;
}

function addRouting(attributes: Attributes, record: ExchangeRecord, names: NameList): void {
  const route = names[record.routeId];
  if (route) {
    attributes['tracecar.route'] = route;
    attributes['tracecar.rule'] = record.ruleIndex;
  }
  if (names[record.subsetId]) attributes['tracecar.subset'] = names[record.subsetId]!;
  if (record.weight !== 0) attributes['tracecar.weight'] = record.weight;
  if (record.generation !== 0) attributes['tracecar.generation'] = record.generation;
}

function addTimes(attributes: Attributes, record: ExchangeRecord): void {
  const isClient = record.kind === RecordKind.Client;
  addTime(attributes, 'queue_us', record.queueUs);
  if (isClient) {
    addTime(attributes, 'connect_us', record.connectUs);
    addTime(attributes, 'request_us', record.requestUs);
  }
  addTime(attributes, 'ttfb_us', record.firstByteUs);
  addTime(attributes, 'response_us', record.responseUs);
  addTime(attributes, 'proxy_us', record.proxyUs);
}

function addTime(attributes: Attributes, word: string, value: number): void {
  if (value >= 0) attributes[`tracecar.time.${word}`] = Math.round(value);
}
