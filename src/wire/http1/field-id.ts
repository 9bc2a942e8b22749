/**
 * Known field names as small integers, and their recognition in bytes without making a string.
 *
 * A name is looked up by its length and its first and last letter, then compared byte by byte without
 * case. A name that equals a known one but for `_` in place of `-` is Underscored: CGI-like readers
 * behind us take `Content_Length` for the real one (reliability.md rows 19, 42 and 149).
 */

export const FieldId = {
  Other: 0,
  Host: 1,
  ContentLength: 2,
  TransferEncoding: 3,
  Connection: 4,
  KeepAlive: 5,
  ProxyConnection: 6,
  Te: 7,
  Trailer: 8,
  Upgrade: 9,
  Http2Settings: 10,
  ProxyAuthorization: 11,
  Expect: 12,
  Traceparent: 13,
  Tracestate: 14,
  UserAgent: 15,
  XRequestId: 16,
  XTracecarJoin: 17,
  XTracecarCause: 18,
  Date: 19,
  Server: 20,
  Via: 21,
  SecWebSocketKey: 22,
  XForwardedFor: 23,
  XForwardedProto: 24,
  XForwardedHost: 25,
  XForwardedPort: 26,
  XForwardedClientCert: 27,
  Forwarded: 28,
  XRealIp: 29,
  ContentType: 30,
  ContentEncoding: 31,
  XTracecarHops: 32,
  Authorization: 33,
  B3: 34,
  XB3TraceId: 35,
  XB3SpanId: 36,
  XB3ParentSpanId: 37,
  XB3Sampled: 38,
  XB3Flags: 39,
  UberTraceId: 40,
  Baggage: 41,
  ServerTiming: 42,
  XCorrelationId: 43,
  XAmznTraceId: 44,
  SentryTrace: 45,
  XDatadogTraceId: 46,
  XTracecarKeep: 47,
  XTracecarDebug: 48,
} as const;

/** From here on a name with `_` for `-` is a field like any other: it steers nothing behind us. */
const FIRST_HARMLESS = FieldId.B3;

/** Lower-case names by id; index 0 is empty. */
export const fieldNames: readonly string[] = Object.freeze([
  '',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'http2-settings',
  'proxy-authorization',
  'expect',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-request-id',
  'x-tracecar-join',
  'x-tracecar-cause',
  'date',
  'server',
  'via',
  'sec-websocket-key',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-client-cert',
  'forwarded',
  'x-real-ip',
  'content-type',
  'content-encoding',
  'x-tracecar-hops',
  'authorization',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'uber-trace-id',
  'baggage',
  'server-timing',
  'x-correlation-id',
  'x-amzn-trace-id',
  'sentry-trace',
  'x-datadog-trace-id',
  'x-tracecar-keep',
  'x-tracecar-debug',
]);

/** What `fieldIdOf` returns for a known name written with `_`, or any `x_forwarded_...`. */
export const UNDERSCORED = 255;

const NAME_STRIDE = 32;
const nameBytes = new Uint8Array(fieldNames.length * NAME_STRIDE);
/** First id with this key, and for each id the next one with the same key; 0 ends a chain. */
const firstByKey = new Uint8Array(1024);
const nextWithKey = new Uint8Array(fieldNames.length);
const nameLength = Uint8Array.from(fieldNames, (name) => name.length);

for (let id = 1; id < fieldNames.length; id++) {
  const name = fieldNames[id]!;
  for (let at = 0; at < name.length; at++) nameBytes[id * NAME_STRIDE + at] = name.charCodeAt(at);
  const key = keyOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));
  nextWithKey[id] = firstByKey[key]!;
  firstByKey[key] = id;
}

function keyOf(length: number, first: number, last: number): number {
  return ((length << 5) ^ ((first & 31) << 2) ^ (last & 31)) & 1023;
}

const DASH = 0x2d;
const UNDERSCORE = 0x5f;
const X = 0x78;

/** The id of the name in `buffer[start..end)` (token bytes, at least one), Other, or UNDERSCORED. */
export function fieldIdOf(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const first = buffer[start]!;
  let id = firstByKey[keyOf(length, first, buffer[end - 1]!)]!;
  while (id !== 0) {
    const verdict = compareName(buffer, start, length, id);
    if (verdict !== 0) return verdict;
    id = nextWithKey[id]!;
  }
  return (first | 0x20) === X && isForwardedUnderscored(buffer, start, length) ? UNDERSCORED : 0;
}

/** `id` when the name is that field's, UNDERSCORED when it is but for `_` and that does harm, else 0. */
function compareName(buffer: Uint8Array, start: number, length: number, id: number): number {
  const name = id * NAME_STRIDE;
  if (nameLength[id] !== length) return 0;
  let found = id;
  for (let at = 0; at < length; at++) {
    const byte = buffer[start + at]!;
    const wanted = nameBytes[name + at]!;
    if ((byte | 0x20) !== wanted) {
      if (byte !== UNDERSCORE || wanted !== DASH || id >= FIRST_HARMLESS) return 0;
      found = UNDERSCORED;
    }
  }
  return found;
}

const FORWARDED_PREFIX = 'x-forwarded-';

function isForwardedUnderscored(buffer: Uint8Array, start: number, length: number): boolean {
  if (length < FORWARDED_PREFIX.length) return false;
  let underscored = false;
  for (let at = 0; at < FORWARDED_PREFIX.length; at++) {
    const byte = buffer[start + at]!;
    const wanted = FORWARDED_PREFIX.charCodeAt(at);
    if ((byte | 0x20) === wanted) continue;
    if (byte !== UNDERSCORE || wanted !== DASH) return false;
    underscored = true;
  }
  return underscored;
}
