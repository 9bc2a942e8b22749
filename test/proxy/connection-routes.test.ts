/** Connections that are not read, by rules: weights, names of a ClientHello, endpoints that refuse. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import type { Backend, Destination } from '../../src/model/routing-table.ts';
import { Detected, DetectedBy } from '../../src/telemetry/record/detection.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { startBlackHole } from '../support/black-hole.ts';
import { type CaptureFixture, startCapture } from '../support/capture-fixture.ts';
import { alpn, helloMessage, inRecords, serverName } from '../support/client-hello.ts';
import { ManualTime } from '../support/manual-time.ts';
import { type OriginScript, RawOrigin } from '../support/raw-origin.ts';
import {
  backendOf,
  capturePlanOf,
  clusterOf,
  connectionRuleOf,
  destinationOf,
} from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

/** Of the documentation's range (RFC 5737): only rules lead anywhere from here. */
const virtual = { address: '192.0.2.10', port: 5432 };

async function origin(t: TestContext, script?: OriginScript): Promise<RawOrigin> {
  const started = await RawOrigin.start(script);
  t.after(() => started.close());
  return started;
}

/** A database's address. */
function database(backends: readonly Backend[], over: Partial<Destination> = {}): Destination {
  return destinationOf({
    ...virtual,
    protocol: 'tcp',
    connectionRules: [connectionRuleOf({ backends })],
    ...over,
  });
}

function named(name: string, origins: readonly RawOrigin[]) {
  return clusterOf(
    origins.map(({ port }) => port),
    { name },
  );
}

const greet =
  (text: string): OriginScript =>
  (connection) =>
    connection.send(text);

test('connections are spread by weight, exactly over a window, also beyond a new table', async (t) => {
  const [first, second] = [await origin(t, greet('first')), await origin(t, greet('second'))];
  const shares = [
    backendOf({ cluster: 'first', weight: 3 }),
    backendOf({ cluster: 'second', weight: 1 }),
  ];
  const proxy = await startCapture(t, {
    capture: { destinations: [database(shares)] },
    clusters: [named('first', [first]), named('second', [second])],
  });
  const greeted = async () => {
    const downstream = await proxy.outbound(virtual);
    await downstream.until(() => downstream.received !== '', 'a greeting');
    downstream.reset();
    return downstream.received;
  };
  const greetings: string[] = [];
  for (let times = 0; times < 6; times++) greetings.push(await greeted());
  const capture = capturePlanOf({ destinations: [database(shares)] });
  assert.deepEqual(await proxy.proxy.apply({ ...proxy.table, generation: 2, capture }), []);
  for (let times = 0; times < 2; times++) greetings.push(await greeted());
  assert.equal(greetings.filter((each) => each === 'first').length, 6);
  assert.equal(greetings.filter((each) => each === 'second').length, 2);
  await proxy.telemetry.recorded(8);
  const { names, records } = proxy.telemetry;
  const [record] = records;
  assert.equal(record!.kind, RecordKind.Connection);
  assert.equal(record!.join, DetectedBy.Declared);
  assert.equal(record!.routeId, names.idOf('default/route'));
  assert.equal(record!.destinationId, names.idOf('192.0.2.10:5432'));
  assert.equal(records.filter(({ weight }) => weight === 3).length, 6);
});

test('an endpoint that refuses is replaced by another one, once', async (t) => {
  const [here, gone] = [await origin(t, greet('here')), await origin(t)];
  await gone.close();
  const proxy = await startCapture(t, {
    capture: { destinations: [database([backendOf({ cluster: 'db' })])] },
    clusters: [named('db', [gone, here])],
  });
  for (let times = 0; times < 4; times++) {
    const downstream = await proxy.outbound(virtual);
    await downstream.send('SELECT 1');
    await downstream.untilReceived('here');
    await (await here.connection(times)).untilReceived('SELECT 1');
    downstream.reset();
  }
});

test('an endpoint that never answers is replaced by another one, once', async (t) => {
  const hole = await startBlackHole(t);
  const here = await origin(t, greet('here'));
  const time = new ManualTime();
  const cluster = clusterOf([hole, here.port], { name: 'db', connectTimeoutMs: undefined });
  const proxy = await startCapture(t, {
    capture: { destinations: [database([backendOf({ cluster: 'db' })])] },
    clusters: [cluster],
    time,
  });
  let met = 0;
  for (let times = 0; times < 4; times++) {
    const downstream = await proxy.outbound(virtual);
    await downstream.send('SELECT 1');
    const [silent] = proxy.proxy.snapshot().clusters[0]!.endpoints;
    if (silent!.inFlight === 1) {
      met++;
      await time.advance(trafficLimits.connectElsewhereMs);
    }
    await downstream.untilReceived('here');
    await (await here.connection(times)).untilReceived('SELECT 1');
    downstream.reset();
  }
  assert.ok(met > 0);
});

