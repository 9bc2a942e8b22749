/**
 * What was captured and what no VirtualService is about goes on as it was sent, both ways, less trace
 * context; how connections end is passed on, too. Framing is as strict as everywhere.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import type { Rule, StringMatch } from '../../src/model/routing-table.ts';
import { type CaptureFixture, startCapture } from '../support/capture-fixture.ts';
import { getOf, postOf, startPair } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, destinationOf, listenerOf, ruleOf } from '../support/tables.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const host = 'Host: shop.example\r\n';
const get = (target: string, fields = '', version = '1.1') =>
  `GET ${target} HTTP/${version}\r\n${host}${fields}\r\n`;
const post = (fields: string, body: string) => `POST /o HTTP/1.1\r\n${host}${fields}\r\n${body}`;

interface Pass extends CaptureFixture {
  readonly origin: RawOrigin;
  readonly downstream: RawConnection;
}

/** A captured connection on its way to an origin that does as the script says. */
async function pass(t: TestContext, script: OriginScript): Promise<Pass> {
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  const proxy = await startCapture(t);
  return { ...proxy, origin, downstream: await proxy.outbound(origin.port) };
}

const ours = /^(traceparent|tracestate|x-request-id): .*\r\n/gm;

/** Answers one request, whose last bytes it knows, and closes if that is what ends the answer. */
const once =
  (request: string, answer: string, closes = false): OriginScript =>
  async (upstream) => {
    const isThere = () => upstream.received.replace(ours, '').endsWith(request.slice(-6));
    await upstream.until(isThere, 'the whole request');
    await upstream.send(answer);
    if (closes) upstream.finish();
  };

const targets = [
  '//orders///7',
  '/a/../b/./c/..',
  '/@scope%2fname',
  '/%41%7Euser/%e4%zz%00',
  '/q?a=b?c&&[1]{x}|^`"\'//../',
  '/page#part',
  '/page?q#part',
  'cgi-bin/script',
  '?k=v',
  '#part',
  '*',
  '/a\\b',
  'http://shop.example:8080/orders?x=1',
  'http://shop.example/a/../b',
  'http://user@other/',
  'https://shop.example/',
  '/caf\u00c3\u00a9',
];

const requests: readonly string[] = [
  ...targets.map((target) => get(target)),
  get('/', 'Connection: keep-alive\r\nKeep-Alive: 300\r\nProxy-Connection: keep-alive\r\n'),
  get('/', 'TE: trailers\r\nConnection: TE\r\n'),
  get('/', 'Proxy-Authorization: Basic eDp5\r\n'),
  get('/', 'X-FooBar: \u00e9\r\nA:no\r\nB:   many   \r\nC:\ttab\t\r\nE:\r\na: again\r\n'),
  get('/', 'Upgrade: websocket\r\n'),
  'GET / HTTP/1.1\r\nHost:\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: user@shop.example\r\n\r\n',
  post('Content-Length: 008\r\n', 'question'),
  post('transfer-encoding: Chunked\r\nX-After: 1\r\n', '00A;n="v"\r\n0123456789\r\n0\r\n\r\n'),
  post('Transfer-Encoding: chunked\r\n', '2\r\nok\r\n1\r\n!\r\n0\r\nX-Undeclared: 1\r\n\r\n'),
  post('Expect: 100-continue\r\nContent-Length: 9\r\n', 'impatient'),
];

for (const request of requests) {
  const title = JSON.stringify(request.length > 90 ? `${request.slice(0, 90)}...` : request);
  test(`a request goes on as sent: ${title}`, async (t) => {
    const { downstream, origin } = await pass(t, once(request, ok));
    await downstream.send(request);
    await downstream.untilReceived('\r\n\r\nok');
    assert.equal(origin.received.replace(ours, ''), request);
    assert.equal(downstream.received, ok);
  });
}

test('HTTP/1.0 goes on as HTTP/1.0, without a Host of ours', async (t) => {
  const request = 'POST /old HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi';
  const answer = 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it';
  const { downstream, origin } = await pass(t, once(request, answer, true));
  await downstream.send(request);
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, answer);
  assert.equal(origin.received.replace(ours, ''), request);
});

