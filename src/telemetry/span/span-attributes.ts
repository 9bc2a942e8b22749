/**
 * The attributes of a span, exactly as the table of reference/tracing.md section 4 lists them.
 *
 * A record and the names in, one call for each attribute out, in a fixed order, so that who writes them
 * as text makes no object. Every attribute has one type for ever; one that is not known is absent.
 * Sizes are opt-in and not here. Those of connections: connection-attributes.ts.
 */

import { failureByCode } from '../../model/failure.ts';
import {
  type ExchangeRecord,
  Join,
  joinWords,
  RecordFlag,
  RecordKind,
} from '../record/exchange-record.ts';
import { readExtra } from '../record/record-extra.ts';
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
import { putConnectionAttributes } from './connection-attributes.ts';
import { methodNames } from './method-names.ts';
import type { SpanOutcome } from './span-outcome.ts';
import { splitAuthority, splitTarget } from './url-parts.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const SCHEME = 'http';
const SWITCHING_PROTOCOLS = 101;

/** The method as a span may name it: undefined when it is unknown or not in `known`. */
export function knownMethod(
  record: ExchangeRecord,
  known: readonly string[] | undefined,
): string | undefined {
  const name = methodNames[record.method];
  return name !== undefined && (known === undefined || known.includes(name)) ? name : undefined;
}

/** Gives all attributes of the record's span to `to`. */
export function putSpanAttributes(
  record: ExchangeRecord,
  outcome: SpanOutcome,
  sources: AttributeSources,
  to: AttributeSink,
): void {
  const { names } = sources;
  if (record.kind === RecordKind.Connection) {
    putConnectionAttributes(record, outcome, sources, to);
    return;
  }
  putMethod(to, record, sources.knownMethods);
  if (outcome.statusCode !== 0) to.put('http.response.status_code', outcome.statusCode);
  if (outcome.errorType !== undefined) to.put('error.type', outcome.errorType);
  // A client that never connected has not spoken any protocol.
  if (record.kind !== RecordKind.Client || record.peerAddress !== '') {
    to.put('network.protocol.version', `1.${record.minorVersion}`);
  }
  if (record.peerAddress !== '') {
    to.put('network.peer.address', record.peerAddress);
    if (record.peerPort !== 0) to.put('network.peer.port', record.peerPort);
  }
  putTls(to, record);
  putPeerIdentity(to, record, names);
  if (record.kind === RecordKind.Client) putClient(to, record, sources);
  else putServer(to, record);
  putRouting(to, record, sources);
  const destination = names[record.destinationId];
  if (destination) to.put('tracecar.original_destination', destination);
  if (record.status === SWITCHING_PROTOCOLS) to.put('tracecar.upgrade', true);
  putPolicy(to, record, sources);
  putFailure(to, record, outcome);
  putTimes(to, record);
  if (record.connectionId !== 0) {
    to.put('tracecar.conn.reused', (record.flags & RecordFlag.ConnectionReused) !== 0);
    to.put('tracecar.conn.id', record.connectionId);
    to.put('tracecar.conn.requests', record.connectionRequests);
  }
  putSampledBy(to, record);
  putOwnAttributes(to, record, sources);
}

function putMethod(
  to: AttributeSink,
  record: ExchangeRecord,
  known: readonly string[] | undefined,
): void {
  const method = knownMethod(record, known);
  to.put('http.request.method', method ?? '_OTHER');
  if (method !== undefined) return;
  const original = methodNames[record.method] ?? readExtra(record.extra).method;
  if (original !== '') to.put('http.request.method_original', original);
}

function putServer(to: AttributeSink, record: ExchangeRecord): void {
  const { path, query } = splitTarget(record.target);
  to.put('tracecar.direction', 'inbound');
  const isSecure = (record.flags & RecordFlag.Tls) !== 0;
  to.put('url.scheme', isSecure ? 'https' : SCHEME);
  to.put('url.path', path);
  if (query !== undefined && query !== '') to.put('url.query', query);
  if (record.authority !== '') {
    const { host, port } = splitAuthority(record.authority, isSecure ? HTTPS_PORT : HTTP_PORT);
    to.put('server.address', host);
    to.put('server.port', port);
  }
  const { client: named, subject } = readExtra(record.extra);
  if (subject !== '') to.put('tls.client.subject', subject);
  const client = named || record.peerAddress;
  if (client !== '') to.put('client.address', client);
  if (record.userAgent !== '') to.put('user_agent.original', record.userAgent);
}

function putClient(to: AttributeSink, record: ExchangeRecord, sources: AttributeSources): void {
  const endpoint = sources.names[record.endpointId];
  // To a peer of the mesh TLS is the sidecars' own; to anybody else it is the server's.
  const isHttps = (record.flags & RecordFlag.Tls) !== 0 && record.principalId === 0;
  const usualPort = isHttps ? HTTPS_PORT : HTTP_PORT;
  const { host, port, printed } = splitAuthority(record.authority || (endpoint ?? ''), usualPort);
  const { path, query } = splitTarget(record.target);
  to.put('tracecar.direction', 'outbound');
  to.put('server.address', host);
  to.put('server.port', port);
  // `OPTIONS *` asks about the server itself: its URL has no path.
  const pathAndQuery = `${path === '*' ? '' : path}${query === undefined ? '' : `?${query}`}`;
  to.put('url.full', `${isHttps ? 'https' : SCHEME}://${printed}${pathAndQuery}`);
  if (record.attempt > 0) to.put('http.request.resend_count', record.attempt);
  const reason = failureByCode(record.attemptReason);
  if (reason !== undefined) to.put('tracecar.attempt.reason', reason.cause);
  putUpstream(to, record, sources);
  to.put('tracecar.join', joinOf(record, sources.correlationFields));
  // All ways of joining are exact; a guess would carry less.
  if (record.join !== Join.None) to.put('tracecar.join.confidence', 1);
}

/** How the request was tied to the inbound one that caused it; a correlation names its header. */
function joinOf(record: ExchangeRecord, correlationFields: readonly string[]): string {
  const word = joinWords[record.join] ?? 'none';
  if (record.join !== Join.Correlation) return word;
  return `${word}:${correlationFields[record.joinField] ?? 'unknown'}`;
}

function putTimes(to: AttributeSink, record: ExchangeRecord): void {
  putTime(to, 'tracecar.time.queue_us', record.queueUs);
  if (record.kind === RecordKind.Client) {
    putTime(to, 'tracecar.time.dns_us', record.dnsUs);
    putTime(to, 'tracecar.time.connect_us', record.connectUs);
  }
  putTime(to, 'tracecar.time.tls_us', record.tlsUs);
  if (record.kind === RecordKind.Client) putTime(to, 'tracecar.time.request_us', record.requestUs);
  putTime(to, 'tracecar.time.ttfb_us', record.firstByteUs);
  putTime(to, 'tracecar.time.response_us', record.responseUs);
  putTime(to, 'tracecar.time.proxy_us', record.proxyUs);
}
