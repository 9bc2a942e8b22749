/**
 * The attributes that spans of exchanges and of connections have in common, a few at a time.
 *
 * What is not known is not put; the order within one call is fixed.
 */

import { failure } from '../../model/failure.ts';
import type { Direction } from '../../model/routing-table.ts';
import {
  type ExchangeRecord,
  isOutbound,
  PolicyBit,
  RecordFlag,
  sampledByWords,
  tlsVersionWords,
} from '../record/exchange-record.ts';
import { readPolicies } from '../record/policy-name.ts';
import { readExtra } from '../record/record-extra.ts';
import type { CapturedHeaders } from '../settings/captured-headers.ts';
import type { ClusterBook, ClusterFacts } from './cluster-facts.ts';
import type { RuleBook } from './rule-book.ts';
import type { SpanKey, SpanValue } from './span-keys.ts';
import type { SpanOutcome } from './span-outcome.ts';

/** Names by id, as the NameTable of the hot thread gave them; index 0 is unused. */
export type NameList = readonly string[];

/** What attributes need to know beside the record. */
export interface AttributeSources {
  readonly names: NameList;
  readonly clusters: ClusterBook;
  readonly rules: RuleBook;
  /** Names of header fields by `record.joinField`. */
  readonly correlationFields: readonly string[];
  readonly capturedHeaders: Readonly<Record<Direction, CapturedHeaders>>;
  /** Methods that may be named; undefined: all that Tracecar knows. */
  readonly knownMethods: readonly string[] | undefined;
}

/** Takes attributes one by one. */
export interface AttributeSink {
  put<Key extends SpanKey>(key: Key, value: SpanValue<Key>): void;
  /** One whose key is the user's: a custom tag, a captured header. */
  putOwn(key: string, value: string | readonly string[]): void;
}

/** Which cluster and which endpoint of it. */
export function putUpstream(
  to: AttributeSink,
  record: ExchangeRecord,
  { names, clusters }: Pick<AttributeSources, 'names' | 'clusters'>,
): void {
  const cluster = names[record.clusterId];
  if (cluster) {
    to.put('tracecar.cluster', cluster);
    putCluster(to, clusters.find(record.generation, cluster));
  }
  const endpoint = names[record.endpointId];
  if (endpoint) to.put('tracecar.endpoint', endpoint);
}

function putCluster(to: AttributeSink, facts: ClusterFacts | undefined): void {
  if (facts === undefined) return;
  to.put('service.peer.name', facts.serviceName);
  if (facts.serviceNamespace !== '') to.put('service.peer.namespace', facts.serviceNamespace);
  to.put('tracecar.lb.policy', facts.balancing);
  to.put('tracecar.lb.candidates', facts.candidates);
}

/** The rule, where it is written, and what it chose. */
export function putRouting(
  to: AttributeSink,
  record: ExchangeRecord,
  { names, rules }: Pick<AttributeSources, 'names' | 'rules'>,
): void {
  const route = names[record.routeId];
  if (route) {
    to.put('tracecar.route', route);
    to.put('tracecar.rule', record.ruleIndex);
    const origin = rules.findOrigin(record.generation, route, record.ruleIndex);
    if (origin !== undefined) to.put('tracecar.rule.origin', origin);
  }
  if (names[record.subsetId]) to.put('tracecar.subset', names[record.subsetId]!);
  if (record.weight !== 0) to.put('tracecar.weight', record.weight);
  if (record.generation !== 0) to.put('tracecar.generation', record.generation);
}

export function putFailure(to: AttributeSink, record: ExchangeRecord, outcome: SpanOutcome): void {
  if (outcome.cause !== undefined) {
    to.put('tracecar.cause', outcome.cause);
    const { detail } = readExtra(record.extra);
    if (detail !== '') to.put('tracecar.detail', detail);
  }
  if (outcome.flags.length > 0) to.put('tracecar.flags', outcome.flags);
}