test('a method that nobody knows goes on, behind one that is known', async (t) => {
  const { downstream, origin, telemetry } = await pass(
    t,
    answering(() => ok),
  );
  const second = `VERSION-CONTROL /x HTTP/1.1\r\n${host}Depth: 1\r\n\r\n`;
  await downstream.send(get('/'));
  await downstream.response();
  await downstream.send(second);
  assert.equal((await downstream.response()).status, 200);
  assert.ok(origin.received.replace(ours, '').endsWith(second));
  assert.equal(telemetry.records[1]!.method, 0);
  assert.equal(telemetry.records[1]!.extra, 'mVERSION-CONTROL');
});

const chunks = '5\r\nhello\r\n06;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n';
const answers: readonly string[] = [
  'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 299 D\u00e9j\u00e0 vu\r\nServer:  x \r\nContent-Length: 02\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 426 No\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nok',
  'HTTP/1.1 200\nX: one\n two\r\n\tthree\nContent-Length: 2\r\n\nok',
  'HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-After: 1\r\n\r\n${chunks}`,
  'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n',
];

for (const answer of answers) {
  test(`an answer goes on as sent: ${JSON.stringify(answer)}`, async (t) => {
    const { downstream, origin } = await pass(t, once(get('/'), answer));
    await downstream.send(get('/'));
    await downstream.untilReceived(answer.slice(-8));
    assert.equal(downstream.received, answer);
    await downstream.send(get('/next'));
    await origin.connection(0);
    const [first] = origin.connections;
    await first!.untilReceived('/next');
    downstream.reset();
  });
}

