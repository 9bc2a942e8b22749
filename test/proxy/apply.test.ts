/**
 * Tables come and go while connections stay: swaps, listeners, ports that are taken (fault 13).
 */

import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { noHeaderEdits, type RoutingTable, type Rule } from '../../src/model/routing-table.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { getOf, startProxy } from '../support/proxy-fixture.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { backendOf, clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

async function startOrigin(t: TestContext, body: string): Promise<RawOrigin> {
  const origin = await RawOrigin.start(answering(() => okWith(body)));
  t.after(() => origin.close());
  return origin;
}

test('the next request of a kept connection uses the new table', async (t) => {
  const [one, two] = [await startOrigin(t, 'one'), await startOrigin(t, 'two')];
  const listener = listenerOf([ruleOf()]);
  const { connect, proxy, telemetry } = await startProxy(t, {
    table: tableOf([listener], [clusterOf([one.port])]),
  });
  const { port } = proxy.addresses()[0]!;
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'one');
  await proxy.apply(tableOf([listener], [clusterOf([two.port])], 2));
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'two');
  assert.equal(proxy.addresses()[0]!.port, port);
  assert.deepEqual(
    telemetry.records.map(({ generation }) => generation),
    [1, 2],
  );
  // No table names the first endpoint any more: its idle connection is closed.
  assert.equal(await (await one.connection(0)).ended(), 'fin');
});

