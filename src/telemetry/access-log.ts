/**
 * The access log: one JSON object a line for every exchange, sampled or not.
 *
 * Trace ids are top-level (`trace_id`, `span_id`, `trace_flags`), so that a log backend joins lines
 * and spans; absent fields mean "not known", times are microseconds.
 */

import { failureByCode } from '../model/failure.ts';
import { type ExchangeRecord, RecordFlag, RecordKind, SampledBy } from './exchange-record.ts';
import { methodNames } from './method-names.ts';
import { hexWord, traceFlagsOf, traceIdOf } from './record-span.ts';
import type { NameList } from './span-attributes.ts';
import { splitTarget } from './url-parts.ts';

/** One line, without the newline. `epochMs`: wall clock at the monotonic 0 of `record.startMs`. */
export function accessLogLine(record: ExchangeRecord, names: NameList, epochMs: number): string {
  if (record.kind === RecordKind.Connection) return connectionLine(record, epochMs);
  const { path, query } = splitTarget(record.target);
  const hasTrace = (record.traceId0 | record.traceId1 | record.traceId2 | record.traceId3) !== 0;
  const traceFlags = traceFlagsOf(record).toString(16).padStart(2, '0');
  return JSON.stringify({
    time: new Date(epochMs + record.startMs).toISOString(),
    direction: record.kind === RecordKind.Client ? 'outbound' : 'inbound',
    method: methodNames[record.method],
    authority: record.authority || undefined,
    path,
    query,
    protocol: `HTTP/1.${record.minorVersion}`,
    status: record.status || undefined,
    cause: failureByCode(record.causeCode)?.cause,
    flag: failureByCode(record.causeCode)?.flag,
    trace_id: hasTrace ? traceIdOf(record) : undefined,
    span_id: hasTrace ? hexWord(record.spanId0) + hexWord(record.spanId1) : undefined,
    trace_flags: hasTrace ? traceFlags : undefined,
    sampled_by: sampledByWords[record.sampledBy],
    route: names[record.routeId] || undefined,
    rule: record.routeId === 0 ? undefined : record.ruleIndex,
    cluster: names[record.clusterId] || undefined,
    subset: names[record.subsetId] || undefined,
    weight: record.weight || undefined,
    endpoint: names[record.endpointId] || undefined,
    attempt: record.attempt || undefined,
    peer: record.peerAddress || undefined,
    user_agent: record.userAgent || undefined,
    request_bytes: record.requestBytes,
    response_bytes: record.responseBytes,
    total_us: Math.round(record.totalUs),
    connect_us: reached(record.connectUs),
    request_us: reached(record.requestUs),
    ttfb_us: reached(record.firstByteUs),
    response_us: reached(record.responseUs),
    proxy_us: reached(record.proxyUs),
    conn_id: record.connectionId || undefined,
    generation: record.generation || undefined,
  });
}

/** A connection that was relayed unread. */
function connectionLine(record: ExchangeRecord, epochMs: number): string {
  const failed = failureByCode(record.causeCode);
  return JSON.stringify({
    time: new Date(epochMs + record.startMs).toISOString(),
    direction: (record.flags & RecordFlag.Inbound) !== 0 ? 'inbound' : 'outbound',
    protocol: 'opaque',
    destination: record.authority,
    cause: failed?.cause,
    flag: failed?.flag,
    peer: record.peerAddress || undefined,
    sent_bytes: record.requestBytes,
    received_bytes: record.responseBytes,
    total_us: Math.round(record.totalUs),
    connect_us: reached(record.connectUs),
    ttfb_us: reached(record.firstByteUs),
    conn_id: record.connectionId,
  });
}

const sampledByWords: Readonly<Record<number, string>> = {
  [SampledBy.Parent]: 'parent',
  [SampledBy.Ratio]: 'ratio',
};

function reached(us: number): number | undefined {
  return us < 0 ? undefined : Math.round(us);
}
