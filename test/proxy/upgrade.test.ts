/**
 * Upgrades: a tunnel after 101 and only then, whose bytes nobody reads and no table touches.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { getOf, type PairFixture, startPair } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const webSocket =
  'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const switching =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nX-Accept: yes\r\n\r\n';
/** Every byte there is. */
const frames = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');

/** Switches protocols for whoever asks. */
const accepting: OriginScript = async (upstream) => {
  await upstream.untilReceived('\r\n\r\n');
  await upstream.send(switching);
};

interface Tunnel extends PairFixture {
  readonly downstream: RawConnection;
  readonly upstream: RawConnection;
}

/** Both ends of a tunnel, 101 received. */
async function startTunnel(
  t: TestContext,
  over: Parameters<typeof startPair>[2] = {},
): Promise<Tunnel> {
  const pair = await startPair(t, accepting, over);
  const downstream = await pair.connect();
  await downstream.send(getOf('/chat', webSocket));
  assert.equal((await downstream.response()).status, 101);
  return { ...pair, downstream, upstream: await pair.origin.connection(0) };
}

const inFlight = ({ proxy }: PairFixture) => proxy.snapshot().clusters[0]!.endpoints[0]!.inFlight;

test('an upgrade that is taken is a tunnel for every byte, both ways', async (t) => {
  const { downstream, upstream, origin, ...pair } = await startTunnel(t);
  assert.match(
    origin.received,
    /^GET \/chat HTTP\/1\.1\r\nHost: service\r\nUpgrade: websocket\r\nSec-WebSocket-Key: .*\r\nConnection: Upgrade\r\ntraceparent: /,
  );
  assert.match(
    downstream.received,
    /^HTTP\/1\.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nX-Accept: yes\r\nConnection: Upgrade\r\n\r\n$/,
  );
  await downstream.send(frames);
  await upstream.untilReceived(frames);
  await upstream.send(`${frames}${frames}`);
  await downstream.untilReceived(`${frames}${frames}`);
  const [connection] = pair.proxy.connections();
  assert.equal(connection!.isBusy, true);
  assert.equal(pair.proxy.exchangesActive, 0, 'the exchange is over');
  assert.equal(inFlight({ ...pair, origin }), 1, 'its endpoint still has the load');
  assert.equal(pair.proxy.counts.switches, 1);
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  await upstream.send('after the half-close');
  await downstream.untilReceived('after the half-close');
  upstream.finish();
  assert.equal(await downstream.closed(), 'fin');
});

test('the exchange is recorded with 101, the tunnel with its bytes as a child', async (t) => {
  const { downstream, upstream, telemetry } = await startTunnel(t);
  await downstream.send('12345');
  await upstream.untilReceived('12345');
  await upstream.send('123');
  await downstream.untilReceived('123');
  downstream.finish();
  upstream.finish();
  await downstream.closed();
  await telemetry.recorded(2);
  const [exchange, tunnel] = telemetry.records;
  assert.equal(exchange!.kind, RecordKind.Client);
  assert.equal(exchange!.status, 101);
  assert.equal(exchange!.causeCode, 0);
  assert.equal(tunnel!.kind, RecordKind.Connection);
  assert.deepEqual([tunnel!.requestBytes, tunnel!.responseBytes], [5, 3]);
  assert.equal(tunnel!.causeCode, 0);
  assert.deepEqual(
    [tunnel!.traceId0, tunnel!.traceId3, tunnel!.parentId0, tunnel!.parentId1],
    [exchange!.traceId0, exchange!.traceId3, exchange!.spanId0, exchange!.spanId1],
  );
});

test('what comes before 101, and with it, is passed on in order', async (t) => {
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(`${switching}hello`);
    await upstream.untilReceived('impatient more');
    await upstream.send(' and bye');
    upstream.finish();
  });
  const downstream = await connect();
  await downstream.send(`${getOf('/', webSocket)}impatient`);
  await downstream.send(' more');
  await downstream.untilReceived('\r\n\r\nhello and bye');
  downstream.finish();
  assert.equal(await downstream.closed(), 'fin');
});

test('a tunnel goes on while tables change, and without its endpoint in them', async (t) => {
  const { downstream, upstream, proxy } = await startTunnel(t);
  const elsewhere = await RawOrigin.start(answering(() => okWith('elsewhere')));
  t.after(() => elsewhere.close());
  await proxy.apply(tableOf([listenerOf([ruleOf()])], [clusterOf([elsewhere.port])], 2));
  await downstream.send('ping');
  await upstream.untilReceived('ping');
  await proxy.apply(tableOf([], [], 3));
  await upstream.send('pong');
  await downstream.untilReceived('pong');
  downstream.finish();
  upstream.finish();
  await downstream.closed();
});

test('a tunnel of a listener that is gone is cut by the end of the drain', async (t) => {
  const { downstream, upstream, proxy } = await startTunnel(t);
  await proxy.apply(tableOf([], [], 2));
  await proxy.apply(tableOf([], [], 3));
  assert.deepEqual(await proxy.drain(30), { finished: 0, cut: 1 });
  assert.equal(await downstream.closed(), 'reset');
  assert.equal(await upstream.closed(), 'reset');
});

