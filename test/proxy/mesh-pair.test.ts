/**
 * Two sidecars with mutual TLS between them: what goes in at one end comes out at the other, whatever it
 * is and however it ends.
 */

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TrafficLimits } from '../../src/model/limits.ts';
import { RecordFlag, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { idOf, makeIdentity, makeRoot } from '../support/mesh-material.ts';
import { getOf, type ProxyFixture, postOf, startProxy } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  capturePlanOf,
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
  tableOf,
} from '../support/tables.ts';

const root = makeRoot();
const web = { serviceAccount: 'web' };
const shop = { serviceAccount: 'shop' };
/** Of the documentation's range (RFC 5737): only rules lead anywhere from here. */
const virtual = { address: '192.0.2.10', port: 5432 };

interface Pair {
  readonly origin: RawOrigin;
  readonly near: ProxyFixture;
  readonly far: ProxyFixture;
  /** Both ends of what stands between them, connection by connection. */
  readonly wire: readonly Socket[];
  /** A connection of the application that is captured and goes to the shop unread. */
  opaque(): Promise<RawConnection>;
  /** One to the listener that speaks HTTP. */
  http(): Promise<RawConnection>;
}

/** What stands between two sidecars: passes TCP on, and can end it in the middle of TLS. */
async function startWire(t: TestContext, port: number) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    near.on('error', () => far.resetAndDestroy());
    far.on('error', () => near.resetAndDestroy());
    near.pipe(far);
    far.pipe(near);
    sockets.push(near, far);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const each of sockets) each.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** An application, its sidecar, the shop's sidecar, the shop. */
async function startPair(
  t: TestContext,
  script?: OriginScript,
  limits: Partial<TrafficLimits> = {},
): Promise<Pair> {
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  const place = { address: '127.0.0.1', port: origin.port };
  const far = await startProxy(t, {
    table: { ...tableOf([], []), capture: capturePlanOf() },
    mesh: makeIdentity(root, shop),
    capture: {
      originalDestination: { read: () => place },
      ownAddresses: ['10.0.0.2'],
      ports: { outbound: 0, inbound: 0 },
    },
    limits,
  });
  const inbound = far.proxy.addresses().find(({ name }) => name === 'capture|inbound')!;
  const wire = await startWire(t, inbound.port);
  const endpoint = { address: '127.0.0.1', port: wire.port, labels: {}, zone: '' };
  const cluster = clusterOf([], { endpoints: [{ ...endpoint, identity: idOf(shop) }] });
  const destination = destinationOf({
    ...virtual,
    protocol: 'tcp',
    connectionRules: [connectionRuleOf()],
  });
  const near = await startProxy(t, {
    table: {
      ...tableOf([listenerOf([ruleOf()])], [cluster]),
      capture: capturePlanOf({ destinations: [destination] }),
    },
    mesh: makeIdentity(root, web),
    capture: {
      originalDestination: { read: () => virtual },
      ownAddresses: ['10.0.0.1'],
      ports: { outbound: 0, inbound: 0 },
    },
    limits,
  });
  const portOf = (part: string) =>
    near.proxy.addresses().find(({ name }) => name.startsWith(part))!.port;
  return {
    origin,
    near,
    far,
    wire: wire.sockets,
    opaque: () => near.connect(portOf('capture|outbound')),
    http: () => near.connect(portOf('outbound|')),
  };
}

/** Every byte there is, many times: what is lost or doubled anywhere shows. */
function patternOf(length: number): string {
  return Buffer.from(Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff)).toString(
    'latin1',
  );
}

test('requests and answers pass, over one connection, and both records say who was there', async (t) => {
  const { origin, near, far, http } = await startPair(
    t,
    answering((count) => okWith(`${count}`)),
  );
  const downstream = await http();
  for (let count = 1; count <= 5; count++) {
    await downstream.send(count % 2 === 0 ? getOf('/') : postOf('/', patternOf(3_000)));
    assert.equal((await downstream.response()).body, `${count}`);
  }
  assert.equal(near.telemetry.metrics.connectionGauge('outbound').upstreamTotal, 1);
  assert.equal(origin.connections.length, 1);
  await far.telemetry.recorded(5);
  for (const [{ telemetry }, who] of [
    [near, shop],
    [far, web],
  ] as const) {
    assert.equal(telemetry.records.length, 5);
    for (const { principalId, flags } of telemetry.records) {
      assert.equal(principalId, telemetry.names.idOf(idOf(who)));
      assert.ok((flags & RecordFlag.Tls) !== 0);
    }
  }
});

test('big bodies pass whole both ways, however slowly they are read', async (t) => {
  const body = patternOf(1_000_000);
  const { http, origin } = await startPair(t, async (upstream) => {
    await upstream.until(() => upstream.received.length > 1_000_000, 'the request');
    await upstream.send(okWith(body));
  });
  const downstream = await http();
  downstream.socket.pause();
  const sent = downstream.send(postOf('/', body));
  await (await origin.connection(0)).until(() => origin.received.length > 500_000, 'its half');
  await sent;
  downstream.socket.resume();
  assert.equal((await downstream.response()).body, body);
  assert.ok(origin.received.endsWith(body));
});