test('where endpoints never answer the second has the time of a lost SYN, then it is reset', async (t) => {
  const hole = await startBlackHole(t);
  const time = new ManualTime();
  const cluster = clusterOf([hole, hole], { name: 'db', connectTimeoutMs: undefined });
  const proxy = await startCapture(t, {
    capture: { destinations: [database([backendOf({ cluster: 'db' })])] },
    clusters: [cluster],
    time,
  });
  const downstream = await proxy.outbound(virtual);
  assert.equal(await time.advanceUntil(downstream.closed()), 'reset');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.causeCode, failure['connect-timeout'].code);
  const { connectElsewhereMs, connectTimeoutMs } = trafficLimits;
  assert.equal(record!.totalUs, (connectElsewhereMs + connectTimeoutMs) * 1000);
});

test('where no endpoint answers the downstream is reset', async (t) => {
  const gone = await origin(t);
  await gone.close();
  const proxy = await startCapture(t, {
    capture: { destinations: [database([backendOf({ cluster: 'db' })])] },
    clusters: [named('db', [gone, gone])],
  });
  const downstream = await proxy.outbound(virtual);
  assert.equal(await downstream.closed(), 'reset');
});

test('a rule that cannot work refuses what it takes', async (t) => {
  const proxy = await startCapture(t, {
    capture: {
      destinations: [
        database([], { connectionRules: [connectionRuleOf({ broken: 'no-backend' })] }),
      ],
    },
  });
  const downstream = await proxy.outbound(virtual);
  assert.equal(await downstream.closed(), 'reset');
});

test('a connection to one endpoint of a service goes to that one', async (t) => {
  const [first, second] = [await origin(t, greet('first')), await origin(t, greet('second'))];
  const rule = connectionRuleOf({
    resource: 'Service default/db',
    backends: [backendOf({ cluster: 'db' })],
  });
  const at = { address: '127.0.0.1', port: second.port, kind: 'endpoint' } as const;
  const proxy = await startCapture(t, {
    capture: { destinations: [database([], { ...at, connectionRules: [rule] })] },
    clusters: [named('db', [first, second])],
  });
  for (let times = 0; times < 3; times++) {
    const downstream = await proxy.outbound(second.port);
    await downstream.untilReceived('second');
    downstream.reset();
  }
  assert.equal(first.connections.length, 0);
});

test('load is counted while a connection lasts, and least-request looks at it', async (t) => {
  const [first, second] = [await origin(t, greet('x')), await origin(t, greet('x'))];
  const proxy = await startCapture(t, {
    capture: { destinations: [database([backendOf({ cluster: 'db' })])] },
    clusters: [{ ...named('db', [first, second]), balancing: 'least-request' }],
  });
  const open = [];
  for (let times = 0; times < 6; times++) {
    const downstream = await proxy.outbound(virtual);
    await downstream.untilReceived('x');
    open.push(downstream);
  }
  assert.deepEqual([first.connections.length, second.connections.length], [3, 3]);
  for (const each of open) each.reset();
});

/** Bytes of downstreams that wait in the proxy. */
const held = ({ proxy }: CaptureFixture) =>
  proxy.connections().reduce((sum, { requestHeldBytes }) => sum + requestHeldBytes, 0);

const needsName = (cluster: string, ...sniHosts: string[]) =>
  connectionRuleOf({
    identity: cluster,
    matches: [{ sniHosts, subnets: [] }],
    backends: [backendOf({ cluster })],
  });

test('TLS goes where its name leads, with its bytes untouched, whatever the packets', async (t) => {
  const [exact, wild, rest] = [await origin(t), await origin(t), await origin(t)];
  const destination = database([], {
    protocol: 'tls',
    connectionRules: [
      needsName('exact', 'a.example.com'),
      needsName('wild', '*.example.com'),
      connectionRuleOf({ identity: 'rest', backends: [backendOf({ cluster: 'rest' })] }),
    ],
  });
  const proxy = await startCapture(t, {
    capture: { destinations: [destination] },
    clusters: [named('exact', [exact]), named('wild', [wild]), named('rest', [rest])],
  });
  const cases = [
    ['a.example.com', exact],
    ['b.example.com', wild],
    ['example.org', rest],
  ] as const;
  for (const [name, upstream] of cases) {
    const hello = inRecords(helloMessage(serverName(name), alpn('h2')), 70);
    const downstream = await proxy.outbound(virtual);
    const third = Math.ceil(hello.length / 3);
    for (let at = 0; at < hello.length; at += third) {
      await downstream.send(hello.subarray(at, at + third));
    }
    const connection = await upstream.connection(0);
    await downstream.send('more');
    await connection.untilReceived(`${hello.toString('latin1')}more`);
    await connection.send('answer');
    await downstream.untilReceived('answer');
    downstream.finish();
    assert.equal(await connection.ended(), 'fin');
    connection.finish();
    assert.equal(await downstream.closed(), 'fin');
  }
  await proxy.telemetry.recorded(3);
  const { names, records } = proxy.telemetry;
  assert.deepEqual(
    records.map(({ target, clusterId, method }) => [target, clusterId, method]),
    [
      ['a.example.com', names.idOf('exact'), Detected.Tls],
      ['b.example.com', names.idOf('wild'), Detected.Tls],
      ['example.org', names.idOf('rest'), Detected.Tls],
    ],
  );
});

