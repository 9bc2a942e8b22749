/**
 * How the proxy ends: nothing that is under way is lost, nothing waits for ever (fault 16).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import type { DrainResult, ProxyServer } from '../../src/proxy/proxy-server.ts';
import { ManualTime } from '../support/manual-time.ts';
import { getOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { backendOf, clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

test('fault 16: a drain under load loses no request', async (t) => {
  const { connect, proxy, port } = await startPair(
    t,
    answering((number) => okWith(`${number}`)),
    { limits: { drainIdleMs: 5_000, drainQuietMs: 50 } },
  );
  const downstreams = await Promise.all(Array.from({ length: 8 }, () => connect()));
  let answered = 0;
  let drained: Promise<{ finished: number; cut: number }> | undefined;
  const drive = async (index: number) => {
    for (let sent = 0; ; sent++) {
      const downstream = downstreams[index]!;
      await downstream.send(getOf('/'));
      const response = await downstream.response();
      assert.equal(response.status, 200);
      answered++;
      if (index === 0 && sent === 20) drained = proxy.drain(5_000);
      if (/^connection: close$/im.test(response.head)) {
        assert.equal(await downstream.ended(), 'fin');
        downstream.finish();
        return;
      }
    }
  };
  await Promise.all(downstreams.map((_, index) => drive(index)));
  assert.deepEqual(await drained, { finished: 8, cut: 0 });
  assert.ok(answered > 20);
  await assert.rejects(connectRaw(port), /ECONNREFUSED/);
});

test('idle and silent connections are closed, and the drain ends early', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { drainIdleMs: 20, drainQuietMs: 20 } },
  );
  const [used, silent] = [await connect(), await connect()];
  await used.send(getOf('/'));
  await used.response();
  const drained = proxy.drain(60_000);
  for (const downstream of [used, silent]) {
    assert.equal(await downstream.ended(), 'fin');
    downstream.finish();
  }
  assert.deepEqual(await drained, { finished: 2, cut: 0 });
});

test('a request that comes on a kept connection while draining is answered', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('still here')),
    { limits: { drainIdleMs: 5_000, drainQuietMs: 20 } },
  );
  const downstream = await connect();
  const drained = proxy.drain(60_000);
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.body, 'still here');
  assert.match(response.head, /^Connection: close$/m);
  downstream.finish();
  assert.deepEqual(await drained, { finished: 1, cut: 0 });
});

test('what does not end in time is cut by RST, on both sides', async (t) => {
  const { connect, proxy, origin } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  assert.deepEqual(await proxy.drain(30), { finished: 0, cut: 1 });
  assert.equal(await downstream.closed(), 'reset');
  assert.equal(await upstream.closed(), 'reset');
});

test('a drain closes the idle upstream connections', async (t) => {
  const { connect, proxy, origin } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { drainQuietMs: 20 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  downstream.socket.destroy();
  await proxy.drain(1_000);
  assert.equal(await (await origin.connection(0)).ended(), 'fin');
});

/** One request on a connection of its own. */
async function askOnce(port: number) {
  const downstream = await connectRaw(port);
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  downstream.finish();
  return response;
}

test('callers that still come are served for a while, and told to close', {
  timeout: 60_000,
}, async (t) => {
  const time = new ManualTime();
  const { proxy, port } = await startPair(
    t,
    answering(() => okWith('x')),
    { direction: 'inbound', time, limits: { drainListenMs: 300, drainQuietMs: 20 } },
  );
  const drained = proxy.drain(10_000);
  const heads: string[] = [];
  for (let asked = 0; asked < 14; asked++) {
    heads.push(await askOnce(port).then(({ head }) => head, String));
    await time.advance(20);
  }
  assert.deepEqual(await time.advanceUntil(drained), { finished: 14, cut: 0 });
  for (const head of heads) assert.match(head, /^Connection: close$/m);
  await assert.rejects(connectRaw(port), /ECONNREFUSED/);
});

