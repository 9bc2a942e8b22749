/**
 * The access log: one JSON object a line for every exchange, sampled or not, and for every connection
 * that was relayed unread, at its end.
 *
 * Trace ids are top-level (`trace_id`, `span_id`, `trace_flags`), so that a log backend joins lines
 * and spans; absent fields mean "not known", times are microseconds.
 */

import { failureByCode } from '../../model/failure.ts';
import { Detected, detectedByWords, detectedWords } from '../record/detection.ts';
import {
  type ExchangeRecord,
  isOutbound,
  PolicyBit,
  RecordKind,
  sampledByWords,
} from '../record/exchange-record.ts';
import { readExtra } from '../record/record-extra.ts';
import { type NameList, policiesOf } from '../span/attribute-parts.ts';
import { isUpgraded } from '../span/connection-attributes.ts';
import { methodNames } from '../span/method-names.ts';
import { hexWord, traceFlagsOf, traceIdOf } from '../span/record-span.ts';
import { splitTarget } from '../span/url-parts.ts';

/** One line, without the newline. `epochMs`: wall clock at the monotonic 0 of `record.startMs`. */
export function accessLogLine(record: ExchangeRecord, names: NameList, epochMs: number): string {
  if (record.kind === RecordKind.Connection) return connectionLine(record, names, epochMs);
  const { path, query } = splitTarget(record.target);
  const { client, detail, subject } = readExtra(record.extra);
  return JSON.stringify({
    time: new Date(epochMs + record.startMs).toISOString(),
    direction: isOutbound(record) ? 'outbound' : 'inbound',
    method: methodNames[record.method],
    authority: record.authority || undefined,
    path,
    query,
    protocol: `HTTP/1.${record.minorVersion}`,
    status: record.status || undefined,
    cause: failureByCode(record.causeCode)?.cause,
    flag: failureByCode(record.causeCode)?.flag,
    detail: detail || undefined,
    ...traceFields(record),
    ...routingFields(record, names),
    attempt: record.attempt || undefined,
    client: client || undefined,
    client_subject: subject || undefined,
    peer: record.peerAddress || undefined,
    ...securityFields(record, names),
    original_destination: names[record.destinationId] || undefined,
    user_agent: record.userAgent || undefined,
    request_bytes: record.requestBytes,
    response_bytes: record.responseBytes,
    total_us: Math.round(record.totalUs),
    queue_us: reached(record.queueUs),
    dns_us: reached(record.dnsUs),
    connect_us: reached(record.connectUs),
    tls_us: reached(record.tlsUs),
    request_us: reached(record.requestUs),
    ttfb_us: reached(record.firstByteUs),
    response_us: reached(record.responseUs),
    proxy_us: reached(record.proxyUs),
    conn_id: record.connectionId || undefined,
    generation: record.generation || undefined,
  });
}

/** A connection that was relayed unread. */
function connectionLine(record: ExchangeRecord, names: NameList, epochMs: number): string {
  const failed = failureByCode(record.causeCode);
  const isTunnel = isUpgraded(record);
  return JSON.stringify({
    time: new Date(epochMs + record.startMs).toISOString(),
    direction: isOutbound(record) ? 'outbound' : 'inbound',
    protocol: record.method === Detected.Unknown ? 'opaque' : detectedWords[record.method],
    detected_by: detectedByWords[record.join] || undefined,
    authority: isTunnel ? record.authority || undefined : undefined,
    destination: isTunnel ? undefined : record.authority,
    sni: record.target || undefined,
    alpn: record.userAgent || undefined,
    cause: failed?.cause,
    flag: failed?.flag,
    detail: readExtra(record.extra).detail || undefined,
    ...traceFields(record),
    ...routingFields(record, names),
    original_destination: names[record.destinationId] || undefined,
    peer: record.peerAddress || undefined,
    ...securityFields(record, names),
    sent_bytes: record.requestBytes,
    received_bytes: record.responseBytes,
    total_us: Math.round(record.totalUs),
    connect_us: reached(record.connectUs),
    ttfb_us: reached(record.firstByteUs),
    conn_id: record.connectionId,
    generation: record.generation || undefined,
  });
}

function traceFields(record: ExchangeRecord): object {
  const hasTrace = (record.traceId0 | record.traceId1 | record.traceId2 | record.traceId3) !== 0;
  if (!hasTrace) return { sampled_by: sampledByWords[record.sampledBy] };
  return {
    trace_id: traceIdOf(record),
    span_id: hexWord(record.spanId0) + hexWord(record.spanId1),
    trace_flags: traceFlagsOf(record).toString(16).padStart(2, '0'),
    sampled_by: sampledByWords[record.sampledBy],
  };
}

function routingFields(record: ExchangeRecord, names: NameList): object {
  return {
    route: names[record.routeId] || undefined,
    rule: record.routeId === 0 ? undefined : record.ruleIndex,
    cluster: names[record.clusterId] || undefined,
    subset: names[record.subsetId] || undefined,
    weight: record.weight || undefined,
    endpoint: names[record.endpointId] || undefined,
  };
}

/** Who the peer has proved to be, and what a policy did. */
function securityFields(record: ExchangeRecord, names: NameList): object {
  const policies = policiesOf(record, names);
  const ifBit = (bit: number, name: string | undefined) =>
    (record.policyBits & bit) !== 0 ? name : undefined;
  return {
    peer_identity: names[record.principalId] || undefined,
    policy: ifBit(PolicyBit.Denied, policies?.first.name),
    policy_would: ifBit(PolicyBit.WouldDeny, policies?.first.name),
    policy_audit: ifBit(PolicyBit.Audited, policies?.audit.name),
  };
}

function reached(us: number): number | undefined {
  return us < 0 ? undefined : Math.round(us);
}
