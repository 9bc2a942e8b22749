/**
 * Spans of records: every rule of reference/tracing.md 2.1 and every row of its section 4 that records
 * carry, with the types of the values.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure, failures } from '../../src/model/failure.ts';
import { Detected, DetectedBy } from '../../src/telemetry/record/detection.ts';
import {
  type ExchangeRecord,
  Join,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import { ClusterBook } from '../../src/telemetry/span/cluster-facts.ts';
import { methodNames } from '../../src/telemetry/span/method-names.ts';
import { RecordSpan } from '../../src/telemetry/span/record-span.ts';
import type { SpanSurroundings } from '../../src/telemetry/span/span-surroundings.ts';
import { Method, methodName } from '../../src/wire/http1/method.ts';
import { inbound, outbound } from './records.ts';
import { surroundings } from './surroundings.ts';

const names = ['', 'reviews', 'outbound|9080|v1|reviews', 'v1', '10.0.0.7:9080'];
const clusters = new ClusterBook();
clusters.add({
  generation: 3,
  clusters: [
    {
      name: 'outbound|9080|v1|reviews',
      serviceName: 'reviews',
      serviceNamespace: 'default',
      balancing: 'round-robin',
      candidates: 2,
    },
  ],
});
const around = surroundings({
  names,
  clusters,
  scope: { name: 'tracecar', version: '1.2.3' },
  epochMs: 1_700_000_000_000.125,
});

function spanOf(record: ExchangeRecord, other: Partial<SpanSurroundings> = {}): RecordSpan {
  return new RecordSpan(record, { ...around, ...other });
}

function attributesOf(record: ExchangeRecord): Record<string, unknown> {
  return { ...spanOf(record).attributes };
}

test('an inbound exchange over TLS has the scheme https and its default port', () => {
  const attributes = attributesOf(inbound({ flags: RecordFlag.Tls, authority: 'web.example' }));
  assert.equal(attributes['url.scheme'], 'https');
  assert.equal(attributes['server.port'], 443);
});

test('an inbound exchange has all attributes of a SERVER span and no other', () => {
  const record = inbound({
    target: '/reviews/7?full=1&sig=s3cret',
    authority: 'Reviews.default:8080',
    userAgent: 'curl/8',
    peerAddress: '10.1.2.3',
    peerPort: 51_234,
    flags: RecordFlag.Sampled | RecordFlag.ConnectionReused,
    sampledBy: SampledBy.Parent,
    routeId: 1,
    ruleIndex: 2,
    subsetId: 3,
    generation: 12,
    connectionId: 77,
    connectionRequests: 5,
    connectUs: 4,
    requestUs: 5,
    firstByteUs: 600,
    responseUs: 7,
    proxyUs: 8,
    join: Join.Preload,
    endpointId: 4,
    clusterId: 2,
  });
  assert.deepEqual(attributesOf(record), {
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'network.protocol.version': '1.1',
    'network.peer.address': '10.1.2.3',
    'network.peer.port': 51_234,
    'tracecar.direction': 'inbound',
    'url.scheme': 'http',
    'url.path': '/reviews/7',
    'url.query': 'full=1&sig=REDACTED',
    'server.address': 'Reviews.default',
    'server.port': 8080,
    'client.address': '10.1.2.3',
    'user_agent.original': 'curl/8',
    'tracecar.route': 'reviews',
    'tracecar.rule': 2,
    'tracecar.subset': 'v1',
    'tracecar.generation': 12,
    'tracecar.time.ttfb_us': 600,
    'tracecar.time.response_us': 7,
    'tracecar.time.proxy_us': 8,
    'tracecar.conn.reused': true,
    'tracecar.conn.id': 77,
    'tracecar.conn.requests': 5,
    'tracecar.sampled_by': 'parent',
  });
});

test('an outbound attempt has all attributes of a CLIENT span and no other', () => {
  const record = outbound({
    method: Method.Post,
    target: '/reviews/7?X-Amz-Signature=abc&b',
    userAgent: 'curl/8',
    flags: RecordFlag.Sampled,
    sampledBy: SampledBy.Ratio,
    join: Join.Preload,
    attempt: 2,
    attemptReason: failure['connect-refused'].code,
    routeId: 1,
    ruleIndex: 0,
    clusterId: 2,
    subsetId: 3,
    weight: 60,
    endpointId: 4,
    generation: 3,
    connectionId: 9,
    connectionRequests: 1,
    connectUs: 110,
    requestUs: 12,
    responseUs: 30,
    proxyUs: 21,
  });
  assert.deepEqual(attributesOf(record), {
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'http.request.resend_count': 2,
    'tracecar.attempt.reason': 'connect-refused',
    'service.peer.name': 'reviews',
    'service.peer.namespace': 'default',
    'tracecar.lb.policy': 'round-robin',
    'tracecar.lb.candidates': 2,
    'network.protocol.version': '1.1',
    'network.peer.address': '10.0.0.7',
    'network.peer.port': 9080,
    'tracecar.direction': 'outbound',
    'server.address': 'reviews',
    'server.port': 9080,
    'url.full': 'http://reviews:9080/reviews/7?X-Amz-Signature=REDACTED&b',
    'tracecar.cluster': 'outbound|9080|v1|reviews',
    'tracecar.endpoint': '10.0.0.7:9080',
    'tracecar.join': 'preload',
    'tracecar.join.confidence': 1,
    'tracecar.route': 'reviews',
    'tracecar.rule': 0,
    'tracecar.subset': 'v1',
    'tracecar.weight': 60,
    'tracecar.generation': 3,
    'tracecar.time.connect_us': 110,
    'tracecar.time.request_us': 12,
    'tracecar.time.ttfb_us': 700,
    'tracecar.time.response_us': 30,
    'tracecar.time.proxy_us': 21,
    'tracecar.conn.reused': false,
    'tracecar.conn.id': 9,
    'tracecar.conn.requests': 1,
    'tracecar.sampled_by': 'ratio',
  });
});

/** Of a TLS connection that was relayed unread and ended well. */
function connection(fields: Partial<ExchangeRecord> = {}): ExchangeRecord {
  return outbound({
    kind: RecordKind.Connection,
    flags: RecordFlag.Sampled,
    sampledBy: SampledBy.Ratio,
    method: Detected.Tls,
    join: DetectedBy.Sniffed,
    status: 0,
    clusterId: 2,
    subsetId: 3,
    weight: 60,
    endpointId: 4,
    routeId: 1,
    ruleIndex: 2,
    generation: 3,
    target: 'db.example',
    authority: '10.96.0.9:5432',
    userAgent: 'postgresql,h2',
    peerPort: 40_000,
    connectUs: 120,
    requestBytes: 71,
    responseBytes: 9_000,
    connectionId: 12,
    ...fields,
  });
}