const closed: readonly (readonly [string, string, string])[] = [
  ['until the end', get('/'), 'HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of it'],
  ['HTTP/1.0', get('/'), 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['close of the caller', get('/', 'Connection: close\r\n'), ok],
  [
    'close of the server',
    get('/'),
    'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
  ],
  ['a body by length that is cut', get('/'), 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npart'],
  [
    'chunks that are cut',
    get('/'),
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\npart',
  ],
  [
    'chunks in HTTP/1.0',
    get('/'),
    `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
  ],
];

for (const [name, request, answer] of closed) {
  test(`FIN behind an answer is FIN behind the same bytes: ${name}`, async (t) => {
    const { downstream, origin } = await pass(t, once(request, answer, true));
    await downstream.send(request);
    assert.equal(await downstream.ended(), 'fin');
    assert.equal(downstream.received, answer);
    downstream.finish();
    assert.equal(await (await origin.connection(0)).ended(), 'fin');
  });
}

test('a 101 that nobody asked for goes on, and nothing after it', async (t) => {
  const answer = 'HTTP/1.1 101 Why\r\nConnection: close\r\n\r\n';
  const { downstream, origin } = await pass(t, once(get('/'), `${answer}bytes`, false));
  await downstream.send(get('/'));
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, answer);
  assert.notEqual(await (await origin.connection(0)).ended(), 'open');
});

test('a cut by FIN is recorded as a cut', async (t) => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npart';
  const { downstream, telemetry } = await pass(t, once(get('/'), answer, true));
  await downstream.send(get('/'));
  await downstream.ended();
  await telemetry.recorded(1);
  assert.equal(telemetry.records[0]!.causeCode, failure['upstream-cut'].code);
});

test('RST in an answer is RST', async (t) => {
  const { downstream } = await pass(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\n\r\npart');
    await upstream.untilReceived('now');
    upstream.reset();
  });
  await downstream.send(post('Content-Length: 6\r\n', 'abc'));
  await downstream.untilReceived('part');
  await downstream.send('now');
  assert.equal(await downstream.closed(), 'reset');
});

test('FIN of a caller that has said all reaches the server, which may still answer', async (t) => {
  const { downstream, origin } = await pass(t, async (upstream) => {
    await upstream.ended();
    await upstream.send('HTTP/1.1 200 OK\r\n\r\nuntil the end');
    upstream.finish();
  });
  await downstream.send(get('/'));
  downstream.finish();
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, 'HTTP/1.1 200 OK\r\n\r\nuntil the end');
  assert.equal((await origin.connection(0)).ending, 'fin');
});

test('a kept connection that closes on a request closes, it is not answered 502', async (t) => {
  const { downstream, telemetry } = await pass(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(ok);
    await upstream.untilReceived('again');
    upstream.finish();
  });
  await downstream.send(get('/'));
  await downstream.response();
  await downstream.send(post('Content-Length: 5\r\n', 'again'));
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, ok);
  assert.equal(telemetry.records[1]!.causeCode, failure['idle-race'].code);
});

test('a server that closes between two requests closes the connection of its caller', async (t) => {
  const { promise: answered, resolve: onAnswered } = Promise.withResolvers<void>();
  const { downstream } = await pass(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(ok);
    await answered;
    upstream.finish();
  });
  await downstream.send(get('/'));
  await downstream.response();
  onAnswered();
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, ok);
});

test('a caller that goes leaves no connection open that it alone has used', async (t) => {
  const { downstream, origin, proxy } = await pass(
    t,
    answering(() => ok),
  );
  await downstream.send(get('/'));
  await downstream.response();
  assert.equal((await origin.connection(0)).ending, 'open');
  downstream.finish();
  assert.equal(await (await origin.connection(0)).ended(), 'fin');
  assert.equal(proxy.snapshot().connections.upstreamOpen, 0);
});

test('the first request of a connection is answered with the cause', async (t) => {
  const { downstream } = await pass(t, async (upstream) => {
    await upstream.untilReceived('again');
    upstream.finish();
  });
  await downstream.send(post('Content-Length: 5\r\n', 'again'));
  assert.match((await downstream.response()).body, /^upstream-reset:/);
});

test('while the proxy leaves, an answer says close in place of keep-alive', async (t) => {
  const answer =
    'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX: y\r\nContent-Length: 2\r\n\r\nok';
  const origin = await RawOrigin.start(answering(() => answer));
  t.after(() => origin.close());
  const { inbound, proxy } = await startCapture(t);
  const downstream = await inbound(origin.port);
  proxy.leave();
  await downstream.send(get('/'));
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(
    downstream.received,
    'HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
  );
});

for (const [name, request] of [
  ['two lengths', post('Content-Length: 2\r\nContent-Length: 2\r\n', 'ok')],
  ['a length and a coding', post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', 'ok')],
  ['a bad chunk size', post('Transfer-Encoding: chunked\r\n', 'zz\r\n')],
  ['a bare LF', 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n'],
  ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n'],
  ['two hosts', `GET / HTTP/1.1\r\n${host}${host}\r\n`],
  [
    'a WebSocket with a body',
    post('Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n', 'a'),
  ],
] as const) {
  test(`${name} is refused as ever`, async (t) => {
    const { downstream, origin } = await pass(t, () => undefined);
    await downstream.send(request);
    assert.equal((await downstream.response()).status, 400);
    await downstream.ended();
    assert.doesNotMatch(origin.received, /\r\n\r\n.*(ok|zz)/s);
  });
}

test('a request with a body goes on without the offer to switch that came with it', async (t) => {
  const { downstream, origin } = await pass(
    t,
    answering(() => ok),
  );
  const settings = 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n';
  const length = 'X: y\r\nContent-Length: 3\r\n';
  await downstream.send(
    post(`Connection: Upgrade, HTTP2-Settings\r\n${settings}${length}`, 'abc') +
      post(`connection: close, upgrade, HTTP2-Settings\r\n${settings}${length}`, 'abc'),
  );
  for (const _ of [1, 2]) assert.equal((await downstream.response()).body, 'ok');
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(
    origin.received.replace(ours, ''),
    post(length, 'abc') + post(`${length}Connection: close\r\n`, 'abc'),
  );
});

test('CONNECT on a kept connection is a tunnel once it is granted', async (t) => {
  const granted = 'HTTP/1.1 200 Connection established\r\n\r\n';
  const connect = 'CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n';
  const { downstream, origin } = await pass(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(ok);
    await upstream.untilReceived('CONNECT');
    await upstream.send(`${granted}\x16\x03`);
  });
  await downstream.send(get('/'));
  await downstream.response();
  await downstream.send(connect);
  await downstream.untilReceived(`${granted}\x16\x03`);
  assert.equal(downstream.received, `${ok}${granted}\x16\x03`);
  await downstream.send('\x00GET / HTTP/1.1\r\n');
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\x00GET / HTTP/1.1\r\n');
  assert.ok(upstream.received.replace(ours, '').includes(connect));
  downstream.reset();
  assert.equal(await upstream.closed(), 'reset');
});

test('CONNECT that is not granted is an ordinary exchange', async (t) => {
  const { downstream } = await pass(
    t,
    answering((number) => (number === 2 ? 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno' : ok)),
  );
  for (const request of [get('/'), 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', get('/')]) {
    await downstream.send(request);
  }
  for (const wanted of ['ok', 'no', 'ok']) {
    assert.equal((await downstream.response()).body, wanted);
  }
});

test('a nominated field stays behind, and so does the Connection that names it', async (t) => {
  const { downstream, origin } = await pass(
    t,
    answering(() => ok),
  );
  await downstream.send(get('/', 'Connection: keep-alive, x-mine\r\nX-Mine: 1\r\nX: y\r\n'));
  await downstream.response();
  assert.equal(origin.received.replace(ours, ''), get('/', 'X: y\r\n'));
});

/** A captured port that has one rule, for the host `shop.example`. */
async function withRule(
  t: TestContext,
  resource: string,
  matches: Rule['matches'] = [],
): Promise<Pass> {
  const origin = await RawOrigin.start(answering(() => okWith('x')));
  t.after(() => origin.close());
  const rules = [ruleOf({ resource, matches }), ruleOf({ resource, index: 1 })];
  const listener = listenerOf(rules, {
    name: `outbound|${origin.port}`,
    address: '',
    port: origin.port,
    virtualHosts: [{ name: 'shop.example', domains: ['shop.example'], rules }],
    defaultHost: -1,
  });
  // Declared to be HTTP, so nothing but requests makes connections.
  const known = destinationOf({
    address: '127.0.0.1',
    port: origin.port,
    protocol: 'http',
    service: 'shop.example',
    listener: listener.name,
  });
  const capture = { outbound: [listener], inbound: [], destinations: [known] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([origin.port])] });
  return { ...proxy, origin, downstream: await proxy.outbound(origin.port) };
}

test("a service's default rule forwards as sent", async (t) => {
  const { downstream, origin } = await withRule(t, 'ServiceEntry default/shop');
  const request = get('//a/../b%2fc', 'Connection: keep-alive\r\n');
  await downstream.send(request);
  assert.equal((await downstream.response()).status, 200);
  assert.equal(origin.received.replace(ours, ''), request);
});

test('a rule of a VirtualService gets the normal form, and refuses what has none', async (t) => {
  const { downstream, origin, outbound } = await withRule(t, 'VirtualService default/shop');
  await downstream.send(get('//a/../b', 'Connection: keep-alive\r\n'));
  assert.equal((await downstream.response()).status, 200);
  assert.equal(origin.received.replace(ours, ''), get('/b'));
  for (const target of ['/a#b', 'a', '/caf\u00e9', 'http://other/', 'http://shop.example/%2f']) {
    const again = await outbound(origin.port);
    await again.send(get(target));
    const response = await again.response();
    assert.equal(response.status, 400, target);
    assert.match(response.body, /^protocol-error: .*byte \d+/);
    assert.equal(await again.ended(), 'fin');
  }
  assert.equal(origin.connections.length, 1);
});

test('a path without a normal form passes a VirtualService that looks at no path', async (t) => {
  const { downstream, origin } = await withRule(t, 'VirtualService default/shop');
  for (const target of ['/@scope%2fname?x', '/100%']) {
    await downstream.send(get(target, 'Connection: keep-alive\r\n'));
    assert.equal((await downstream.response()).status, 200);
    assert.ok(origin.received.replace(ours, '').endsWith(get(target)));
  }
});

test('a method that nobody knows follows the rules of a VirtualService, by its name too', async (t) => {
  const method: StringMatch = { kind: 'exact', value: 'PROPFIND' };
  const match = { path: undefined, method, authority: undefined, headers: [], query: [] };
  const { downstream, origin, telemetry } = await withRule(t, 'VirtualService default/shop', [
    match,
  ]);
  for (const each of ['PROPFIND', 'MKCOL']) {
    await downstream.send(`${each} //a HTTP/1.1\r\n${host}\r\n`);
    assert.equal((await downstream.response()).status, 200);
    assert.ok(origin.received.includes(`${each} /a HTTP/1.1\r\n`), origin.received);
  }
  await telemetry.recorded(2);
  assert.deepEqual(
    telemetry.records.map(({ ruleIndex }) => ruleIndex),
    [0, 1],
  );
});

test('a target is as long as the head has room for, and as a VirtualService takes', async (t) => {
  const long = `/${'x'.repeat(60_000)}`;
  const { downstream, origin } = await pass(
    t,
    answering(() => ok),
  );
  await downstream.send(get(long));
  await downstream.response();
  assert.equal(origin.received.replace(ours, ''), get(long));
  await downstream.send(get(`${long}${long}`));
  assert.equal((await downstream.response()).status, 431);
  const ruled = await withRule(t, 'VirtualService default/shop');
  await ruled.downstream.send(get(long));
  assert.equal((await ruled.downstream.response()).status, 414);
  assert.equal(ruled.origin.received, '');
  const [record] = ruled.telemetry.records;
  assert.equal(record!.authority, 'shop.example');
  assert.equal(record!.target, long);
});

test('a refused head is recorded with where it was going and all that came before the fault', async (t) => {
  const passed = await pass(t, () => undefined);
  const known = await withRule(t, 'ServiceEntry default/shop');
  for (const { downstream, origin, telemetry } of [passed, known]) {
    void downstream.send(get('/path?q', `User-Agent: u\r\nX: ${'x'.repeat(70_000)}\r\n`));
    assert.equal((await downstream.response()).status, 431);
    const [record] = telemetry.records;
    const { authority, method, target, userAgent, peerAddress, peerPort } = record!;
    assert.deepEqual([authority, method, target, userAgent], ['shop.example', 1, '/path?q', 'u']);
    assert.deepEqual([peerAddress, peerPort], ['127.0.0.1', origin.port]);
  }
  const { names, records } = known.telemetry;
  assert.equal(records[0]!.destinationId, names.idOf(`127.0.0.1:${known.origin.port}`));
});

test('nothing of the request before is in the record of a refused one', async (t) => {
  const { downstream, telemetry } = await pass(
    t,
    answering(() => ok),
  );
  await downstream.send(`${get('/first')}\r\n\r\n`);
  await downstream.response();
  assert.equal((await downstream.response()).status, 400);
  const { target, authority, requestBytes } = telemetry.records[1]!;
  assert.deepEqual([target, authority, requestBytes], ['', '', 0]);
});

test('it is refused where a rule looks at paths, and with anything else at fault', async (t) => {
  const path: StringMatch = { kind: 'prefix', value: '/elsewhere' };
  const match = { path, method: undefined, authority: undefined, headers: [], query: [] };
  const { downstream, origin } = await withRule(t, 'VirtualService default/shop', [match]);
  await downstream.send(get('/@scope%2fname'));
  const response = await downstream.response();
  assert.equal(response.status, 400);
  assert.match(response.body, /%2f or %5c in the path, byte 18/);
  assert.equal(origin.received, '');
  const other = await withRule(t, 'VirtualService default/shop');
  await other.downstream.send(get('/a%2fb'));
  assert.equal((await other.downstream.response()).status, 200);
  await other.downstream.send(`BREW /a%2fb HTTP/1.1\r\n${host}\r\n`);
  assert.equal((await other.downstream.response()).status, 501);
});

test('without capture everything has its normal form', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering(() => ok),
  );
  const downstream = await connect();
  await downstream.send(getOf('//a', 'Connection: keep-alive\r\n'));
  assert.equal((await downstream.response()).status, 200);
  assert.equal(origin.received.replace(ours, ''), getOf('/a'));
  await downstream.send(postOf('/a%2fb', ''));
  assert.equal((await downstream.response()).status, 400);
});

test('a caller that goes leaves alone the connection that serves another one by then', async (t) => {
  const { downstream, origin, outbound } = await withRule(t, 'ServiceEntry default/shop');
  await downstream.send(get('/'));
  await downstream.response();
  const other = await outbound(origin.port);
  await other.send(get('/other'));
  await other.response();
  downstream.finish();
  await downstream.closed();
  await other.send(get('/again'));
  assert.equal((await other.response()).status, 200);
  assert.equal(origin.connections.length, 1);
  assert.equal((await origin.connection(0)).ending, 'open');
});

test('a server that was told to close is asked nothing more', async (t) => {
  const { downstream, origin, outbound, proxy } = await withRule(t, 'ServiceEntry default/shop');
  const idle = () => proxy.snapshot().clusters[0]!.endpoints[0]!.idleConnections;
  await downstream.send(get('/'));
  await downstream.response();
  assert.equal(idle(), 1);
  await downstream.send(get('/', 'Connection: close\r\n'));
  await downstream.response();
  assert.equal(idle(), 0);
  const other = await outbound(origin.port);
  await other.send(get('/'));
  other.finish();
  await other.response();
  assert.equal(idle(), 0);
});
