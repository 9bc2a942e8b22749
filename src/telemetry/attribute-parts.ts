/**
 * The attributes that spans of exchanges and of connections have in common, a few at a time.
 *
 * What is not known is not put; the order within one call is fixed.
 */

import type { ClusterBook, ClusterFacts } from './cluster-facts.ts';
import { type ExchangeRecord, SampledBy } from './exchange-record.ts';
import type { SpanOutcome } from './span-outcome.ts';

/** Names by id, as the NameTable of the hot thread gave them; index 0 is unused. */
export type NameList = readonly string[];

/** What attributes need to know beside the record. */
export interface AttributeSources {
  readonly names: NameList;
  readonly clusters: ClusterBook;
  /** Methods that may be named; undefined: all that Tracecar knows. */
  readonly knownMethods: readonly string[] | undefined;
}

/** Takes attributes one by one. */
export interface AttributeSink {
  put(key: string, value: string | number | boolean | readonly string[]): void;
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

/** The rule and what it chose. */
export function putRouting(to: AttributeSink, record: ExchangeRecord, names: NameList): void {
  const route = names[record.routeId];
  if (route) {
    to.put('tracecar.route', route);
    to.put('tracecar.rule', record.ruleIndex);
  }
  if (names[record.subsetId]) to.put('tracecar.subset', names[record.subsetId]!);
  if (record.weight !== 0) to.put('tracecar.weight', record.weight);
  if (record.generation !== 0) to.put('tracecar.generation', record.generation);
}

export function putFailure(to: AttributeSink, outcome: SpanOutcome): void {
  if (outcome.cause !== undefined) to.put('tracecar.cause', outcome.cause);
  if (outcome.flags.length > 0) to.put('tracecar.flags', outcome.flags);
}

export function putSampledBy(to: AttributeSink, record: ExchangeRecord): void {
  if (record.sampledBy === SampledBy.None) return;
  to.put('tracecar.sampled_by', record.sampledBy === SampledBy.Parent ? 'parent' : 'ratio');
}

/** Microseconds; absent when it was not reached. */
export function putTime(to: AttributeSink, key: string, value: number): void {
  if (value >= 0) to.put(key, Math.round(value));
}