test('a connection has all attributes of its span and no other', () => {
  const span = spanOf(connection());
  assert.equal(span.name, 'TCP outbound|9080|v1|reviews');
  assert.equal(span.kind, 2);
  assert.equal(span.status.code, 0);
  assert.deepEqual(span.attributes, {
    'network.transport': 'tcp',
    'network.protocol.name': 'tls',
    'tracecar.protocol': 'tls',
    'tracecar.detected_by': 'sniffed',
    'tracecar.direction': 'outbound',
    'client.address': '10.0.0.7',
    'client.port': 40_000,
    'server.address': 'db.example',
    'server.port': 5432,
    'tracecar.alpn': ['postgresql', 'h2'],
    'tracecar.original_destination': '10.96.0.9:5432',
    'tracecar.cluster': 'outbound|9080|v1|reviews',
    'service.peer.name': 'reviews',
    'service.peer.namespace': 'default',
    'tracecar.lb.policy': 'round-robin',
    'tracecar.lb.candidates': 2,
    'tracecar.endpoint': '10.0.0.7:9080',
    'tracecar.route': 'reviews',
    'tracecar.rule': 2,
    'tracecar.subset': 'v1',
    'tracecar.weight': 60,
    'tracecar.generation': 3,
    'tracecar.sent_bytes': 71,
    'tracecar.received_bytes': 9_000,
    'tracecar.time.connect_us': 120,
    'tracecar.time.ttfb_us': 700,
    'tracecar.conn.id': 12,
    'tracecar.sampled_by': 'ratio',
  });
});

