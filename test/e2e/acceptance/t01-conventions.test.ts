/**
 * T1 of reference/tracing.md: every rule of its section 2.1 (HTTP spans of semantic conventions 1.44), by
 * what a collector gets from a real sidecar; and the type of every attribute.
 *
 * A row is a request of the test through the application to the origin, and what the two spans of it
 * must say: `undefined` is "this key is absent". What retries do to spans is T3.
 */

import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, type TestContext, test } from 'node:test';
import { type SpanKey, spanKeys } from '../../../src/telemetry/span/span-keys.ts';
import { connectRaw } from '../../support/raw-connection.ts';
import type { SinkAttribute, SinkSpan } from '../../telemetry/otlp-sink.ts';
import { attributeIn, hostOf, startPair, startServer, type TracedPair } from './traced-pair.ts';

const originHost = hostOf('origin');

type Expected = Partial<Record<SpanKey, string | number | boolean | undefined>>;

interface Row {
  /** The rule. */
  readonly name: string;
  /** Path and query; every row has a path of its own. */
  readonly target: string;
  readonly method?: string;
  /** More fields of the request, each with its line end. */
  readonly fields?: string;
  readonly host?: string;
  readonly version?: '1.0' | '1.1';
  /** What the origin does; by default a 200 with two bytes. */
  readonly origin?: (response: ServerResponse, asked: IncomingMessage) => void;
  /** The test leaves when the origin has the request. */
  readonly leaves?: boolean;
  /** Of both; `GET` by default. */
  readonly spanName?: string;
  /** 0 (Unset) or 2 (Error). */
  readonly status?: readonly [server: number, client: number];
  readonly server?: Expected;
  readonly client?: Expected;
}

const answer = (status: number) => (response: ServerResponse) => {
  response.writeHead(status, { 'content-length': 2 }).end('ok');
};

const rows: readonly Row[] = [
  {
    name: 'required and recommended attributes of a SERVER and of a CLIENT span',
    target: '/basic?full=1',
    server: {
      'http.request.method': 'GET',
      'url.path': '/basic',
      'url.scheme': 'http',
      'url.query': 'full=1',
      'http.response.status_code': 200,
      'server.address': 'web.example',
      'server.port': 8080,
      'client.address': '127.0.0.1',
      'network.peer.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'user_agent.original': 'test/1 (of T1)',
      'url.full': undefined,
      'http.request.resend_count': undefined,
      'error.type': undefined,
      'network.protocol.name': undefined,
      'http.request.method_original': undefined,
    },
    client: {
      'http.request.method': 'GET',
      'url.full': `http://${originHost}:9080/basic?full=1`,
      'server.address': originHost,
      'server.port': 9080,
      'http.response.status_code': 200,
      'network.peer.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'http.request.resend_count': undefined,
      'error.type': undefined,
      'url.path': undefined,
      'url.scheme': undefined,
      'user_agent.original': undefined,
    },
  },
  {
    name: 'a path is in no name, and there is no query without one',
    target: '/users/4711',
    server: { 'url.path': '/users/4711', 'url.query': undefined },
    client: { 'url.full': `http://${originHost}:9080/users/4711` },
  },
  ...['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'QUERY'].map((method) => ({
    name: `${method} is a known method`,
    target: `/method/${method}`,
    method,
    fields: 'Content-Length: 0\r\n',
    spanName: method,
    server: { 'http.request.method': method, 'http.request.method_original': undefined },
    client: { 'http.request.method': method, 'http.request.method_original': undefined },
  })),
  {
    name: 'credentials of signed URLs are redacted, their keys and the rest are kept',
    target: '/signed?a=1&X-Amz-Signature=S&X-Amz-Credential=S&X-Amz-Security-Token=S&b',
    server: {
      'url.query':
        'a=1&X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&b',
    },
    client: {
      'url.full':
        `http://${originHost}:9080/signed?a=1&X-Amz-Signature=REDACTED` +
        '&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&b',
    },
  },
  {
    name: 'the same for the other four',
    target: '/signed2?AWSAccessKeyId=S&Signature=S&sig=S&X-Goog-Signature=S',
    server: {
      'url.query':
        'AWSAccessKeyId=REDACTED&Signature=REDACTED&sig=REDACTED&X-Goog-Signature=REDACTED',
    },
    client: {
      'url.full':
        `http://${originHost}:9080/signed2?AWSAccessKeyId=REDACTED&Signature=REDACTED` +
        '&sig=REDACTED&X-Goog-Signature=REDACTED',
    },
  },
  {
    name: 'a host without a port has its scheme’s',
    target: '/noport',
    host: 'web.example',
    server: { 'server.address': 'web.example', 'server.port': 80 },
  },
  {
    name: 'an IPv6 host has no brackets',
    target: '/ipv6',
    host: '[::1]:8081',
    server: { 'server.address': '::1', 'server.port': 8081 },
  },
  {
    name: 'the version is that of the peer',
    target: '/old',
    version: '1.0',
    server: { 'network.protocol.version': '1.0' },
    client: { 'network.protocol.version': '1.1' },
  },
  ...[204, 302, 304].map((status) => ({
    name: `${status} is Unset on both`,
    target: `/status/${status}`,
    origin: (response: ServerResponse) => void response.writeHead(status).end(),
    server: { 'http.response.status_code': status, 'error.type': undefined },
    client: { 'http.response.status_code': status, 'error.type': undefined },
  })),
  ...[400, 404, 429].map((status) => ({
    name: `${status} is Unset on a SERVER and an Error of a CLIENT`,
    target: `/status/${status}`,
    origin: answer(status),
    status: [0, 2] as const,
    server: { 'http.response.status_code': status, 'error.type': undefined },
    client: { 'http.response.status_code': status, 'error.type': String(status) },
  })),
  ...[500, 503].map((status) => ({
    name: `${status} is an Error on both`,
    target: `/status/${status}`,
    origin: answer(status),
    status: [2, 2] as const,
    server: { 'http.response.status_code': status, 'error.type': String(status) },
    client: { 'http.response.status_code': status, 'error.type': String(status) },
  })),
  {
    name: 'a transfer that breaks is an Error with our word, even after a 200',
    target: '/broken',
    origin: (response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      response.flushHeaders();
      setImmediate(() => response.destroy());
    },
    status: [2, 2],
    server: { 'http.response.status_code': 200, 'error.type': 'upstream-cut' },
    client: { 'http.response.status_code': 200, 'error.type': 'upstream-cut' },
  },
  {
    name: 'a caller that leaves of its own will is no error',
    target: '/left',
    leaves: true,
    origin: () => undefined,
    server: {
      'http.response.status_code': undefined,
      'error.type': undefined,
      'tracecar.cause': 'client-gone',
    },
    client: {
      'http.response.status_code': undefined,
      'error.type': undefined,
      'tracecar.cause': 'client-gone',
    },
  },
];