test('an exchange under way ends with the table that it began with', async (t) => {
  const origin = await RawOrigin.start();
  t.after(() => origin.close());
  const edits = { ...noHeaderEdits, set: [['x-cfg', 'old']] as const };
  const listener = listenerOf([ruleOf({ responseHeaders: edits })]);
  const { connect, proxy } = await startProxy(t, {
    table: tableOf([listener], [clusterOf([origin.port])]),
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  await proxy.apply(tableOf([listenerOf([])], [], 2));
  await upstream.send(okWith('whole'));
  const response = await downstream.response();
  assert.equal(response.body, 'whole');
  assert.match(response.head, /^x-cfg: old$/m);
  await downstream.send(getOf('/'));
  assert.match((await downstream.response()).body, /^no-route: /);
});

test('fault 13: swaps under load fail nothing and keep the split exact', async (t) => {
  const origins = [await startOrigin(t, 'v1'), await startOrigin(t, 'v2')];
  const clusters = origins.map((origin, index) => clusterOf([origin.port], { name: `v${index}` }));
  const backends = [
    backendOf({ cluster: 'v0', weight: 60 }),
    backendOf({ cluster: 'v1', weight: 40 }),
  ];
  const tableAt = (generation: number): RoutingTable => {
    const rule: Rule = ruleOf({
      backends,
      responseHeaders: { ...noHeaderEdits, set: [['x-cfg', `${generation}`]] },
      requestHeaders: { ...noHeaderEdits, set: [['x-cfg', `${generation}`]] },
    });
    return tableOf([listenerOf([rule])], clusters, generation);
  };
  const { connect, proxy, telemetry } = await startProxy(t, { table: tableAt(1) });
  const downstream = await connect();
  const counts: Record<string, number> = { v1: 0, v2: 0 };
  for (let index = 0; index < 500; index++) {
    if (index % 3 === 0) void proxy.apply(tableAt(2 + index));
    await downstream.send(getOf('/'));
    const response = await downstream.response();
    assert.equal(response.status, 200);
    counts[response.body]!++;
    const generation = telemetry.records.at(-1)!.generation;
    assert.match(response.head, new RegExp(`^x-cfg: ${generation}$`, 'm'));
  }
  assert.deepEqual(counts, { v1: 300, v2: 200 });
});

test('new weights begin a new window', async (t) => {
  const origins = [await startOrigin(t, 'v1'), await startOrigin(t, 'v2')];
  const clusters = origins.map((origin, index) => clusterOf([origin.port], { name: `v${index}` }));
  const tableOfWeights = (one: number, two: number): RoutingTable => {
    const backends = [
      backendOf({ cluster: 'v0', weight: one }),
      backendOf({ cluster: 'v1', weight: two }),
    ];
    return tableOf([listenerOf([ruleOf({ backends })])], clusters);
  };
  const { connect, proxy } = await startProxy(t, { table: tableOfWeights(100, 0) });
  const downstream = await connect();
  const split = async () => {
    const counts: Record<string, number> = { v1: 0, v2: 0 };
    for (let index = 0; index < 20; index++) {
      await downstream.send(getOf('/'));
      counts[(await downstream.response()).body]!++;
    }
    return counts;
  };
  assert.deepEqual(await split(), { v1: 20, v2: 0 });
  await proxy.apply(tableOfWeights(50, 50));
  assert.deepEqual(await split(), { v1: 10, v2: 10 });
  await proxy.apply(tableOfWeights(1, 3));
  assert.deepEqual(await split(), { v1: 5, v2: 15 });
});

test('a listener that is gone accepts nothing and closes after the answer it owes', async (t) => {
  const origin = await RawOrigin.start();
  t.after(() => origin.close());
  const stays = listenerOf([ruleOf()], { name: 'stays' });
  const goes = listenerOf([ruleOf()], { name: 'goes' });
  const clusters = [clusterOf([origin.port])];
  const { proxy } = await startProxy(t, {
    table: tableOf([stays, goes], clusters),
    limits: { drainIdleMs: 30 },
  });
  const { port } = proxy.addresses().find(({ name }) => name === 'goes')!;
  const [busy, idle] = [await connectRaw(port), await connectRaw(port)];
  await busy.send(getOf('/'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  await proxy.apply(tableOf([stays], clusters, 2));
  await assert.rejects(connectRaw(port), /ECONNREFUSED/);
  assert.deepEqual(
    proxy.addresses().map(({ name }) => name),
    ['stays'],
  );
  assert.equal(await idle.ended(), 'fin');
  await upstream.send(okWith('owed'));
  const response = await busy.response();
  assert.equal(response.body, 'owed');
  assert.match(response.head, /^Connection: close$/m);
  assert.equal(await busy.ended(), 'fin');
});

test('a port in use is reported, harms nothing else, and is tried again', async (t) => {
  const origin = await startOrigin(t, 'x');
  const taken = createServer();
  t.after(() => taken.close());
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const good = listenerOf([ruleOf()], { name: 'good' });
  const clusters = [clusterOf([origin.port])];
  const { connect, proxy } = await startProxy(t, { table: tableOf([good], clusters) });
  const bad = listenerOf([ruleOf()], { name: 'bad', port });
  const errors = await proxy.apply(tableOf([bad, good], clusters, 2));
  assert.equal(errors.length, 1);
  assert.equal(errors[0]!.code, 'EADDRINUSE');
  assert.deepEqual(proxy.unopened(), errors);
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 200);
  await new Promise<void>((resolve) => taken.close(() => resolve()));
  assert.deepEqual(await proxy.apply(tableOf([bad, good], clusters, 3)), []);
  assert.deepEqual(proxy.unopened(), []);
  assert.equal(proxy.addresses().length, 2);
});

/** A port that another program has, and how it lets it go. */
async function takePort(t: TestContext): Promise<{ port: number; release(): Promise<void> }> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { port, release: () => new Promise((resolve) => server.close(() => resolve())) };
}

test('a listener that moves to a taken port serves on where it was until the port is free', async (t) => {
  const origin = await startOrigin(t, 'x');
  const [[old = 0], taken] = [await freePorts(1), await takePort(t)];
  const clusters = [clusterOf([origin.port])];
  const listenerAt = (port: number) => listenerOf([ruleOf()], { name: `at ${port}`, port });
  const { connect, proxy, log } = await startProxy(t, {
    table: tableOf([listenerAt(old)], clusters),
    limits: { listenRetryMs: 20, drainIdleMs: 20 },
  });
  const errors = await proxy.apply(tableOf([listenerAt(taken.port)], clusters, 2));
  assert.deepEqual(
    errors.map(({ listener, code }) => [listener, code]),
    [[`at ${taken.port}`, 'EADDRINUSE']],
  );
  const downstream = await connect(old);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'x');
  await taken.release();
  await untilSo(() => proxy.unopened().length === 0, 'the listener to be opened');
  await assert.rejects(connectRaw(old), /ECONNREFUSED/);
  assert.equal(await downstream.ended(), 'fin');
  const moved = await connect(taken.port);
  await moved.send(getOf('/'));
  assert.equal((await moved.response()).body, 'x');
  await untilSo(() => log.includes(`info listener at ${taken.port} is open now`), 'a log line');
});

test('a table that does without the listener that cannot be opened ends the attempts', async (t) => {
  const origin = await startOrigin(t, 'x');
  const taken = await takePort(t);
  const clusters = [clusterOf([origin.port])];
  const good = listenerOf([ruleOf()], { name: 'good' });
  const { proxy } = await startProxy(t, {
    table: tableOf([good], clusters),
    limits: { listenRetryMs: 10 },
  });
  const bad = listenerOf([ruleOf()], { name: 'bad', port: taken.port });
  assert.equal((await proxy.apply(tableOf([good, bad], clusters, 2))).length, 1);
  assert.deepEqual(await proxy.apply(tableOf([good], clusters, 3)), []);
  assert.deepEqual(proxy.unopened(), []);
  await taken.release();
  assert.deepEqual(
    proxy.addresses().map(({ name }) => name),
    ['good'],
  );
});

test('a listener for all addresses may follow one for a single address of its port', async (t) => {
  const origin = await startOrigin(t, 'x');
  const [port = 0] = await freePorts(1);
  const clusters = [clusterOf([origin.port])];
  const { connect, proxy } = await startProxy(t, {
    table: tableOf([listenerOf([ruleOf()], { name: 'one', port })], clusters),
  });
  const all = listenerOf([ruleOf()], { name: 'all', address: '0.0.0.0', port });
  assert.deepEqual(await proxy.apply(tableOf([all], clusters, 2)), []);
  assert.deepEqual(proxy.addresses(), [{ name: 'all', address: '0.0.0.0', port }]);
  const downstream = await connect(port);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'x');
});