test('an inbound connection is a SERVER span, and HTTP/2 has its name and version', () => {
  const flags = RecordFlag.Sampled | RecordFlag.Inbound;
  const span = spanOf(connection({ flags, method: Detected.Http2, target: '', clusterId: 0 }));
  assert.equal(span.kind, 1);
  assert.equal(span.name, 'TCP');
  assert.equal(span.attributes['tracecar.direction'], 'inbound');
  assert.equal(span.attributes['network.protocol.name'], 'http');
  assert.equal(span.attributes['network.protocol.version'], '2');
  assert.equal(span.attributes['server.address'], '10.96.0.9');
});

test('the parent of a tunnel is one of ours, not a remote one', () => {
  const flags = RecordFlag.Sampled | RecordFlag.HasParent;
  const span = spanOf(connection({ flags, method: Detected.WebSocket, parentId1: 7 }));
  assert.equal(span.parentSpanContext!.spanId, '0000000000000007');
  assert.equal(span.parentSpanContext!.isRemote, false);
});

test('a tunnel was HTTP: its server is the Host, it has no original destination', () => {
  const attributes = attributesOf(
    connection({ method: Detected.WebSocket, join: 0, target: '', authority: 'chat.example:81' }),
  );
  assert.equal(attributes['tracecar.protocol'], 'websocket');
  assert.equal(attributes['server.address'], 'chat.example');
  assert.equal(attributes['server.port'], 81);
  assert.ok(!('tracecar.original_destination' in attributes));
  assert.ok(!('tracecar.detected_by' in attributes));
});

test('a connection that broke is an error by its cause, one that was left is none', () => {
  const reset = spanOf(connection({ causeCode: failure['upstream-reset'].code }));
  assert.equal(reset.status.code, 2);
  assert.equal(reset.attributes['error.type'], 'upstream-reset');
  const left = spanOf(connection({ causeCode: failure['client-gone'].code }));
  assert.equal(left.status.code, 0);
  assert.equal(left.attributes['tracecar.cause'], 'client-gone');
});

test('an exchange that ended in a switch of protocols, and one with a known address, say so', () => {
  const attributes = attributesOf(outbound({ status: 101, destinationId: 4 }));
  assert.equal(attributes['tracecar.upgrade'], true);
  assert.equal(attributes['tracecar.original_destination'], '10.0.0.7:9080');
});

test('what is not known is absent', () => {
  const bare = inbound({
    authority: '',
    peerAddress: '',
    userAgent: '',
    status: 0,
    firstByteUs: -1,
    minorVersion: 0,
    method: 0,
    target: '/?',
    causeCode: failure['client-gone'].code,
  });
  assert.deepEqual(attributesOf(bare), {
    'http.request.method': '_OTHER',
    'network.protocol.version': '1.0',
    'tracecar.direction': 'inbound',
    'url.scheme': 'http',
    'url.path': '/',
    'tracecar.cause': 'client-gone',
    'tracecar.flags': ['DC'],
  });
});

test('a CLIENT span that never connected names no protocol version and no confidence', () => {
  const attributes = attributesOf(outbound({ peerAddress: '', status: 0, firstByteUs: -1 }));
  assert.equal('network.protocol.version' in attributes, false);
  assert.equal('tracecar.join.confidence' in attributes, false);
  assert.equal('tracecar.attempt.reason' in attributes, false);
});

test('facts of a cluster are those of the table that the exchange began with', () => {
  const book = new ClusterBook();
  const facts = (generation: number, candidates: number) =>
    book.add({
      generation,
      clusters: [
        {
          name: 'outbound|9080|v1|reviews',
          serviceName: 'api.example.com',
          serviceNamespace: '',
          balancing: 'least-request',
          candidates,
        },
      ],
    });
  for (let generation = 1; generation <= 5; generation++) facts(generation, generation * 10);
  const candidates = (generation: number) => {
    const span = spanOf(outbound({ clusterId: 2, generation }), { clusters: book });
    assert.equal('service.peer.namespace' in span.attributes, false);
    return span.attributes['tracecar.lb.candidates'];
  };
  assert.deepEqual([1, 2, 5, 6].map(candidates), [10, 20, 50, undefined]);
});

const cut = RecordFlag.BodyCut;
const gone = RecordFlag.DownstreamGone;