test('a switch of protocols is a tunnel through both', async (t) => {
  const { http, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 101 Switching\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nhi');
  });
  const downstream = await http();
  await downstream.send(getOf('/', 'Connection: upgrade\r\nUpgrade: chat\r\n'));
  await downstream.untilReceived('\r\n\r\nhi');
  const bytes = patternOf(100_000);
  const upstream = await origin.connection(0);
  await Promise.all([downstream.send(bytes), upstream.send(bytes)]);
  await upstream.until(() => upstream.received.endsWith(bytes), 'all bytes');
  await downstream.until(() => downstream.received.endsWith(bytes), 'all bytes');
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  upstream.finish();
  assert.equal(await downstream.ended(), 'fin');
});

test('a body that ends with its connection is whole when it is, and cut when it is', async (t) => {
  const { http } = await startPair(t, async (upstream, index) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\n\r\nso far');
    if (index === 0) upstream.finish();
    else upstream.reset();
  });
  const whole = await http();
  await whole.send(getOf('/'));
  assert.equal((await whole.response()).body, 'so far');
  const cut = await http();
  await cut.send(getOf('/'));
  assert.equal(await cut.closed(), 'reset');
});

test('a body that ends with its connection is cut where TLS does not speak of the end', async (t) => {
  const { http, wire } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\n\r\nso far');
  });
  const downstream = await http();
  await downstream.send(getOf('/'));
  await downstream.untilReceived('so far');
  for (const each of wire) each.end();
  assert.equal(await downstream.closed(), 'reset');
});

test('bytes that nobody reads pass both ways, the server first', async (t) => {
  const { opaque, origin, near, far } = await startPair(t, (upstream) => upstream.send('hello'));
  const downstream = await opaque();
  await downstream.untilReceived('hello');
  const bytes = patternOf(500_000);
  const upstream = await origin.connection(0);
  await Promise.all([downstream.send(bytes), upstream.send(bytes)]);
  await upstream.until(() => upstream.received === bytes, 'all bytes');
  await downstream.until(() => downstream.received === `hello${bytes}`, 'all bytes');
  downstream.finish();
  upstream.finish();
  await downstream.closed();
  await near.telemetry.recorded(1);
  await far.telemetry.recorded(1);
  for (const [{ telemetry }, who] of [
    [near, shop],
    [far, web],
  ] as const) {
    const [record] = telemetry.records;
    assert.equal(record!.kind, RecordKind.Connection);
    assert.equal(record!.principalId, telemetry.names.idOf(idOf(who)));
    assert.ok(record!.tlsUs > 0);
  }
});

test('each direction ends by itself', async (t) => {
  const { opaque, origin } = await startPair(t);
  const downstream = await opaque();
  await downstream.send('question');
  const upstream = await origin.connection(0);
  await upstream.untilReceived('question');
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  await upstream.send('answer');
  await downstream.untilReceived('answer');
  upstream.finish();
  assert.equal(await downstream.closed(), 'fin');

  const other = await opaque();
  await other.send('question');
  const server = await origin.connection(1);
  await server.untilReceived('question');
  server.finish();
  assert.equal(await other.ended(), 'fin');
  await other.send('last words');
  await server.untilReceived('last words');
  other.finish();
  assert.equal(await server.closed(), 'fin');
});

test('RST at one end is RST at the other', async (t) => {
  const { opaque, origin } = await startPair(t);
  for (const isDownstream of [true, false]) {
    const downstream = await opaque();
    await downstream.send('question');
    const upstream = await origin.connection(isDownstream ? 0 : 1);
    await upstream.untilReceived('question');
    await upstream.send('answer');
    await downstream.untilReceived('answer');
    const [one, other] = isDownstream ? [downstream, upstream] : [upstream, downstream];
    one.reset();
    assert.equal(await other.closed(), 'reset');
  }
});

test('a FIN that TLS does not speak of is no end: both ends see a reset', async (t) => {
  const { opaque, origin, wire } = await startPair(t);
  const downstream = await opaque();
  await downstream.send('question');
  const upstream = await origin.connection(0);
  await upstream.untilReceived('question');
  await upstream.send('answer');
  await downstream.untilReceived('answer');
  for (const each of wire) each.end();
  assert.equal(await upstream.closed(), 'reset');
  assert.equal(await downstream.closed(), 'reset');
});

test('a server that refuses: whoever does not speak HTTP sees a reset', async (t) => {
  const { opaque, origin } = await startPair(t);
  await origin.close();
  const downstream = await opaque();
  await downstream.send('question');
  assert.equal(await downstream.closed(), 'reset');
});

test('a side that does not read stops the other, and nothing is lost', async (t) => {
  const { opaque, origin } = await startPair(t);
  const downstream = await opaque();
  await downstream.send('go');
  const upstream = await origin.connection(0);
  await upstream.untilReceived('go');
  const bytes = patternOf(8_000_000);
  downstream.socket.pause();
  const sent = upstream.send(bytes);
  // The kernels hold some, we little: most of it waits in the sender.
  await downstream.send('still heard');
  await upstream.untilReceived('still heard');
  assert.ok(upstream.socket.writableLength > 0);
  downstream.socket.resume();
  await sent;
  await downstream.until(() => downstream.received.length === bytes.length, 'all bytes');
  assert.equal(downstream.received, bytes);
});