test('HTTP where TLS is declared is counted and warned of, and answered', async (t) => {
  const rest = await origin(t);
  const proxy = await startCapture(t, {
    capture: { destinations: [database([backendOf()], { protocol: 'tls' })] },
    clusters: [clusterOf([rest.port])],
    limits: { connectPassthroughMs: 50 },
  });
  const downstream = await proxy.outbound(virtual);
  await downstream.send('GET / HTTP/1.1\r\nHost: db\r\n\r\n');
  await downstream.until(() => proxy.log.length > 0, 'a line in the log');
  assert.match(proxy.log[0]!, /192\.0\.2\.10:5432 is no TLS \(http1\).*declare the port as HTTP$/);
  assert.equal(proxy.telemetry.metrics.connectionGauge('outbound').wrongProtocol, 1);
  downstream.reset();
});

test('where a name is asked for, a silent downstream gets what needs none', async (t) => {
  const [exact, rest] = [await origin(t), await origin(t, greet('220 '))];
  const proxy = await startCapture(t, {
    capture: {
      destinations: [
        database([], {
          protocol: 'tls',
          connectionRules: [
            needsName('exact', 'a.example.com'),
            connectionRuleOf({ identity: 'rest', backends: [backendOf({ cluster: 'rest' })] }),
          ],
        }),
      ],
    },
    clusters: [named('exact', [exact]), named('rest', [rest])],
    limits: { detectSilenceMs: 20 },
  });
  const downstream = await proxy.outbound(virtual);
  await downstream.untilReceived('220 ');
  downstream.reset();
  assert.equal(exact.connections.length, 0);
});

for (const [first, what] of [
  [3, 'of which nobody can tell yet what it is'],
  [40, 'whose name has not come'],
] as const) {
  test(`a slow ClientHello ${what} is waited for, then reset: no other rule takes it`, async (t) => {
    const [exact, rest] = [await origin(t), await origin(t)];
    const rules = [
      needsName('exact', 'a.example.com'),
      connectionRuleOf({ identity: 'rest', backends: [backendOf({ cluster: 'rest' })] }),
    ];
    const time = new ManualTime();
    const proxy = await startCapture(t, {
      capture: { destinations: [database([], { protocol: 'tls', connectionRules: rules })] },
      clusters: [named('exact', [exact]), named('rest', [rest])],
      time,
    });
    const hello = inRecords(helloMessage(serverName('a.example.com')));
    const begin = async () => {
      const downstream = await proxy.outbound(virtual);
      await downstream.send(hello.subarray(0, first));
      await untilSo(() => held(proxy) === first, 'the first bytes');
      return downstream;
    };
    const inTime = await begin();
    await time.advance(trafficLimits.headTimeoutMs - 1);
    await inTime.send(hello.subarray(first));
    await (await exact.connection(0)).untilReceived(hello.toString('latin1'));
    inTime.reset();
    await proxy.telemetry.recorded(1);
    const late = await begin();
    await time.advance(trafficLimits.headTimeoutMs);
    assert.equal(await late.closed(), 'reset');
    await proxy.telemetry.recorded(2);
    const [, record] = proxy.telemetry.records;
    assert.equal(record!.causeCode, failure['request-head-timeout'].code);
    assert.equal(record!.method, Detected.Tls);
    assert.equal(rest.connections.length, 0);
  });
}

test('FIN in the middle of a ClientHello is passed on with what came before it', async (t) => {
  const rest = await origin(t);
  const rules = [needsName('exact', 'a.example.com'), connectionRuleOf()];
  const proxy = await startCapture(t, {
    capture: { destinations: [database([], { protocol: 'tls', connectionRules: rules })] },
    clusters: [named('exact', [rest]), clusterOf([rest.port])],
  });
  const hello = inRecords(helloMessage(serverName('a.example.com'))).subarray(0, 40);
  const downstream = await proxy.outbound(virtual);
  await downstream.send(hello);
  downstream.finish();
  const connection = await rest.connection(0);
  await connection.untilReceived(hello.toString('latin1'));
  assert.equal(await connection.ended(), 'fin');
  connection.finish();
  await downstream.closed();
});
