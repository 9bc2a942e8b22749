/**
 * The attributes of a connection's span: one that was relayed unread, captured or upgraded.
 *
 * What it says of the wire is what could be seen without reading on: who, where to, the first bytes,
 * and how much of what followed. Names are those of tracing.md section 4 where there is one.
 */

import { Detected, detectedByWords, detectedWords } from '../record/detection.ts';
import { type ExchangeRecord, isOutbound } from '../record/exchange-record.ts';
import {
  type AttributeSink,
  type AttributeSources,
  putFailure,
  putOwnAttributes,
  putPeerIdentity,
  putPolicy,
  putRouting,
  putSampledBy,
  putTime,
  putTls,
  putUpstream,
} from './attribute-parts.ts';
import type { SpanOutcome } from './span-outcome.ts';
import { splitAuthority } from './url-parts.ts';

/** Of those verdicts that name one: `network.protocol.name`, and its version. */
const protocols: ReadonlyMap<number, readonly [name: string, version: string]> = new Map<
  number,
  readonly [string, string]
>([
  [Detected.Http2, ['http', '2']],
  [Detected.Tls, ['tls', '']],
  [Detected.WebSocket, ['websocket', '']],
]);

/** Gives all attributes of the span of a `Connection` record to `to`. */
export function putConnectionAttributes(
  record: ExchangeRecord,
  outcome: SpanOutcome,
  sources: AttributeSources,
  to: AttributeSink,
): void {
  const { names } = sources;
  if (outcome.errorType !== undefined) to.put('error.type', outcome.errorType);
  to.put('network.transport', 'tcp');
  const [name, version] = protocols.get(record.method) ?? ['', ''];
  if (name !== '') to.put('network.protocol.name', name);
  if (version !== '') to.put('network.protocol.version', version);
  to.put('tracecar.protocol', detectedWords[record.method] ?? detectedWords[0]!);
  const by = detectedByWords[record.join];
  if (by) to.put('tracecar.detected_by', by);
  to.put('tracecar.direction', isOutbound(record) ? 'outbound' : 'inbound');
  putPeers(to, record);
  putTls(to, record);
  putPeerIdentity(to, record, names);
  putDestination(to, record, names[record.destinationId]);
  putUpstream(to, record, sources);
  putRouting(to, record, sources);
  to.put('tracecar.sent_bytes', record.requestBytes);
  to.put('tracecar.received_bytes', record.responseBytes);
  putPolicy(to, record, sources);
  putFailure(to, record, outcome);
  putTime(to, 'tracecar.time.connect_us', record.connectUs);
  putTime(to, 'tracecar.time.tls_us', record.tlsUs);
  putTime(to, 'tracecar.time.ttfb_us', record.firstByteUs);
  to.put('tracecar.conn.id', record.connectionId);
  putSampledBy(to, record);
  putOwnAttributes(to, record, sources);
}

/** Whether the connection was HTTP before: then its authority is a Host, no original destination. */
export function isUpgraded(record: ExchangeRecord): boolean {
  return record.method >= Detected.WebSocket;
}

function putPeers(to: AttributeSink, record: ExchangeRecord): void {
  if (record.peerAddress === '') return;
  to.put('client.address', record.peerAddress);
  if (record.peerPort !== 0) to.put('client.port', record.peerPort);
}

/** The name that TLS asks for, else where the downstream was going. */
function putDestination(
  to: AttributeSink,
  record: ExchangeRecord,
  configured: string | undefined,
): void {
  const { target: serverName, authority } = record;
  if (serverName !== '' || authority !== '') {
    const { host, port } = splitAuthority(authority, 0);
    to.put('server.address', serverName === '' ? host : serverName);
    if (port !== 0) to.put('server.port', port);
  }
  if (record.userAgent !== '') to.put('tracecar.alpn', record.userAgent.split(','));
  if (!isUpgraded(record)) to.put('tracecar.original_destination', configured || authority);
}