let pair: TracedPair;
const stops: (() => unknown)[] = [];
const arrived = new Map<string, () => void>();

before(async () => {
  const context = { after: (stop: () => unknown) => stops.push(stop) } as unknown as TestContext;
  const origin = await startServer(context, (asked, response) => {
    const path = (asked.url ?? '').split('?')[0];
    const row = rows.find(({ target }) => target.split('?')[0] === path);
    arrived.get(path ?? '')?.();
    asked.resume();
    (row?.origin ?? answer(200))(response, asked);
  });
  pair = await startPair(context, { services: { origin: [origin] } });
});

after(async () => {
  for (const stop of stops.toReversed()) await stop();
});

const timeout = 60_000;

for (const row of rows) {
  test(`T1: ${row.name}`, { timeout }, async () => {
    const path = row.target.split('?')[0]!;
    const atOrigin = new Promise<void>((settle) => arrived.set(path, settle));
    const { method = 'GET', host = 'web.example:8080', version = '1.1', fields = '' } = row;
    const caller = await connectRaw(pair.inbound);
    await caller.send(
      `${method} ${row.target} HTTP/${version}\r\nHost: ${host}\r\n` +
        `User-Agent: test/1 (of T1)\r\nConnection: close\r\n${fields}\r\n`,
    );
    if (row.leaves) {
      await atOrigin;
      caller.reset();
    } else {
      await caller.until(() => caller.ending !== 'open', 'the end');
      caller.finish();
    }
    const spans = await pair.spansOf(path, 2);
    assert.deepEqual(spans.map(({ kind }) => kind).toSorted(), [2, 3]);
    const [server, client] = [2, 3].map((kind) => spans.find((span) => span.kind === kind));
    const [serverStatus, clientStatus] = row.status ?? [0, 0];
    check(server!, row.spanName ?? 'GET', serverStatus, row.server ?? {});
    check(client!, row.spanName ?? 'GET', clientStatus, row.client ?? {});
    assert.equal(client!.parentSpanId, server!.spanId);
    assert.equal(client!.traceId, server!.traceId);
  });
}