test('a tunnel that ends in time is finished by a drain, not cut', async (t) => {
  const { downstream, upstream, proxy } = await startTunnel(t, {
    limits: { drainListenMs: 20, drainQuietMs: 10 },
  });
  const drained = proxy.drain(5_000);
  downstream.finish();
  upstream.finish();
  assert.deepEqual(await drained, { finished: 1, cut: 0 });
});

for (const [side, cause] of [
  ['downstream', 'client-gone'],
  ['upstream', 'upstream-reset'],
] as const) {
  test(`RST of the ${side} is RST on the other side`, async (t) => {
    const { downstream, upstream, telemetry } = await startTunnel(t);
    const [gone, other] = side === 'downstream' ? [downstream, upstream] : [upstream, downstream];
    gone.reset();
    assert.equal(await other.closed(), 'reset');
    await telemetry.recorded(2);
    assert.equal(telemetry.records[1]!.causeCode, failure[cause].code);
  });
}

test('a slow reader stops the other side: at most 64 KiB wait here each way', async (t) => {
  const { downstream, upstream, proxy } = await startTunnel(t);
  downstream.socket.pause();
  upstream.socket.pause();
  const block = Buffer.alloc(16 * 1024 * 1024, 1);
  downstream.socket.write(block);
  upstream.socket.write(block);
  const held = () => {
    const [connection] = proxy.connections();
    return [connection!.requestHeldBytes, connection!.responseHeldBytes] as const;
  };
  for (let [last, same] = [-1, 0]; same < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = downstream.socket.bytesWritten + held()[0] + held()[1];
    same = now === last ? same + 1 : 0;
    last = now;
  }
  for (const bytes of held()) assert.ok(bytes <= 64 * 1024, `${bytes} bytes held`);
  downstream.socket.resume();
  upstream.socket.resume();
  downstream.finish();
  upstream.finish();
  await Promise.all([downstream.closed(), upstream.closed()]);
  assert.equal(downstream.received.length - downstream.received.indexOf('\r\n\r\n') - 4, 16 << 20);
});

test('an upgrade that is not taken is an ordinary exchange, and the next one follows', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering((number) => okWith(`${number}`)),
  );
  const downstream = await connect();
  await downstream.send(getOf('/', webSocket) + getOf('/next'));
  assert.equal((await downstream.response()).body, '1');
  assert.equal((await downstream.response()).body, '2');
  assert.equal(origin.connections.length, 1, 'its connection carries other requests');
});

test('101 to a protocol that was not offered is 502', async (t) => {
  for (const answer of [
    switching.replace('WebSocket', 'foo'),
    switching.replace('WebSocket', 'websocket, foo'),
    switching.replace('Upgrade: WebSocket\r\n', ''),
  ]) {
    const { connect, origin } = await startPair(t, async (upstream) => {
      await upstream.untilReceived('\r\n\r\n');
      await upstream.send(answer);
    });
    const downstream = await connect();
    await downstream.send(getOf('/', webSocket));
    const response = await downstream.response();
    assert.equal(response.status, 502);
    assert.match(response.body, /^upstream-protocol-error: /);
    await (await origin.connection(0)).ended();
  }
});

test('an offer of h2c goes on without it, and is not taken', async (t) => {
  const { connect, origin } = await startPair(t, accepting);
  const downstream = await connect();
  const offer =
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  await downstream.send(getOf('/', offer));
  assert.equal((await downstream.response()).status, 502);
  assert.doesNotMatch(origin.received, /upgrade|http2/i);
});

test('an edit of a rule reaches the head of 101', async (t) => {
  const origin = await RawOrigin.start(accepting);
  t.after(() => origin.close());
  const responseHeaders = { remove: ['x-accept'], set: [['X-Set', '1']] as const, add: [] };
  const { connect, proxy } = await startPair(t, accepting);
  const rule = ruleOf({ responseHeaders });
  await proxy.apply(tableOf([listenerOf([rule])], [clusterOf([origin.port])], 2));
  const downstream = await connect();
  await downstream.send(getOf('/', webSocket));
  const { head } = await downstream.response();
  assert.match(head, /^X-Set: 1$/m);
  assert.doesNotMatch(head, /x-accept/i);
});

test('captured, an upgrade is passed on byte for byte, of whatever protocol', async (t) => {
  const answer = 'HTTP/1.1 101 UPGRADED\r\nconnection:  Upgrade\r\nUpgrade: h2c\r\n\r\n';
  const application = await RawOrigin.start(async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(`${answer}\x00\x00`);
  });
  t.after(() => application.close());
  const proxy = await startCapture(t);
  const downstream = await proxy.inbound(application.port);
  const offer =
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  await downstream.send(getOf('/', offer));
  await downstream.untilReceived('\x00\x00');
  assert.equal(downstream.received, `${answer}\x00\x00`);
  assert.match(application.received, /Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n/);
  await downstream.send(frames);
  await (await application.connection(0)).untilReceived(frames);
  assert.equal(proxy.proxy.snapshot().listeners.find(({ tunnels }) => tunnels === 1)?.captured, 0);
  downstream.reset();
});