export function putSampledBy(to: AttributeSink, record: ExchangeRecord): void {
  const word = sampledByWords[record.sampledBy];
  if (word !== undefined) to.put('tracecar.sampled_by', word);
}

/** TLS of the peer's connection; nothing is said of plain text. */
export function putTls(to: AttributeSink, record: ExchangeRecord): void {
  const version = tlsVersionWords[record.tlsVersion];
  if ((record.flags & RecordFlag.Tls) === 0 && !version) return;
  to.put('tls.established', true);
  if (version) to.put('tls.protocol.version', version);
}

/**
 * Who the peer has proved to be. Of a caller that is also all that is known of its service: its
 * namespace, and its service account for a name; a callee's service is the cluster's.
 */
export function putPeerIdentity(to: AttributeSink, record: ExchangeRecord, names: NameList): void {
  const { expected, proved } = readExtra(record.extra);
  if (expected !== '') to.put('tracecar.peer.expected', expected);
  const identity = names[record.principalId] || proved;
  if (identity === '') return;
  to.put('tracecar.peer.identity', identity);
  if (isOutbound(record)) return;
  const [, namespace, account] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(identity) ?? [];
  if (namespace === undefined || account === undefined) return;
  to.put('service.peer.name', account);
  to.put('service.peer.namespace', namespace);
}

/** The authorization policy that denied, would have denied, or asks for an audit. */
export function putPolicy(
  to: AttributeSink,
  record: ExchangeRecord,
  { names }: Pick<AttributeSources, 'names'>,
): void {
  const policy = policiesOf(record, names);
  if (policy === undefined) return;
  const { name, origin } = policy.first;
  if ((policy.bits & PolicyBit.Denied) !== 0) {
    to.put('tracecar.policy', name);
    const isForLack = (policy.bits & PolicyBit.NoneAllows) !== 0;
    // A PeerAuthentication has no rules, and what cannot be evaluated has none that holds.
    const { causeCode } = record;
    const isUnjudged =
      causeCode === failure['no-identity'].code || causeCode === failure['policy-unsupported'].code;
    if (!isUnjudged) to.put('tracecar.policy.reason', isForLack ? 'none-allows' : 'deny');
  }
  if ((policy.bits & PolicyBit.WouldDeny) !== 0) to.put('tracecar.policy.would', name);
  if ((policy.bits & PolicyBit.Audited) !== 0) to.put('tracecar.policy.audit', policy.audit.name);
  if (origin !== '') to.put('tracecar.policy.origin', origin);
}

/** The record's authorization policies, and its `PolicyBit`s. */
export function policiesOf(record: ExchangeRecord, names: NameList) {
  const text = names[record.policyId];
  return text ? { ...readPolicies(text), bits: record.policyBits } : undefined;
}

/** Custom tags of the table's tracing rules, then captured headers: what the user asked for. */
export function putOwnAttributes(
  to: AttributeSink,
  record: ExchangeRecord,
  { rules, capturedHeaders }: Pick<AttributeSources, 'rules' | 'capturedHeaders'>,
): void {
  const direction = isOutbound(record) ? 'outbound' : 'inbound';
  const tags = rules.tagsOf(record.generation, direction);
  const { request, response } = capturedHeaders[direction];
  if (tags.length + request.length + response.length === 0) return;
  const extra = readExtra(record.extra);
  for (const [index, { name, value }] of tags.entries()) {
    const own = extra.tags.get(index)?.[0] ?? value;
    if (name !== '' && own !== '') to.putOwn(name, own);
  }
  for (const [index, name] of [...request, ...response].entries()) {
    const values = extra.headers.get(index);
    const side = index < request.length ? 'request' : 'response';
    if (values !== undefined) to.putOwn(`http.${side}.header.${name}`, values);
  }
}

type TimeKey = Extract<SpanKey, `tracecar.time.${string}`>;

/** Microseconds; absent when it was not reached. */
export function putTime(to: AttributeSink, key: TimeKey, value: number): void {
  if (value >= 0) to.put(key, Math.round(value));
}