test('rules that are renamed again and again never end up counted under other', async (t) => {
  const origin = await startOrigin(t, 'x');
  const tableAt = (generation: number) => {
    const rules = Array.from({ length: 500 }, (_, index) =>
      ruleOf({ identity: `route-${generation}/http[${index}]`, route: `route-${generation}` }),
    );
    return tableOf([listenerOf(rules)], [clusterOf([origin.port])], generation);
  };
  const { connect, proxy, telemetry } = await startProxy(t, { table: tableAt(1) });
  for (let generation = 2; generation <= 6; generation++) await proxy.apply(tableAt(generation));
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  const counted = telemetry.metrics.allSeries().filter((series) => series.total().count > 0);
  assert.deepEqual(
    counted.map(({ labels }) => labels.route),
    ['route-6'],
  );
  assert.ok(telemetry.metrics.allSeries().length <= telemetryLimits.metricSeriesMax);
});

test('a listener may take the address of one that goes in the same table', async (t) => {
  const origin = await startOrigin(t, 'x');
  const [port = 0] = await freePorts(1);
  const clusters = [clusterOf([origin.port])];
  const old = listenerOf([ruleOf()], { name: 'old', port });
  const { proxy } = await startProxy(t, { table: tableOf([old], clusters) });
  const renamed = listenerOf([ruleOf()], { name: 'new', port });
  assert.deepEqual(await proxy.apply(tableOf([renamed], clusters, 2)), []);
  assert.deepEqual(proxy.addresses(), [{ name: 'new', address: '127.0.0.1', port }]);
});

test('a broken rule answers with its cause and leaves the others alone', async (t) => {
  const origin = await startOrigin(t, 'x');
  const rules = [
    ruleOf({
      matches: [
        {
          path: { kind: 'prefix', value: '/broken' },
          method: undefined,
          authority: undefined,
          headers: [],
          query: [],
        },
      ],
      backends: [backendOf({ cluster: '' })],
      broken: 'no-backend',
    }),
    ruleOf({ identity: 'default/route/http[1]', index: 1 }),
  ];
  const table = tableOf([listenerOf(rules)], [clusterOf([origin.port])]);
  const { connect } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/broken'));
  const response = await downstream.response();
  assert.equal(response.status, 503);
  assert.match(response.head, /^x-tracecar-cause: no-backend$/m);
  await downstream.send(getOf('/fine'));
  assert.equal((await downstream.response()).body, 'x');
});

test('an empty subset and an empty service have causes of their own', async (t) => {
  for (const [subset, cause] of [
    ['v9', 'subset-empty'],
    ['', 'no-healthy-endpoint'],
  ] as const) {
    const table = tableOf([listenerOf([ruleOf()])], [clusterOf([], { subset })]);
    const { connect } = await startProxy(t, { table });
    const downstream = await connect();
    await downstream.send(getOf('/'));
    assert.match((await downstream.response()).body, new RegExp(`^${cause}: .*service.default`));
  }
});
