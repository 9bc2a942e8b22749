/**
 * Captured connections: what is HTTP is parsed and routed, everything else passes untouched.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { RecordFlag, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { ownAddress, startCapture } from '../support/capture-fixture.ts';
import { ManualTime } from '../support/manual-time.ts';
import { getOf, postOf } from '../support/proxy-fixture.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, destinationOf, listenerOf, ruleOf } from '../support/tables.ts';

async function origin(t: { after(call: () => unknown): void }, script?: OriginScript) {
  const started = await RawOrigin.start(script);
  t.after(() => started.close());
  return started;
}

/** A virtual listener for `port` that knows the host `reviews` and leads to cluster 0. */
function reviewsOn(port: number) {
  return listenerOf([ruleOf()], {
    name: `outbound|${port}`,
    address: '',
    port,
    virtualHosts: [{ name: 'reviews', domains: ['reviews'], rules: [ruleOf()] }],
    defaultHost: -1,
  });
}

/** Waits until a number has stopped changing. */
async function untilSettled(read: () => number): Promise<void> {
  for (let [last, same] = [-1, 0]; same < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
  }
}

/** Of the documentation's range (RFC 5737), and not the sentinel's: nobody answers there. */
const unreachable = '192.0.2.77';
const reviewsGet = 'GET /reviews HTTP/1.1\r\nHost: reviews:9080\r\n\r\n';

test('a captured request is routed by its authority and the port it was going to', async (t) => {
  const v1 = await origin(
    t,
    answering(() => okWith('v1')),
  );
  const original = await origin(t);
  const capture = { outbound: [reviewsOn(original.port)], inbound: [] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([v1.port])] });
  const downstream = await proxy.outbound(original.port);
  await downstream.send(reviewsGet);
  assert.equal((await downstream.response()).body, 'v1');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.kind, RecordKind.Client);
  assert.equal(record!.peerPort, v1.port);
  assert.equal(original.received, '', 'the original destination is told nothing');
});

test('an authority without a virtual host goes to the original destination', async (t) => {
  const original = await origin(
    t,
    answering((count) => okWith(`original ${count}`)),
  );
  const capture = { outbound: [reviewsOn(original.port)], inbound: [] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([1])] });
  const downstream = await proxy.outbound(original.port);
  await downstream.send('GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n');
  assert.equal((await downstream.response()).body, 'original 1');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.kind, RecordKind.Client);
  assert.equal(proxy.telemetry.names.idOf('passthrough'), record!.clusterId);
  assert.equal(record!.peerAddress, '127.0.0.1');
  assert.equal(record!.peerPort, original.port);
  assert.match(original.received, /^traceparent: 00-/m);
});

test('a known host without a matching rule stays a no-route', async (t) => {
  const original = await origin(t);
  const known = { name: 'reviews', domains: ['reviews'], rules: [] };
  const listener = { ...reviewsOn(original.port), virtualHosts: [known] };
  const proxy = await startCapture(t, { capture: { outbound: [listener], inbound: [] } });
  const downstream = await proxy.outbound(original.port);
  await downstream.send(reviewsGet);
  assert.match((await downstream.response()).body, /^no-route:/);
});

test('a port without a listener passes on, over the connection dialled at once', async (t) => {
  const original = await origin(
    t,
    answering((count) => okWith(`answer ${count}`)),
  );
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  await original.connection(0);
  await downstream.send(getOf('/a'));
  assert.equal((await downstream.response()).body, 'answer 1');
  await downstream.send(getOf('/b'));
  assert.equal((await downstream.response()).body, 'answer 2');
  assert.equal(original.connections.length, 1);
  const [first, second] = proxy.telemetry.records;
  assert.equal(first!.flags & RecordFlag.ConnectionReused, 0);
  assert.notEqual(second!.flags & RecordFlag.ConnectionReused, 0);
});

test('a request that comes one byte a packet is parsed', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('slow')),
  );
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  for (const byte of postOf('/slow', 'body')) await downstream.send(byte);
  assert.equal((await downstream.response()).body, 'slow');
  await proxy.telemetry.recorded(1);
  assert.equal(proxy.telemetry.records[0]!.requestBytes, 4);
});

test('what is not HTTP reaches the original destination byte for byte, and back', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  const hello = '\x16\x03\x01\x00\xff\x00\x80';
  await downstream.send(hello);
  const upstream = await original.connection(0);
  await upstream.untilReceived(hello);
  await upstream.send('\x16\x03\x03answer');
  await downstream.untilReceived('answer');
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  await upstream.send(' after the half-close');
  upstream.finish();
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, '\x16\x03\x03answer after the half-close');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.kind, RecordKind.Connection);
  assert.equal(record!.flags & RecordFlag.Inbound, 0);
  assert.equal(record!.authority, `127.0.0.1:${original.port}`);
  assert.equal(record!.requestBytes, hello.length);
  assert.equal(record!.responseBytes, downstream.received.length);
  assert.equal(record!.causeCode, 0);
});

