/**
 * When a request is sent again, and that it is sent once otherwise (DESIGN.md decision 9).
 */

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { RecordFlag, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { startBlackHole } from '../support/black-hole.ts';
import { getOf, postOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function startOrigin(t: TestContext, body: string): Promise<RawOrigin> {
  const origin = await RawOrigin.start(answering(() => okWith(body)));
  t.after(() => origin.close());
  return origin;
}

test('a refused connection is retried once, on another endpoint', async (t) => {
  const origin = await startOrigin(t, 'from the other');
  const ports = [await closedPort(), origin.port];
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf(ports)]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  for (let index = 0; index < 4; index++) {
    await downstream.send(postOf('/', 'sent once'));
    assert.equal((await downstream.response()).body, 'from the other');
  }
  assert.equal(origin.received.match(/sent once/g)?.length, 4);
  const failed = telemetry.records.filter(({ causeCode }) => causeCode !== 0);
  assert.ok(failed.length >= 1);
  for (const { causeCode } of failed) assert.equal(causeCode, failure['connect-refused'].code);
});

test('a refused connection with a body still arriving is retried with all of it', async (t) => {
  const origin = await RawOrigin.start(async (upstream) => {
    await upstream.untilReceived('end');
    await upstream.send(okWith('got it'));
  });
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([await closedPort(), origin.port])]);
  const { connect } = await startProxy(t, { table });
  for (let index = 0; index < 2; index++) {
    const downstream = await connect();
    await downstream.send(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n',
    );
    await downstream.send('3\r\nend\r\n0\r\n\r\n');
    assert.equal((await downstream.response()).body, 'got it');
    downstream.socket.destroy();
  }
  for (const { received } of origin.connections) assert.match(received, /begin[\s\S]*end/);
});

test('with one endpoint a refused connection is 502 at once', async (t) => {
  const port = await closedPort();
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([port])]);
  const { connect, proxy } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.status, 502);
  assert.match(response.body, new RegExp(`^connect-refused: .*ECONNREFUSED, 127.0.0.1:${port}`));
  assert.equal(proxy.snapshot().counts.retries, 0);
  assert.doesNotMatch(response.head, /close/i);
});

test('two refused endpoints are not followed by a third', async (t) => {
  const ports = [await closedPort(), await closedPort(), await closedPort()];
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf(ports)]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 502);
  assert.equal(telemetry.records.length, 2);
  const [first, second] = telemetry.records;
  assert.notEqual(first!.endpointId, second!.endpointId);
});

test('an endpoint that does not accept in time is left for another', async (t) => {
  const origin = await startOrigin(t, 'alive');
  const ports = [await startBlackHole(t), origin.port];
  const cluster = clusterOf(ports, { connectTimeoutMs: 40 });
  const table = tableOf([listenerOf([ruleOf()])], [cluster]);
  const { connect } = await startProxy(t, { table });
  const downstream = await connect();
  for (let index = 0; index < 2; index++) {
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).body, 'alive');
  }
});

test('attempts are CLIENT records of one trace, siblings of each other', async (t) => {
  const ports = [await closedPort(), await closedPort()];
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf(ports)]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  await downstream.send(getOf('/root'));
  await downstream.response();
  const parent = 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n';
  await downstream.send(getOf('/child', parent));
  await downstream.response();
  const [first, second, third, fourth] = telemetry.records;
  for (const [left, right] of [
    [first!, second!],
    [third!, fourth!],
  ] as const) {
    assert.equal(left.kind, RecordKind.Client);
    assert.deepEqual([left.attempt, right.attempt], [0, 1]);
    const refused = failure['connect-refused'].code;
    assert.deepEqual([left.attemptReason, right.attemptReason], [0, refused]);
    assert.equal(left.traceId0, right.traceId0);
    assert.equal(left.traceId3, right.traceId3);
    assert.notEqual(left.spanId1, right.spanId1);
    assert.equal(left.parentId1, right.parentId1);
  }
  assert.equal(first!.flags & RecordFlag.HasParent, 0);
  assert.equal(second!.flags & RecordFlag.HasParent, 0);
  assert.ok(fourth!.flags & RecordFlag.HasParent);
  assert.equal(fourth!.parentId1, 0x69203331);
});

test('an inbound exchange is one SERVER record, however many attempts it took', async (t) => {
  const origin = await startOrigin(t, 'x');
  const listener = listenerOf([ruleOf()], { direction: 'inbound' });
  const table = tableOf([listener], [clusterOf([await closedPort(), origin.port])]);
  const { connect, telemetry } = await startProxy(t, { table });
  const downstream = await connect();
  for (let index = 0; index < 2; index++) {
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  assert.equal(telemetry.records.length, 2);
  for (const { kind, status, causeCode } of telemetry.records) {
    assert.deepEqual([kind, status, causeCode], [RecordKind.Server, 200, 0]);
  }
});

test('fault 2: a POST on a connection that is reset is 502, sent once', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(okWith('first'));
    await upstream.untilReceived('POST');
    upstream.reset();
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  await downstream.send(postOf('/', 'pay'));
  const response = await downstream.response();
  assert.equal(response.status, 502);
  assert.match(response.body, /^idle-race: /);
  assert.equal(origin.received.match(/POST/g)?.length, 1);
});

test('fault 28: retries stop when the budget is used up', async (t) => {
  const { connect, origin } = await startPair(
    t,
    async (upstream) => {
      await upstream.untilReceived('\r\n\r\n');
      upstream.finish();
    },
    { limits: { retriesPerSecond: 2, retryRatio: 0.1 } },
  );
  const downstream = await connect();
  const started = performance.now();
  for (let index = 0; index < 30; index++) {
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).status, 502);
  }
  const seconds = (performance.now() - started) / 1_000;
  const attempts = origin.connections.length;
  // 30 requests, a tenth of them again, two to begin with and two a second.
  assert.ok(attempts <= 30 + 3 + 2 + 2 * seconds + 1, `${attempts} attempts`);
  assert.ok(attempts > 32, `${attempts} attempts`);
});
