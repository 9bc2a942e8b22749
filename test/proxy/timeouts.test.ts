/**
 * Everything that is late: heads, bodies, connections, responses (reliability.md 2.8, rows
 * 152-166). Limits are injected in milliseconds, so that each test waits for its event and no
 * longer.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import type { TrafficLimits } from '../../src/model/limits.ts';
import { startBlackHole } from '../support/black-hole.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { ManualTime } from '../support/manual-time.ts';
import { getOf, postOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

test('row 152: a head that drips gets 408 when its time is over', async (t) => {
  const { connect, origin, telemetry } = await startPair(t, () => undefined, {
    limits: { headTimeoutMs: 80 },
  });
  const downstream = await connect();
  const drip = setInterval(() => {
    if (!downstream.socket.destroyed) downstream.socket.write('x');
  }, 10);
  t.after(() => clearInterval(drip));
  await downstream.send('GET / HTTP/1.1\r\nHost: a\r\nX: ');
  const response = await downstream.response();
  clearInterval(drip);
  assert.equal(response.status, 408);
  assert.match(response.head, /^x-tracecar-cause: request-head-timeout$/m);
  assert.match(response.head, /^connection: close$/m);
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(origin.received, '');
  assert.equal(telemetry.records[0]?.causeCode, failure['request-head-timeout'].code);
});

test('a stall of our own is not charged to the endpoint: a connect that worked counts', async (t) => {
  const { connect, telemetry } = await startPair(
    t,
    answering(() => okWith('x')),
    { direction: 'inbound', limits: { connectLocalTimeoutMs: 30 } },
  );
  const beginSpan = telemetry.beginSpan.bind(telemetry);
  telemetry.beginSpan = (...args) => {
    beginSpan(...args);
    // After this turn's work, the dial among it, the whole process stands still.
    process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 90));
  };
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'x');
});

test('a stall of our own is not charged to the downstream: a head that has come counts', async (t) => {
  const { connect } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { headTimeoutMs: 40 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  await downstream.send('GET / HTTP/1.1\r\nHost: a\r\n');
  // An answer on another connection tells that the proxy has read this far.
  const other = await connect();
  await other.send(getOf('/'));
  await other.response();
  void downstream.send('\r\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 90);
  assert.equal((await downstream.response()).body, 'x');
});

test('row 153: a silent connection is closed without an answer', async (t) => {
  const { connect } = await startPair(t, () => undefined, { limits: { headTimeoutMs: 40 } });
  const downstream = await connect();
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.received, '');
});

test('row 154: a body that arrives too slowly gets 408', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined, {
    limits: { bodyRateWindowMs: 100, bodyRateBytesPerSecondMin: 1_000 },
  });
  const downstream = await connect();
  const drip = setInterval(() => {
    if (!downstream.socket.destroyed) downstream.socket.write('x');
  }, 10);
  t.after(() => clearInterval(drip));
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n');
  const response = await downstream.response();
  clearInterval(drip);
  assert.equal(response.status, 408);
  assert.match(response.head, /^x-tracecar-cause: request-body-timeout$/m);
  assert.equal(await (await origin.connection(0)).closed(), 'reset');
});

test('row 157: a body that pauses gets 408 and its connections are not reused', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined, { limits: { bodyIdleMs: 60 } });
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
  assert.equal((await downstream.response()).status, 408);
  await downstream.send(`defghij${getOf('/second')}`);
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(await (await origin.connection(0)).closed(), 'reset');
  assert.doesNotMatch(origin.received, /second/);
});

test('a body that is steady enough is never cut', async (t) => {
  const time = new ManualTime();
  const { connect, origin } = await startPair(t, () => undefined, {
    time,
    limits: { bodyRateWindowMs: 40, bodyRateBytesPerSecondMin: 100, bodyIdleMs: 200 },
  });
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n');
  const upstream = await origin.connection(0);
  for (let sent = 1; sent <= 6; sent++) {
    await time.advance(20);
    await downstream.send('0123456789');
    await upstream.untilReceived('0123456789'.repeat(sent));
  }
  await upstream.send(okWith('done'));
  assert.equal((await downstream.response()).body, 'done');
});

test('a body that goes on as it was sent may pause for as long as a stream', async (t) => {
  const origin = await RawOrigin.start(async (upstream) => {
    await upstream.untilReceived('end');
    await upstream.send(okWith('whole'));
  });
  t.after(() => origin.close());
  const time = new ManualTime();
  const { outbound } = await startCapture(t, { time });
  const [whole, silent] = [await outbound(origin.port), await outbound(origin.port)];
  for (const [index, downstream] of [whole, silent].entries()) {
    await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    await (await origin.connection(index)).untilReceived('\r\n\r\n');
  }
  await time.advance(200_000);
  await whole.send('x');
  await (await origin.connection(0)).untilReceived('\r\n\r\nx');
  await time.advance(90_000);
  await whole.send('-end');
  assert.equal((await whole.response()).body, 'whole');
  const response = await time.advanceUntil(silent.response());
  assert.match(response.body, /^stream-idle-timeout: /);
});

test('a body that waits for 100 (Continue) is not slow, and one after it is', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined, {
    limits: { bodyIdleMs: 30, bodyRateWindowMs: 30, headTimeoutMs: 80 },
  });
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n',
  );
  // A silent connection, closed after nearly three times as long, is this test's clock.
  await (await connect()).ended();
  await (await origin.connection(0)).send('HTTP/1.1 100 Continue\r\n\r\n');
  assert.equal((await downstream.response()).status, 100);
  assert.equal((await downstream.response()).status, 408);
});

test('a stream both ways may be slow in one of them', async (t) => {
  const { connect, origin } = await startPair(
    t,
    async (upstream) => {
      await upstream.untilReceived('ping');
      await upstream.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n');
    },
    { limits: { bodyIdleMs: 30, bodyRateWindowMs: 30, headTimeoutMs: 80 } },
  );
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nping');
  await downstream.untilReceived('pong');
  await (await connect()).ended();
  await (await origin.connection(0)).send('4\r\nlate\r\n0\r\n\r\n');
  assert.equal((await downstream.response()).body, 'ponglate');
});

test('row 164: a kept connection is closed when it has been idle', async (t) => {
  const { connect } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { keepAliveIdleMs: 50, poolIdleMs: 20 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 200);
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(downstream.rest, '');
});

test('an idle upstream connection is closed before its server would', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { poolIdleMs: 30 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  assert.equal(await (await origin.connection(0)).ended(), 'fin');
});

test('an upstream that keeps connections shorter than we is believed', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering(() => okWith('x', 'Keep-Alive: timeout=1\r\n')),
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  assert.equal(await (await origin.connection(0)).ended(), 'fin');
});

test("the route's timeout answers 504 and cancels the upstream (fault 19)", async (t) => {
  const origin = await RawOrigin.start();
  t.after(() => origin.close());
  const rule = ruleOf({ timeoutMs: 50 });
  const table = tableOf([listenerOf([rule])], [clusterOf([origin.port])]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.status, 504);
  assert.match(response.body, /^request-timeout: /);
  assert.equal(await (await origin.connection(0)).closed(), 'reset');
  assert.ok(telemetry.records[0]!.totalUs >= 49_000);
  // The request was whole, so the connection goes on.
  assert.doesNotMatch(response.head, /close/i);
});

test('a route timeout in the middle of the body cuts the downstream', async (t) => {
  const origin = await RawOrigin.start(async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
  });
  t.after(() => origin.close());
  const rule = ruleOf({ timeoutMs: 60 });
  const table = tableOf([listenerOf([rule])], [clusterOf([origin.port])]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal(await downstream.ended(), 'reset');
  assert.equal(telemetry.records[0]?.causeCode, failure['request-timeout'].code);
  assert.equal(telemetry.records[0]?.status, 200);
});

test('row 204: a response head that drips gets 504, counted from its first byte', async (t) => {
  const { connect } = await startPair(
    t,
    async (upstream) => {
      await upstream.untilReceived('\r\n\r\n');
      const drip = setInterval(() => upstream.socket.write('X'), 10);
      upstream.socket.once('close', () => clearInterval(drip));
      await upstream.send('HTTP/1.1 200 OK\r\nX');
    },
    { limits: { responseHeadTimeoutMs: 60 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.status, 504);
  assert.match(response.head, /^x-tracecar-cause: response-head-timeout$/m);
});

test('an interim response does not start the clock of the final head', async (t) => {
  const { connect, origin } = await startPair(
    t,
    async (upstream) => {
      await upstream.untilReceived('\r\n\r\n');
      await upstream.send('HTTP/1.1 103 Early Hints\r\n\r\n');
    },
    { limits: { responseHeadTimeoutMs: 20, headTimeoutMs: 60 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 103);
  // A silent connection, closed three times as late as the head would be, is this test's clock.
  await (await connect()).ended();
  await (await origin.connection(0)).send(okWith('late'));
  assert.equal((await downstream.response()).body, 'late');
});

test('an exchange on which nothing moves is ended', async (t) => {
  const { connect, telemetry } = await startPair(t, () => undefined, {
    limits: { streamIdleMs: 50 },
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 504);
  assert.equal(telemetry.records[0]?.causeCode, failure['stream-idle-timeout'].code);
});

test('a connection that is not accepted in time is a connect timeout', async (t) => {
  const port = await startBlackHole(t);
  const cluster = clusterOf([port], { connectTimeoutMs: 50 });
  const { connect } = await startProxy(t, { table: tableOf([listenerOf([ruleOf()])], [cluster]) });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.status, 504);
  assert.match(response.body, new RegExp(`^connect-timeout: .*127.0.0.1:${port}`));
});

/** Says how long `endpoints` black holes were waited for until their caller got its answer. */
async function waitedFor(
  t: TestContext,
  endpoints: number,
  direction: 'inbound' | 'outbound',
  limits: Partial<TrafficLimits> = {},
): Promise<number> {
  const ports = [];
  while (ports.length < endpoints) ports.push(await startBlackHole(t));
  const time = new ManualTime();
  const table = tableOf([listenerOf([ruleOf()], { direction })], [clusterOf(ports)]);
  const { connect, proxy } = await startProxy(t, { table, time, limits });
  const downstream = await connect();
  const startMs = time.clock.now();
  await downstream.send(getOf('/'));
  await untilSo(() => proxy.snapshot().connections.upstreamOpen === 1, 'the dial');
  const response = await time.advanceUntil(downstream.response());
  assert.match(response.body, /^connect-timeout: /);
  return time.clock.now() - startMs;
}