test('a server that speaks first is heard, and the connection is relayed', async (t) => {
  const original = await origin(t, (connection) => connection.send('220 mail ready\r\n'));
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  await downstream.untilReceived('220 mail ready\r\n');
  await downstream.send('GET / HTTP/1.1\r\nis relayed too');
  const upstream = await original.connection(0);
  await upstream.untilReceived('GET / HTTP/1.1\r\nis relayed too');
  downstream.finish();
  upstream.finish();
  await downstream.closed();
});

test('a server that speaks first where HTTP is declared is heard after a silence', async (t) => {
  const original = await origin(t, (connection) => connection.send('220 mail ready\r\n'));
  const { port } = original;
  const web = destinationOf({
    address: '127.0.0.1',
    port,
    protocol: 'http',
    listener: `outbound|${port}`,
  });
  const capture = { outbound: [reviewsOn(port)], inbound: [], destinations: [web] };
  const time = new ManualTime();
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([1])], time });
  const downstream = await proxy.outbound(port);
  await time.advance(trafficLimits.detectSilenceMs - 1);
  assert.equal(original.connections.length, 0, 'an address known to be HTTP is not dialled');
  await time.advance(1);
  await downstream.untilReceived('220 mail ready\r\n');
  downstream.reset();
  assert.equal(await (await original.connection(0)).closed(), 'reset');
});

test('an RST of either side is an RST on the other', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t);
  const first = await proxy.outbound(original.port);
  await first.send('\x00');
  const firstUpstream = await original.connection(0);
  await firstUpstream.untilReceived('\x00');
  first.reset();
  assert.equal(await firstUpstream.closed(), 'reset');
  const second = await proxy.outbound(original.port);
  await second.send('\x00');
  const secondUpstream = await original.connection(1);
  await secondUpstream.untilReceived('\x00');
  secondUpstream.reset();
  assert.equal(await second.closed(), 'reset');
  await proxy.telemetry.recorded(2);
  const causes = proxy.telemetry.records.map((record) => record.causeCode);
  assert.deepEqual(causes, [failure['client-gone'].code, failure['upstream-reset'].code]);
});

test('a half-written request line is relayed when it does not go on', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t, { limits: { detectLineMs: 20 } });
  const downstream = await proxy.outbound(original.port);
  await downstream.send('GET /half');
  const upstream = await original.connection(0);
  await upstream.untilReceived('GET /half');
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  upstream.finish();
  await downstream.closed();
});

test('a silent connection that ends leaves nothing behind', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  const upstream = await original.connection(0);
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  upstream.finish();
  assert.equal(await downstream.closed(), 'fin');
});

test('a relayed connection without a byte for the idle limit is cut', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t, { limits: { opaqueIdleMs: 30 } });
  const downstream = await proxy.outbound(original.port);
  await downstream.send('\x00');
  assert.equal(await downstream.closed(), 'reset');
  assert.equal(await (await original.connection(0)).closed(), 'reset');
  assert.equal(proxy.telemetry.records[0]!.causeCode, failure['stream-idle-timeout'].code);
});

test('a captured connection on which nothing is ever said is cut after the idle limit', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t, { limits: { opaqueIdleMs: 30 } });
  const downstream = await proxy.outbound(original.port);
  assert.equal(await downstream.closed(), 'reset');
  await proxy.telemetry.recorded(1);
  assert.equal(proxy.telemetry.records[0]!.causeCode, failure['stream-idle-timeout'].code);
});

test('a peer that does not read stops the other: at most 64 KiB wait here each way', async (t) => {
  const original = await origin(t, (connection) => {
    connection.socket.pause();
  });
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  downstream.socket.pause();
  const upstream = await original.connection(0);
  const block = Buffer.alloc(32 * 1024 * 1024, 1);
  downstream.socket.write(block);
  upstream.socket.write(block);
  const held = () => {
    const [connection] = proxy.proxy.connections();
    return [connection!.requestHeldBytes, connection!.responseHeldBytes];
  };
  await untilSettled(() => downstream.socket.bytesRead + held()[0]! + held()[1]!);
  for (const bytes of held()) assert.ok(bytes > 0 && bytes <= 64 * 1024, `${bytes} bytes held`);
  downstream.socket.resume();
  upstream.socket.resume();
  downstream.finish();
  upstream.finish();
  await Promise.all([downstream.closed(), upstream.closed()]);
  assert.equal(downstream.received.length, block.length);
  assert.equal(upstream.received.length, block.length);
});

test('HTTP to a destination that refuses is answered with the cause', async (t) => {
  const gone = await RawOrigin.start();
  const { port } = gone;
  await gone.close();
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(port);
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.status, 502);
  assert.match(response.body, /^connect-refused:/);
});

test('a silent or opaque downstream of a destination that refuses is reset', async (t) => {
  const gone = await RawOrigin.start();
  const { port } = gone;
  await gone.close();
  const proxy = await startCapture(t, { limits: { detectSilenceMs: 20 } });
  const silent = await proxy.outbound(port);
  assert.equal(await silent.closed(), 'reset');
  const opaque = await proxy.outbound(port);
  await opaque.send('\x00');
  assert.equal(await opaque.closed(), 'reset');
  await proxy.telemetry.recorded(2);
  for (const record of proxy.telemetry.records) {
    assert.equal(record.causeCode, failure['connect-refused'].code);
  }
});