/** [name, kind, status, cause, flags, reached first byte] -> [error.type or undefined, status code] */
const outcomes: readonly (readonly [
  name: string,
  kind: 'SERVER' | 'CLIENT',
  fields: Partial<ExchangeRecord>,
  errorType: string | undefined,
  statusCode: number | undefined,
])[] = [
  ['200', 'SERVER', { status: 200 }, undefined, 200],
  ['200', 'CLIENT', { status: 200 }, undefined, 200],
  ['304', 'CLIENT', { status: 304 }, undefined, 304],
  ['404 is no error of a server', 'SERVER', { status: 404 }, undefined, 404],
  ['404 is an error of a client', 'CLIENT', { status: 404 }, '404', 404],
  ['499 of an application', 'SERVER', { status: 499 }, undefined, 499],
  ['500', 'SERVER', { status: 500 }, '500', 500],
  ['503', 'CLIENT', { status: 503 }, '503', 503],
  [
    'own 404 no-route',
    'SERVER',
    { status: 404, causeCode: failure['no-route'].code },
    undefined,
    404,
  ],
  [
    'own 400 for a bad request',
    'SERVER',
    { status: 400, causeCode: failure['protocol-error'].code },
    undefined,
    400,
  ],
  [
    'own 502 towards the downstream',
    'SERVER',
    { status: 502, causeCode: failure['connect-refused'].code },
    '502',
    502,
  ],
  [
    'refused, nothing received',
    'CLIENT',
    { status: 0, causeCode: failure['connect-refused'].code, firstByteUs: -1 },
    'connect-refused',
    undefined,
  ],
  [
    'refused, with the status of the local reply in the record',
    'CLIENT',
    { status: 502, causeCode: failure['connect-refused'].code, firstByteUs: -1 },
    'connect-refused',
    undefined,
  ],
  [
    'a 200 whose body was cut',
    'CLIENT',
    { status: 200, causeCode: failure['upstream-cut'].code, flags: cut },
    'upstream-cut',
    200,
  ],
  [
    'a 200 whose body was cut',
    'SERVER',
    { status: 200, causeCode: failure['upstream-cut'].code, flags: cut },
    'upstream-cut',
    200,
  ],
  [
    'a 404 whose body was cut',
    'SERVER',
    { status: 404, causeCode: failure['upstream-cut'].code, flags: cut },
    'upstream-cut',
    404,
  ],
  ['a cut without a cause', 'SERVER', { status: 200, flags: cut }, '_OTHER', 200],
  [
    'nothing came and nobody knows why',
    'CLIENT',
    { status: 0, firstByteUs: -1 },
    '_OTHER',
    undefined,
  ],
  [
    'the downstream left before a response',
    'SERVER',
    { status: 0, causeCode: failure['client-gone'].code, firstByteUs: -1 },
    undefined,
    undefined,
  ],
  [
    'the downstream left in the middle of a body',
    'CLIENT',
    { status: 200, causeCode: failure['client-gone'].code, flags: cut | gone },
    undefined,
    200,
  ],
  ['the downstream left after a 500', 'SERVER', { status: 500, flags: gone }, '500', 500],
];

for (const [name, kind, fields, errorType, statusCode] of outcomes) {
  test(`${kind}: ${name}: error.type ${errorType}`, () => {
    const span = spanOf(kind === 'SERVER' ? inbound(fields) : outbound(fields));
    const attributes = span.attributes;
    assert.deepEqual(span.status, { code: errorType === undefined ? 0 : 2 });
    assert.equal(attributes['error.type'], errorType);
    assert.equal(attributes['http.response.status_code'], statusCode);
    assert.equal('error.type' in attributes, errorType !== undefined);
    assert.equal(span.kind, kind === 'SERVER' ? 1 : 2);
  });
}

test('every cause of the table is on the span with its flag', () => {
  for (const { code, cause, flag } of failures) {
    const attributes = attributesOf(inbound({ status: 503, causeCode: code }));
    assert.equal(attributes['tracecar.cause'], cause);
    assert.deepEqual(attributes['tracecar.flags'], [flag]);
  }
});

test('a failure while the downstream leaves has both flags', () => {
  const record = inbound({ causeCode: failure['upstream-cut'].code, flags: gone });
  assert.deepEqual(attributesOf(record)['tracecar.flags'], ['UC', 'DC']);
});

