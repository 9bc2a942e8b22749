/**
 * An upstream that answers before it has read the request: the connection is lent again when all has
 * gone, and not a moment earlier.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { getOf, startPair } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { okWith } from '../support/raw-origin.ts';
import { untilSo, untilStill } from '../support/turns.ts';

const limit = { timeout: 60_000 };
const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`;

/** The whole body is the proxy's, the kernel has not taken all of it, and the answer is there. */
async function answeredTooEarly(t: TestContext) {
  const pair = await startPair(t, async (upstream, index) => {
    await upstream.untilReceived('\r\n\r\n');
    if (index === 0) upstream.socket.pause();
    else await upstream.send(okWith('another'));
  });
  const { proxy, origin } = pair;
  const held = () => Math.max(0, ...proxy.connections().map((each) => each.requestHeldBytes));
  const downstream = await pair.connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  const upstream = await origin.connection(0);
  await untilSo(() => upstream.socket.isPaused(), 'an upstream that does not read');
  while (held() === 0) {
    await downstream.send(piece);
    // The proxy has had its turns to read it.
    for (let turn = 0; turn < 5; turn++) await new Promise((done) => setImmediate(done));
  }
  const before = await untilStill(held);
  await downstream.send('0\r\n\r\n');
  await untilSo(() => held() > before, 'the end of the body');
  await upstream.send(okWith('early'));
  assert.equal((await downstream.response()).body, 'early');
  return { ...pair, downstream, upstream };
}

async function bodyOf(downstream: RawConnection): Promise<string> {
  await downstream.send(getOf('/next'));
  return (await downstream.response()).body;
}

test('a connection is lent again once the last request has gone whole', limit, async (t) => {
  const { downstream, upstream, origin, proxy } = await answeredTooEarly(t);
  assert.equal(proxy.snapshot().connections.upstreamOpen, 1);
  const { socket } = upstream;
  socket.resume();
  await upstream.until(() => upstream.received.endsWith('\r\n0\r\n\r\n'), 'the end of the body');
  // The peer may have it before the proxy hears that it has gone.
  await untilSo(
    () => proxy.snapshot().clusters[0]!.endpoints[0]!.idleConnections === 1,
    'an idle connection',
  );
  const answered = bodyOf(downstream);
  await upstream.untilReceived('GET /next');
  await upstream.send(okWith('same'));
  assert.equal(await answered, 'same');
  assert.equal(origin.connections.length, 1);
});

test('while it has not, the next request takes another connection', limit, async (t) => {
  const { downstream, upstream, origin } = await answeredTooEarly(t);
  assert.equal(await bodyOf(downstream), 'another');
  assert.equal(origin.connections.length, 2);
  assert.doesNotMatch(upstream.received, /GET/);
});

test('a byte behind the answer ends it, though it is still being written', limit, async (t) => {
  const { upstream, proxy } = await answeredTooEarly(t);
  const open = () => proxy.snapshot().connections.upstreamOpen;
  assert.equal(open(), 1);
  await upstream.send('HTTP/1.1 200 OK\r\n\r\n');
  await untilSo(() => open() === 0, 'the end of the connection');
});