test('inbound HTTP gets a SERVER span and reaches the application it was sent to', async (t) => {
  const application = await origin(
    t,
    answering(() => okWith('application')),
  );
  const proxy = await startCapture(t);
  const downstream = await proxy.inbound(application.port);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'application');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.kind, RecordKind.Server);
  assert.equal(record!.peerPort, downstream.socket.localPort);
});

test('an inbound port with an ingress entry leads to its default endpoint', async (t) => {
  const application = await origin(
    t,
    answering(() => okWith('default endpoint')),
  );
  const rules = [ruleOf()];
  const ingress = listenerOf(rules, {
    name: 'inbound|7777',
    direction: 'inbound',
    address: '',
    port: 7777,
  });
  const capture = { outbound: [], inbound: [ingress] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([application.port])] });
  const downstream = await proxy.inbound(7777);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'default endpoint');
});

test('inbound bytes that are not HTTP reach the application', async (t) => {
  const application = await origin(t, (connection) => connection.send('+OK\r\n'));
  const proxy = await startCapture(t);
  const downstream = await proxy.inbound(application.port);
  await downstream.untilReceived('+OK\r\n');
  downstream.reset();
  await proxy.telemetry.recorded(1);
  assert.notEqual(proxy.telemetry.records[0]!.flags & RecordFlag.Inbound, 0);
});

test('direct hits and unreadable destinations are closed, counted and logged once', async (t) => {
  const proxy = await startCapture(t);
  const hits = [
    await proxy.outbound(undefined),
    await proxy.outbound({ address: '127.0.0.1', port: proxy.outboundPort }),
    await proxy.outbound({ address: '::1', port: proxy.inboundPort }),
    await proxy.inbound(undefined),
    await proxy.inbound({ address: ownAddress, port: proxy.inboundPort }),
    await proxy.inbound({ address: ownAddress, port: proxy.outboundPort }),
  ];
  for (const hit of hits) assert.equal(await hit.ended(), 'fin');
  assert.equal(proxy.proxy.snapshot().counts.refusedCaptures, hits.length);
  const lines = proxy.log.filter((line) => line.startsWith('warn capture|'));
  assert.equal(lines.length, 2, lines.join('\n'));
  assert.match(lines[0]!, /its original destination cannot be read/);
});

test('a port of another host is its own affair, whatever its number', async (t) => {
  const proxy = await startCapture(t, { limits: { connectTimeoutMs: 100 } });
  for (const port of [proxy.outboundPort, proxy.inboundPort]) {
    const downstream = await proxy.outbound({ address: unreachable, port });
    await downstream.send(getOf('/'));
    assert.match((await downstream.response()).head, /^HTTP\/1\.1 50[234] /);
  }
  assert.equal(proxy.proxy.snapshot().counts.refusedCaptures, 0);
});

test('a request that goes round in circles is cut', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  // 64 sidecars (0x40), whoever they were.
  await downstream.send(getOf('/', 'tracestate: tracecar=4000000\r\n'));
  assert.match((await downstream.response()).body, /^loop:/);
});

test('original destinations beyond the bound are forgotten, oldest first', async (t) => {
  const origins = await Promise.all(
    [1, 2, 3].map((each) =>
      origin(
        t,
        answering(() => okWith(`${each}`)),
      ),
    ),
  );
  const proxy = await startCapture(t, { limits: { passthroughMax: 2 } });
  for (const each of origins) {
    const downstream = await proxy.outbound(each.port);
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  const [outbound] = proxy.proxy.snapshot().listeners;
  assert.equal(outbound!.destinations, 2);
  const forgotten = await origins[0]!.connection(0);
  assert.equal(await forgotten.ended(), 'fin', 'its idle connection is closed');
});

test('an original destination that is not used for a while is forgotten', async (t) => {
  const [old, recent] = [
    await origin(
      t,
      answering(() => okWith('old')),
    ),
    await origin(
      t,
      answering(() => okWith('recent')),
    ),
  ];
  const proxy = await startCapture(t, { limits: { passthroughIdleMs: 0 } });
  for (const each of [old, recent]) {
    const downstream = await proxy.outbound(each.port);
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  assert.equal(proxy.proxy.snapshot().listeners[0]!.destinations, 1);
  assert.equal(await (await old.connection(0)).ended(), 'fin');
});

test('draining closes silent captured connections and lets relayed ones finish', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t, { limits: { drainIdleMs: 10, drainListenMs: 50 } });
  const silent = await proxy.outbound(original.port);
  await original.connection(0);
  const relayed = await proxy.outbound(original.port);
  await relayed.send('\x00');
  const upstream = await original.connection(1);
  await upstream.untilReceived('\x00');
  const drained = proxy.proxy.drain(5_000);
  await silent.closed();
  await upstream.send('the rest');
  upstream.finish();
  relayed.finish();
  await relayed.closed();
  assert.equal(relayed.received, 'the rest');
  assert.deepEqual(await drained, { finished: 2, cut: 0 });
});