test('where nobody has said how long, an endpoint has the time of three lost SYNs', async (t) => {
  for (const direction of ['inbound', 'outbound'] as const) {
    const waitedMs = await waitedFor(t, 1, direction);
    assert.ok(waitedMs >= 10_000 && waitedMs < 11_000, `${direction}: ${waitedMs}`);
  }
});

test('an endpoint is left sooner for another one, which has that time', async (t) => {
  const waitedMs = await waitedFor(t, 2, 'outbound');
  assert.ok(waitedMs >= 11_000 && waitedMs < 12_000, `${waitedMs}`);
});

test('one that may not be left for another has all the time of the last one', async (t) => {
  const noRetries = { retryRatio: 0, retriesPerSecond: 0 };
  const waitedMs = await waitedFor(t, 2, 'outbound', noRetries);
  assert.ok(waitedMs >= 10_000 && waitedMs < 11_000, `${waitedMs}`);
});

test('the own application has its own time to accept, whatever a cluster says', async (t) => {
  const port = await startBlackHole(t);
  const cluster = clusterOf([port], { connectTimeoutMs: 60_000 });
  const listener = listenerOf([ruleOf()], { direction: 'inbound' });
  const { connect } = await startProxy(t, {
    table: tableOf([listener], [cluster]),
    limits: { connectLocalTimeoutMs: 50 },
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.match((await downstream.response()).body, /^connect-timeout: /);
});

test('a connection attempt ends with the downstream that wanted it', async (t) => {
  const port = await startBlackHole(t);
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([port])]);
  const { connect, proxy, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  downstream.reset();
  await telemetry.recorded(1);
  assert.equal(telemetry.records[0]?.causeCode, failure['client-gone'].code);
  assert.equal(proxy.snapshot().connections.upstreamOpen, 0);
});

test('row 165: a request that meets the close of a kept connection is answered', async (t) => {
  const { connect } = await startPair(t, async (upstream, index) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(okWith(`${index}`));
    if (index === 0) {
      await upstream.untilReceived('/second');
      upstream.reset();
    }
  });
  const downstream = await connect();
  await downstream.send(getOf('/first'));
  assert.equal((await downstream.response()).body, '0');
  await downstream.send(getOf('/second'));
  assert.equal((await downstream.response()).body, '1');
  await downstream.send(postOf('/third', ''));
});