test('the application reaches others until its last caller has its answer', async (t) => {
  const [origin, application] = [
    await RawOrigin.start(answering(() => okWith('from another'))),
    await RawOrigin.start(),
  ];
  t.after(() => origin.close());
  t.after(() => application.close());
  const listeners = [
    listenerOf([ruleOf()], { name: 'out' }),
    listenerOf([ruleOf({ backends: [backendOf({ cluster: 'app' })] })], {
      name: 'in',
      direction: 'inbound',
    }),
  ];
  const clusters = [clusterOf([origin.port]), clusterOf([application.port], { name: 'app' })];
  const { connect, proxy } = await startProxy(t, {
    table: tableOf(listeners, clusters),
    limits: { drainListenMs: 30, drainQuietMs: 20 },
  });
  const [out, into] = ['out', 'in'].map(
    (name) => proxy.addresses().find((each) => each.name === name)!.port,
  );
  const caller = await connect(into);
  await caller.send(getOf('/'));
  const request = await application.connection(0);
  await request.untilReceived('\r\n\r\n');
  const drained = proxy.drain(10_000);
  const isListed = (wanted: string) => proxy.addresses().some(({ name }) => name === wanted);
  await untilSo(() => !isListed('in'), 'the end of new callers');
  await assert.rejects(connectRaw(into!), /ECONNREFUSED/);
  assert.equal((await askOnce(out!)).body, 'from another');
  await request.send(okWith('owed'));
  assert.equal((await caller.response()).body, 'owed');
  caller.finish();
  assert.equal((await drained).cut, 0);
  await assert.rejects(connectRaw(out!), /ECONNREFUSED/);
});

/** How long a drain takes by the clock of the proxy, and what it came to. */
async function timeDrain(proxy: ProxyServer, time: ManualTime): Promise<[number, DrainResult]> {
  const start = time.clock.now();
  const result = await time.advanceUntil(proxy.drain(trafficLimits.drainMs));
  return [time.clock.now() - start, result];
}

test('callers have five seconds to hear of the end, however quiet it is meanwhile', async (t) => {
  assert.equal(trafficLimits.drainListenMs, 5_000);
  const time = new ManualTime();
  const script = answering(() => okWith('x'));
  const { proxy, port } = await startPair(t, script, { direction: 'inbound', time });
  const drained = proxy.drain(trafficLimits.drainMs);
  await time.advance(trafficLimits.drainListenMs - 100);
  const response = await askOnce(port);
  assert.equal(response.body, 'x');
  assert.match(response.head, /^Connection: close$/m);
  assert.deepEqual(await time.advanceUntil(drained), { finished: 1, cut: 0 });
  await assert.rejects(connectRaw(port), /ECONNREFUSED/);
});

test('a proxy without callers ends right after the time to listen', async (t) => {
  const time = new ManualTime();
  const { proxy } = await startPair(t, () => undefined, { direction: 'inbound', time });
  const [tookMs, result] = await timeDrain(proxy, time);
  assert.deepEqual(result, { finished: 0, cut: 0 });
  const { drainListenMs } = trafficLimits;
  assert.ok(tookMs >= drainListenMs && tookMs < drainListenMs + 400, `${tookMs} ms`);
});

test('the time since the pod said that it ends counts', async (t) => {
  const time = new ManualTime();
  const { proxy } = await startPair(t, () => undefined, { direction: 'inbound', time });
  proxy.leave();
  await time.advance(4_000);
  const [tookMs] = await timeDrain(proxy, time);
  assert.ok(tookMs >= 1_500 && tookMs < 1_900, `${tookMs} ms`);
});

test('a proxy that only leads out waits for no callers, only for quiet', async (t) => {
  const time = new ManualTime();
  const { proxy } = await startPair(t, () => undefined, { time });
  const [tookMs] = await timeDrain(proxy, time);
  const { drainQuietMs } = trafficLimits;
  assert.ok(tookMs >= drainQuietMs && tookMs < drainQuietMs + 400, `${tookMs} ms`);
});

test('the time of a drain bounds the part in which it listens', async (t) => {
  const { proxy } = await startPair(t, () => undefined, {
    direction: 'inbound',
    limits: { drainListenMs: 60_000, drainQuietMs: 60_000 },
  });
  assert.deepEqual(await proxy.drain(20), { finished: 0, cut: 0 });
});
