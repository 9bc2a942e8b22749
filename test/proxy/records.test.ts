/**
 * What the proxy reports: one record an exchange or attempt, trace headers, series, connections.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { noHeaderEdits } from '../../src/model/routing-table.ts';
import { Join, RecordFlag, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { Method } from '../../src/wire/http1/method.ts';
import { getOf, postOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { backendOf, clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const traceparent = 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n';

test('an outbound exchange is one CLIENT record with what was chosen and sent', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('four')));
  t.after(() => origin.close());
  const backends = [
    backendOf({ weight: 60, cluster: 'outbound|80|v1|s' }),
    backendOf({ weight: 40, cluster: 'outbound|80|v2|s' }),
  ];
  const rule = ruleOf({ backends, index: 3 });
  const clusters = ['v1', 'v2'].map((subset) =>
    clusterOf([origin.port], { name: `outbound|80|${subset}|s`, subset }),
  );
  const { connect, telemetry } = await startProxy(t, {
    table: tableOf([listenerOf([rule])], clusters, 7),
  });
  const downstream = await connect();
  await downstream.send(postOf('/pay//now?x=1', 'three', 'User-Agent: test/1\r\n'));
  await downstream.response();
  for (let index = 0; index < 4; index++) {
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  const [first, second] = telemetry.records;
  const { names } = telemetry;
  assert.equal(first!.kind, RecordKind.Client);
  assert.equal(first!.method, Method.Post);
  assert.equal(first!.status, 200);
  assert.equal(first!.causeCode, 0);
  assert.equal(first!.target, '/pay/now?x=1');
  assert.equal(first!.authority, 'service');
  assert.equal(first!.userAgent, 'test/1');
  assert.equal(first!.requestBytes, 5);
  assert.equal(first!.responseBytes, 4);
  assert.equal(first!.generation, 7);
  assert.equal(first!.ruleIndex, 3);
  assert.equal(first!.routeId, names.idOf('default/route'));
  assert.equal(first!.endpointId, names.idOf(`127.0.0.1:${origin.port}`));
  assert.equal(first!.peerAddress, '127.0.0.1');
  assert.equal(first!.peerPort, origin.port);
  const chosen = new Map(
    telemetry.records.map(({ weight, subsetId, clusterId }) => [weight, [subsetId, clusterId]]),
  );
  assert.deepEqual(chosen.get(60), [names.idOf('v1'), names.idOf('outbound|80|v1|s')]);
  assert.deepEqual(chosen.get(40), [names.idOf('v2'), names.idOf('outbound|80|v2|s')]);
  assert.equal(first!.flags & RecordFlag.ConnectionReused, 0);
  assert.ok(second!.flags & RecordFlag.ConnectionReused);
  assert.equal(second!.connectionId, first!.connectionId);
  assert.deepEqual([first!.connectionRequests, second!.connectionRequests], [1, 2]);
});

test('the times of an exchange add up', async (t) => {
  const { connect, telemetry } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  for (let index = 0; index < 2; index++) {
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  const [dialled, reused] = telemetry.records;
  assert.ok(dialled!.connectUs >= 0);
  assert.equal(reused!.connectUs, -1);
  for (const record of [dialled!, reused!]) {
    const { requestUs, firstByteUs, responseUs, proxyUs, totalUs } = record;
    assert.ok(requestUs >= 0 && firstByteUs > 0 && responseUs >= 0 && proxyUs > 0);
    assert.ok(Math.abs(firstByteUs + responseUs - totalUs) <= 2);
    assert.ok(proxyUs < totalUs);
  }
});

test('an inbound exchange is one SERVER record with its downstream', async (t) => {
  const { connect, telemetry } = await startPair(
    t,
    answering(() => okWith('x')),
    { direction: 'inbound' },
  );
  const downstream = await connect();
  for (let index = 0; index < 2; index++) {
    await downstream.send(getOf('/', traceparent));
    await downstream.response();
  }
  const [first, second] = telemetry.records;
  assert.equal(first!.kind, RecordKind.Server);
  assert.equal(first!.peerAddress, '127.0.0.1');
  assert.equal(first!.peerPort, downstream.socket.localPort);
  assert.equal(first!.flags & RecordFlag.ConnectionReused, 0);
  assert.ok(second!.flags & RecordFlag.ConnectionReused);
  assert.equal(second!.connectionRequests, 2);
  assert.equal(first!.join, Join.None);
});

test('the received traceparent becomes the parent and is replaced by ours', async (t) => {
  const { connect, telemetry, origin } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  await downstream.send(getOf('/', `${traceparent}tracestate: a=1,b=2\r\n`));
  await downstream.response();
  const [record] = telemetry.records;
  assert.ok(record!.flags & RecordFlag.HasParent);
  assert.equal(record!.traceId0 >>> 0, 0x0af76519);
  assert.deepEqual(origin.received.match(/^traceparent: .*$/gm)?.length, 1);
  assert.match(origin.received, /^traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000005a/m);
  assert.match(origin.received, /^tracestate: tracecar=.{11},a=1,b=2\r$/m);
});

test('a bad or doubled traceparent begins a new trace, without the tracestate', async (t) => {
  const { connect, telemetry, origin } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  for (const fields of ['traceparent: 00-zz-1-01\r\n', traceparent + traceparent, '']) {
    await downstream.send(getOf('/', `${fields}tracestate: a=1\r\n`));
    await downstream.response();
    assert.equal(telemetry.records.at(-1)!.flags & RecordFlag.HasParent, 0);
  }
  assert.equal(origin.received.match(/^traceparent: /gm)?.length, 3);
  assert.doesNotMatch(origin.received, /a=1|00-zz/);
});

test('the join is told from the header that the preload sets, which goes no further', async (t) => {
  const { connect, telemetry, origin } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  for (const fields of [
    `${traceparent}x-tracecar-join: preload\r\n`,
    traceparent,
    'X-Tracecar-Join: preload\r\n',
    '',
  ]) {
    await downstream.send(getOf('/', fields));
    await downstream.response();
  }
  assert.deepEqual(
    telemetry.records.map(({ join }) => join),
    [Join.Preload, Join.App, Join.None, Join.None],
  );
  assert.doesNotMatch(origin.received, /tracecar-join/i);
});

test('the lookup of an endpoint’s name is timed apart from the connect, of a new connection only', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('x')));
  t.after(() => origin.close());
  const endpoint = { address: 'localhost', port: origin.port, labels: {}, zone: '', identity: '' };
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([], { endpoints: [endpoint] })]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  for (let request = 0; request < 2; request++) {
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  const [first, second] = telemetry.records;
  assert.ok(first!.dnsUs >= 0 && first!.connectUs >= 0, `${first!.dnsUs} ${first!.connectUs}`);
  assert.deepEqual([second!.dnsUs, second!.connectUs], [-1, -1]);
});

test('a refused head is recorded and counted like every other exchange', async (t) => {
  const { connect, telemetry } = await startPair(t, () => undefined, { direction: 'inbound' });
  const cases = [
    ['GET / HTTP/1.1\r\n\r\n', 'protocol-error', 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 'head-too-big', 431],
    [`GET /${'x'.repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'target-too-long', 414],
    ['FROB / HTTP/1.1\r\nHost: a\r\n\r\n', 'not-implemented', 501],
    ['TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 'method-not-allowed', 405],
  ] as const;
  for (const [bytes, cause, status] of cases) {
    const downstream = await connect();
    void downstream.send(bytes);
    const response = await downstream.response();
    assert.equal(response.status, status);
    assert.match(response.body, new RegExp(`^${cause}: .*byte \\d+.*\\)\n$`));
    const record = telemetry.records.at(-1)!;
    assert.equal(record.causeCode, failure[cause].code);
    assert.equal(record.status, status);
    assert.equal(record.kind, RecordKind.Server);
    assert.equal(record.peerAddress, '127.0.0.1');
    downstream.socket.destroy();
  }
  assert.equal(telemetry.records.length, cases.length);
});

test('a method that is not known is in the record by its name, which has no number', async (t) => {
  const long = 'M'.repeat(32);
  const cases = [
    ['BREW', 'mBREW'],
    ['PROPFIND', 'mPROPFIND'],
    ['get', 'mget'],
    [long, `m${long}`],
    [`${long}M`, ''],
    ['TRACE', ''],
  ] as const;
  const { connect, telemetry } = await startPair(t, () => undefined, { direction: 'inbound' });
  for (const [method, extra] of cases) {
    const downstream = await connect();
    void downstream.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
    await downstream.response();
    const lines = telemetry.records
      .at(-1)!
      .extra.split('\n')
      .filter((line) => line[0] !== 'd');
    assert.equal(lines.join('\n'), extra, method);
    downstream.socket.destroy();
  }
  const coded = await connect();
  void coded.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n');
  assert.equal((await coded.response()).status, 501);
  assert.equal(readExtra(telemetry.records.at(-1)!.extra).method, '');
});

test('a 405 says what is allowed', async (t) => {
  const { connect } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match((await downstream.response()).head, /^allow: GET, HEAD, POST/m);
});

test('a local reply to an outbound request is no status of an upstream', async (t) => {
  const table = tableOf([listenerOf([], { defaultHost: -1, virtualHosts: [] })], []);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/some/path'));
  const response = await downstream.response();
  assert.equal(response.status, 404);
  assert.match(response.body, /^no-route: .*\(service \/some\/path\)\n$/);
  const [record] = telemetry.records;
  assert.equal(record!.status, 0);
  assert.equal(record!.causeCode, failure['no-route'].code);
  assert.equal(record!.authority, 'service');
});

test('header edits of rule and backend apply in their order, both ways', async (t) => {
  const origin = await RawOrigin.start(
    answering(() => okWith('x', 'Server: secret\r\nX-Up: 1\r\nX-Up: 2\r\n')),
  );
  t.after(() => origin.close());
  const rule = ruleOf({
    requestHeaders: {
      remove: ['X-Gone'],
      set: [['X-Set', 'rule']],
      add: [
        ['X-Add', 'rule'],
        ['X-Twice', 'rule'],
      ],
    },
    responseHeaders: { ...noHeaderEdits, remove: ['server'] },
    backends: [
      backendOf({
        requestHeaders: { remove: ['x-twice'], set: [['X-SET', 'backend']], add: [['X-Add', 'b']] },
        responseHeaders: { ...noHeaderEdits, set: [['x-up', '3']] },
      }),
    ],
  });
  const table = tableOf([listenerOf([rule])], [clusterOf([origin.port])]);
  const { connect } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/', 'x-gone: 1\r\nx-set: sent\r\nX-Twice: sent\r\nX-Add: sent\r\n'));
  const response = await downstream.response();
  const sent = origin.received.match(/^x-(gone|set|twice|add): .*$/gim);
  assert.deepEqual(sent, ['X-Add: sent', 'X-Add: rule', 'X-SET: backend', 'X-Add: b']);
  assert.deepEqual(response.head.match(/^(server|x-up): .*$/gim), ['x-up: 3']);
});

test('series and connections are counted once for each exchange', async (t) => {
  const { connect, telemetry, proxy } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  for (let index = 0; index < 5; index++) {
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  const counts = telemetry.metrics.connectionGauge('outbound');
  assert.deepEqual(
    [counts.downstreamOpen, counts.downstreamTotal, counts.upstreamOpen, counts.upstreamTotal],
    [1, 1, 1, 1],
  );
  assert.equal(counts.exchangesActive, 0);
  const { clusters } = proxy.snapshot();
  assert.deepEqual(
    clusters[0]!.endpoints.map(({ inFlight, idleConnections, requests }) => [
      inFlight,
      idleConnections,
      requests,
    ]),
    [[0, 1, 5]],
  );
});