const authorities: readonly (readonly [
  authority: string,
  host: string,
  port: number,
  url: string,
])[] = [
  ['reviews', 'reviews', 80, 'http://reviews/x'],
  ['reviews:80', 'reviews', 80, 'http://reviews:80/x'],
  ['10.0.0.1:8080', '10.0.0.1', 8080, 'http://10.0.0.1:8080/x'],
  ['[::1]:8080', '::1', 8080, 'http://[::1]:8080/x'],
  ['[fd00::7]', 'fd00::7', 80, 'http://[fd00::7]/x'],
  ['me:pw@reviews:90', 'reviews', 90, 'http://REDACTED:REDACTED@reviews:90/x'],
  ['reviews:', 'reviews', 80, 'http://reviews:/x'],
];

for (const [authority, host, port, url] of authorities) {
  test(`authority ${authority}`, () => {
    const attributes = attributesOf(outbound({ authority, target: '/x' }));
    assert.equal(attributes['server.address'], host);
    assert.equal(attributes['server.port'], port);
    assert.equal(attributes['url.full'], url);
  });
}

test('a CLIENT span without an authority names the endpoint', () => {
  const attributes = attributesOf(outbound({ authority: '', endpointId: 4, target: '/x' }));
  assert.equal(attributes['server.address'], '10.0.0.7');
  assert.equal(attributes['server.port'], 9080);
  assert.equal(attributes['url.full'], 'http://10.0.0.7:9080/x');
});

test('OPTIONS * has a URL without a path', () => {
  const record = outbound({ method: Method.Options, target: '*' });
  assert.equal(attributesOf(record)['url.full'], 'http://reviews:9080');
});

test('the name is the method alone, never the path', () => {
  assert.equal(spanOf(inbound({ method: Method.Patch, target: '/secret' })).name, 'PATCH');
  assert.equal(spanOf(inbound({ method: 0 })).name, 'HTTP');
});

test('a method that is not known is kept as it was sent, beside all else that was noted', () => {
  const extra = 'tc\nmBREW\nc0:x';
  for (const record of [inbound({ method: 0, extra }), outbound({ method: 0, extra })]) {
    const { name, attributes } = spanOf(record);
    assert.equal(name, 'HTTP');
    assert.equal(attributes['http.request.method'], '_OTHER');
    assert.equal(attributes['http.request.method_original'], 'BREW');
  }
  assert.equal('http.request.method_original' in attributesOf(inbound({ method: 0 })), false);
});

test('a list of known methods replaces the whole list', () => {
  const span = spanOf(inbound({ method: Method.Patch }), { knownMethods: ['GET', 'POST'] });
  assert.equal(span.name, 'HTTP');
  assert.equal(span.attributes['http.request.method'], '_OTHER');
  assert.equal(span.attributes['http.request.method_original'], 'PATCH');
});

test('method names are those of wire', () => {
  for (const id of Object.values(Method)) assert.equal(methodNames[id], methodName(id));
  assert.equal(methodNames.length, Object.values(Method).length + 1);
});

test('times are whole microseconds from one anchor, and the end is start plus duration', () => {
  const span = spanOf(inbound({ startMs: 1_000.3331, totalUs: 1_500_000 }));
  // 1_700_000_000_000.125 + 1000.3331 ms = ...001000.4581 ms
  assert.deepEqual(span.startTime, [1_700_000_001, 458_000]);
  assert.deepEqual(span.endTime, [1_700_000_002, 500_458_000]);
  assert.deepEqual(span.duration, [1, 500_000_000]);
});

test('a root has no parent, a child names it as remote', () => {
  assert.equal(spanOf(inbound()).parentSpanContext, undefined);
  const child = spanOf(
    inbound({
      flags: RecordFlag.HasParent | RecordFlag.Sampled | RecordFlag.RandomId,
      parentId0: -1,
      parentId1: 1,
    }),
  );
  assert.deepEqual(child.parentSpanContext, {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'ffffffff00000001',
    traceFlags: 3,
    isRemote: true,
  });
  assert.deepEqual(child.spanContext(), {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: '00f067aa0ba902b7',
    traceFlags: 3,
  });
});

test('attribute limits of the environment cut texts and drop the rest, counted', () => {
  const span = spanOf(inbound({ userAgent: 'x'.repeat(500) }), {
    attributeLengthMax: 10,
    attributesMax: 12,
  });
  const attributes = span.attributes;
  assert.equal(Object.keys(attributes).length, 12);
  assert.ok(span.droppedAttributesCount > 0);
  for (const value of Object.values(attributes)) {
    assert.ok(typeof value !== 'string' || value.length <= 10);
  }
});
