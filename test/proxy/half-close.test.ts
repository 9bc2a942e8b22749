/**
 * Ends of connections, orderly and not, on either side, at any moment (rows 158-161, fault 1).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { getOf, postOf, startPair } from '../support/proxy-fixture.ts';
import { cutMessage } from '../support/raw-connection.ts';
import { answering, okWith } from '../support/raw-origin.ts';

test('row 159: FIN after the request still gets its response', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await new Promise((resolve) => setImmediate(resolve));
    await upstream.send(okWith('answer'));
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  downstream.finish();
  const response = await downstream.response();
  assert.equal(response.body, 'answer');
  assert.equal(await downstream.ended(), 'fin');
  assert.equal((await origin.connection(0)).ending, 'open');
});

test('FIN after pipelined requests gets all their responses', async (t) => {
  const { connect } = await startPair(
    t,
    answering((number) => okWith(`${number}`)),
  );
  const downstream = await connect();
  await downstream.send(getOf('/1') + getOf('/2') + getOf('/3'));
  downstream.finish();
  for (const wanted of ['1', '2', '3']) {
    assert.equal((await downstream.response()).body, wanted);
  }
  assert.equal(await downstream.ended(), 'fin');
});

test('row 160: RST in the middle of the response cancels the upstream at once', async (t) => {
  const { connect, origin, telemetry } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc');
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.untilReceived('abc');
  downstream.reset();
  assert.equal(await (await origin.connection(0)).closed(), 'reset');
  await telemetry.recorded(1);
  const [record] = telemetry.records;
  assert.equal(record!.causeCode, failure['client-gone'].code);
  assert.ok(record!.flags & RecordFlag.DownstreamGone);
});

test('RST before the response cancels the upstream at once', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  downstream.reset();
  assert.equal(await upstream.closed(), 'reset');
});

test('row 161: FIN in the middle of a chunked body never becomes a last chunk', async (t) => {
  const { connect, origin, telemetry } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  );
  const upstream = await origin.connection(0);
  await upstream.untilReceived('abc');
  downstream.finish();
  assert.equal(await upstream.closed(), 'reset');
  assert.equal(cutMessage(upstream.received, 0, 'request', false), undefined);
  await telemetry.recorded(1);
  assert.ok(telemetry.records[0]!.flags & RecordFlag.BodyCut);
});

test('FIN in the middle of a body of known length resets the upstream', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
  const upstream = await origin.connection(0);
  await upstream.untilReceived('abc');
  downstream.finish();
  assert.equal(await upstream.closed(), 'reset');
});

test('FIN in the middle of a head ends the connection and nothing is forwarded', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send('GET / HTTP/1.1\r\nHost:');
  downstream.finish();
  await downstream.closed();
  assert.equal(origin.received, '');
});

for (const [name, head, cut] of [
  ['a body of known length', 'Content-Length: 10', 'abc'],
  ['a chunked body', 'Transfer-Encoding: chunked', '3\r\nabc\r\n'],
] as const) {
  for (const how of ['fin', 'reset'] as const) {
    test(`rows 201-203, fault 1: ${name} cut by ${how} is seen cut downstream`, async (t) => {
      const { connect, telemetry } = await startPair(t, async (upstream) => {
        await upstream.untilReceived('\r\n\r\n');
        await upstream.send(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${cut}`);
        await new Promise((resolve) => setImmediate(resolve));
        if (how === 'fin') upstream.finish();
        else upstream.reset();
      });
      const downstream = await connect();
      await downstream.send(getOf('/'));
      assert.equal(await downstream.ended(), 'reset');
      assert.equal(cutMessage(downstream.received, 0, 'response', false), undefined);
      assert.equal(telemetry.records[0]?.causeCode, failure['upstream-cut'].code);
      assert.ok(telemetry.records[0]!.flags & RecordFlag.BodyCut);
    });
  }
}

test('a close-delimited body is cut when its end is a reset', async (t) => {
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\n\r\nabc');
    await new Promise((resolve) => setImmediate(resolve));
    upstream.reset();
  });
  for (const version of ['1.1', '1.0']) {
    const downstream = await connect();
    await downstream.send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
    assert.equal(await downstream.ended(), 'reset');
    assert.doesNotMatch(downstream.received, /\r\n0\r\n\r\n$/);
  }
});

test("row 158: an error before the body's end is relayed and ends both connections", async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('abc');
    await upstream.send('HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nbig');
  });
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc');
  const response = await downstream.response();
  assert.equal(response.status, 413);
  assert.match(response.head, /^Connection: close$/m);
  await downstream.send('the rest of the body is thrown away');
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(await (await origin.connection(0)).closed(), 'reset');
  assert.doesNotMatch(origin.received, /the rest/);
});

test('FIN in the middle of a body that nobody wants still gets the answer', async (t) => {
  const { connect, origin } = await startPair(
    t,
    async (upstream) => {
      await upstream.untilReceived('abc');
      await upstream.send('HTTP/1.1 413 Too Much\r\nContent-Length: 6\r\n\r\nbig');
    },
    { limits: { headTimeoutMs: 40 } },
  );
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc');
  await downstream.untilReceived('big');
  await downstream.send('unwanted');
  downstream.finish();
  const upstream = await origin.connection(0);
  // Time for anything that would be forwarded: a silent connection is closed meanwhile.
  await (await connect()).ended();
  await upstream.send('ger');
  assert.equal((await downstream.response()).body, 'bigger');
  assert.doesNotMatch(upstream.received, /unwanted/);
});

test('an early success is a stream both ways until the response ends', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('ping');
    await upstream.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n');
    await upstream.untilReceived('more');
    await upstream.send('4\r\nmore\r\n0\r\n\r\n');
  });
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n',
  );
  await downstream.untilReceived('pong');
  await downstream.send('4\r\nmore\r\n');
  const response = await downstream.response();
  assert.equal(response.body, 'pongmore');
  // It could not be known when the head went: whoever ends the request in time goes on.
  assert.doesNotMatch(response.head, /^connection:/im);
  assert.equal(await downstream.ended(), 'fin');
  assert.equal(await (await origin.connection(0)).closed(), 'reset');
});

test('the peer of a closing connection has a moment to read its answer', async (t) => {
  const { connect } = await startPair(t, () => undefined, { limits: { lingerMs: 30 } });
  const downstream = await connect();
  await downstream.send(`BAD\r\n\r\n${'x'.repeat(100_000)}`);
  const response = await downstream.response();
  assert.equal(response.status, 400);
  // We never send FIN: after the linger the proxy ends the connection from its side.
  await downstream.ended();
  await downstream.send(postOf('/', 'x')).catch(() => undefined);
});
