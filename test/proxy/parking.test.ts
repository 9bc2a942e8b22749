/**
 * Captured connections that come before there is a table: they wait, and nothing of them is lost.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ownAddress, startCapture } from '../support/capture-fixture.ts';
import { ManualTime } from '../support/manual-time.ts';
import { getOf } from '../support/proxy-fixture.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  backendOf,
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
} from '../support/tables.ts';

async function origin(t: TestContext, script?: OriginScript) {
  const started = await RawOrigin.start(script);
  t.after(() => started.close());
  return started;
}

test('what comes before the first table waits for it and is served then', async (t) => {
  const web = await origin(
    t,
    answering(() => okWith('served')),
  );
  const opaque = await origin(t, (connection) => connection.send('the server speaks first'));
  const proxy = await startCapture(t, { isParking: true });
  const asking = await proxy.outbound(web.port);
  await asking.send(getOf('/early'));
  const listening = await proxy.outbound(opaque.port);
  const called = await proxy.inbound(web.port);
  await called.send(getOf('/called'));
  assert.equal(proxy.proxy.snapshot().connections.downstreamOpen, 3);
  assert.equal(web.connections.length + opaque.connections.length, 0, 'nothing is dialled yet');
  assert.deepEqual(await proxy.proxy.apply(proxy.table), []);
  assert.equal((await asking.response()).body, 'served');
  assert.equal((await called.response()).body, 'served');
  await listening.untilReceived('the server speaks first');
  listening.reset();
  const later = await proxy.outbound(web.port);
  await later.send(getOf('/later'));
  assert.equal((await later.response()).body, 'served');
});

test('those that wait leave in the order in which they came', async (t) => {
  const server = await origin(t);
  const proxy = await startCapture(t, { isParking: true });
  for (let number = 0; number < 8; number++) {
    const downstream = await proxy.outbound(server.port);
    await downstream.send(`\0${number}`);
  }
  await proxy.proxy.apply(proxy.table);
  for (let number = 0; number < 8; number++) {
    await (await server.connection(number)).untilReceived(`\0${number}`);
  }
});

test('a parked call of the pod to itself reaches its application', async (t) => {
  const application = await origin(
    t,
    answering(() => okWith('own')),
  );
  const port = 8_080;
  const endpoints = [{ address: ownAddress, port, labels: {}, zone: '', identity: '' }];
  const self = clusterOf([], { name: 'self', endpoints });
  const inbound = { name: `inbound||${port}`, direction: 'inbound', address: '', port } as const;
  // Dialled as soon as it leaves.
  const own = { address: '10.96.0.1', port: 5_432 };
  const connectionRules = [connectionRuleOf({ backends: [backendOf({ cluster: 'self' })] })];
  const proxy = await startCapture(t, {
    isParking: true,
    capture: {
      inbound: [listenerOf([ruleOf()], inbound)],
      destinations: [destinationOf({ ...own, protocol: 'tcp', connectionRules })],
    },
    clusters: [self, clusterOf([application.port])],
  });
  const caller = await proxy.outbound(own);
  await caller.send(getOf('/'));
  await proxy.proxy.apply(proxy.table);
  assert.equal((await caller.response()).body, 'own');
});

test('who gives up while waiting leaves nothing behind', async (t) => {
  const server = await origin(
    t,
    answering(() => okWith('too late')),
  );
  const proxy = await startCapture(t, { isParking: true });
  const [gone, finished] = [await proxy.outbound(server.port), await proxy.outbound(server.port)];
  gone.reset();
  await finished.send(getOf('/'));
  finished.finish();
  await proxy.proxy.apply(proxy.table);
  assert.equal((await finished.response()).body, 'too late');
  assert.equal(await finished.closed(), 'fin');
});

test('without a table for a minute those that wait are reset', async (t) => {
  const time = new ManualTime();
  const proxy = await startCapture(t, { isParking: true, time });
  const first = await proxy.outbound(1);
  await time.advance(30_000);
  const second = await proxy.outbound(1);
  await time.advance(29_000);
  assert.deepEqual([first.ending, second.ending], ['open', 'open']);
  await time.advance(2_000);
  assert.equal(await first.closed(), 'reset');
  assert.equal(second.ending, 'open');
  await time.advance(30_000);
  assert.equal(await second.closed(), 'reset');
  assert.equal(proxy.proxy.snapshot().connections.deadlines, 0);
});

test('a drain before the first table waits for nobody', async (t) => {
  const limits = { drainListenMs: 60_000, drainQuietMs: 20 };
  const proxy = await startCapture(t, { isParking: true, limits });
  const parked = [await proxy.outbound(1), await proxy.inbound(1)];
  const started = Date.now();
  assert.deepEqual(await proxy.proxy.drain(60_000), { finished: 2, cut: 0 });
  assert.ok(Date.now() - started < 50_000, 'the time in which callers still come is left out');
  for (const each of parked) assert.equal(await each.closed(), 'reset');
  assert.deepEqual(await proxy.proxy.apply(proxy.table), []);
});

test('as many may wait as may be open', async (t) => {
  const proxy = await startCapture(t, { isParking: true, limits: { connectionsMax: 2 } });
  const waiting = [await proxy.outbound(1), await proxy.inbound(1)];
  const third = await proxy.outbound(1);
  assert.notEqual(await third.ended(), 'open');
  third.finish();
  assert.equal(proxy.proxy.counts.refusedConnections, 1);
  for (const each of waiting) assert.equal(each.ending, 'open');
});

test('a direct hit does not wait: it is closed at once', async (t) => {
  const proxy = await startCapture(t, { isParking: true });
  for (const to of [undefined, proxy.outboundPort]) {
    const hit = await proxy.outbound(to);
    assert.notEqual(await hit.ended(), 'open');
    hit.finish();
  }
  assert.equal(proxy.proxy.counts.refusedCaptures, 2);
});