test('T1: a method that nobody knows is _OTHER, and the name begins with HTTP', {
  timeout,
}, async () => {
  const caller = await connectRaw(pair.inbound);
  await caller.send('BREW /brew HTTP/1.1\r\nHost: web.example\r\n\r\n');
  await caller.until(() => caller.ending !== 'open', 'the end');
  caller.finish();
  const isOther = (span: SinkSpan) => attributeIn(span, 'http.request.method') === '_OTHER';
  await pair.sink.until(() => pair.sink.spans.some(isOther));
  check(pair.sink.spans.find(isOther)!, 'HTTP', 2, {
    'http.request.method_original': 'BREW',
    'http.response.status_code': 501,
    'error.type': '501',
    'tracecar.cause': 'not-implemented',
  });
});

test('T1: a list of known methods replaces the whole list, and the original is kept', {
  timeout,
}, async (t) => {
  const origin = await startServer(t, (_asked, response) => answer(200)(response));
  const other = await startPair(t, {
    services: { origin: [origin] },
    environment: { OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS: 'POST,PATCH' },
  });
  const caller = await connectRaw(other.inbound);
  await caller.send('GET /listed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await caller.until(() => caller.ending !== 'open', 'the end');
  caller.finish();
  for (const span of await other.spansOf('/listed', 2)) {
    check(span, 'HTTP', 0, {
      'http.request.method': '_OTHER',
      'http.request.method_original': 'GET',
    });
  }
});

/** Its rule stands at line 9, column 7. */
const routes = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: origin
  namespace: default
spec:
  hosts: [${originHost}]
  http:
    - route:
        - destination:
            host: ${originHost}
`;

test('T1: opted-in headers are lists, the rule has its place; in protobuf as in JSON', {
  timeout,
}, async (t) => {
  const origin = await startServer(t, (_asked, response) => {
    response.setHeader('x-cache', 'hit');
    answer(200)(response);
  });
  const other = await startPair(t, {
    services: { origin: [origin] },
    yaml: routes,
    environment: {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS: 'X-Lane,x-absent',
      OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS: 'x-cache',
    },
  });
  const caller = await connectRaw(other.inbound);
  await caller.send(
    'GET /asked HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Lane: blue\r\nx-lane: green\r\n\r\n',
  );
  await caller.until(() => caller.ending !== 'open', 'the end');
  caller.finish();
  const spans = await other.spansOf('/asked', 2);
  const [server, client] = [2, 3].map((kind) => spans.find((span) => span.kind === kind)!);
  const { attributes, ...rest } = server!;
  const isOwn = ({ key }: SinkAttribute) => !key.startsWith('http.request.header.');
  check({ ...rest, attributes: attributes.filter(isOwn) }, 'GET', 0, { 'url.path': '/asked' });
  assert.deepEqual(attributeIn(server!, 'http.request.header.x-lane'), ['blue', 'green']);
  assert.equal(attributeIn(server!, 'http.request.header.x-absent'), undefined);
  assert.equal(attributeIn(server!, 'http.response.header.x-cache'), undefined);
  assert.deepEqual(attributeIn(client!, 'http.response.header.x-cache'), ['hit']);
  assert.equal(attributeIn(client!, 'tracecar.rule.origin'), 'routes.yaml:9:7');
  assert.equal(other.sink.requests[0]!.headers['content-type'], 'application/x-protobuf');
});

function check(span: SinkSpan, name: string, status: number, expected: Expected): void {
  assert.equal(span.name, name);
  // Where the code tells it there is no description.
  assert.deepEqual([span.status.code, span.status.message], [status, undefined]);
  for (const [key, value] of Object.entries(expected))
    assert.equal(attributeIn(span, key), value, key);
  assert.equal(status === 2, attributeIn(span, 'error.type') !== undefined);
  for (const attribute of span.attributes) checkType(attribute);
  const keys = span.attributes.map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length, 'no key twice');
  // Opt-in attributes that nobody opted into, and a route that nobody knows.
  const unasked = /^http\.(route|(request|response)\.(header|body))|^client\.port|^network\.local/;
  assert.deepEqual(
    keys.filter((key) => unasked.test(key)),
    [],
  );
  assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
}

function checkType({ key, value }: SinkAttribute): void {
  assert.ok(key in spanKeys, `${key} is in the table of keys`);
  const type = spanKeys[key as SpanKey];
  const whole = Number.isInteger(value.intValue) && Object.keys(value).join() === 'intValue';
  switch (type) {
    case 'text':
      assert.deepEqual(Object.keys(value), ['stringValue'], key);
      return;
    case 'whole':
      assert.ok(whole, key);
      return;
    case 'fraction':
      // The encoding writes a fraction that is whole as a whole number.
      assert.ok(whole || typeof value.doubleValue === 'number', key);
      return;
    case 'truth':
      assert.equal(typeof value.boolValue, 'boolean', key);
      return;
    case 'texts':
      assert.ok(
        value.arrayValue?.values.every((each) => typeof each.stringValue === 'string'),
        key,
      );
  }
}
