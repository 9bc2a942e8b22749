/**
 * Upstreams that answer before the request is whole: what becomes of the connections on both sides.
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
  return { origin, downstream, upstream };
}

async function bodyOf(downstream: RawConnection): Promise<string> {
  await downstream.send(getOf('/next'));
  return (await downstream.response()).body;
}

test('an upstream that answers what has not gone yet is not lent again', limit, async (t) => {
  const { downstream, upstream, origin } = await answeredTooEarly(t);
  assert.equal(await bodyOf(downstream), 'another');
  assert.equal(origin.connections.length, 2);
  assert.doesNotMatch(upstream.received, /GET/);
});

const chunkedPost = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n';
const chunkedHead = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n';

test('a stream both ways, each ending whole, keeps both connections', limit, async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('ping');
    await upstream.send(chunkedHead);
    await upstream.until(() => upstream.received.endsWith('\r\n0\r\n\r\n'), 'the end of the body');
    await upstream.send('0\r\n\r\n');
    await upstream.untilReceived('GET /next');
    await upstream.send(okWith('next'));
  });
  const downstream = await connect();
  await downstream.send(chunkedPost);
  await downstream.untilReceived('pong');
  await downstream.send('4\r\nmore\r\n0\r\n\r\n');
  const { head, body } = await downstream.response();
  assert.equal(body, 'pong');
  assert.doesNotMatch(head, /^connection:/im);
  assert.equal(await bodyOf(downstream), 'next');
  assert.equal(origin.connections.length, 1);
});

test(
  'an answer that is whole before the request says that the connection ends',
  limit,
  async (t) => {
    const { connect } = await startPair(t, async (upstream) => {
      await upstream.untilReceived('ping');
      await upstream.send(okWith('enough'));
    });
    const downstream = await connect();
    await downstream.send(chunkedPost);
    const { head, body } = await downstream.response();
    assert.equal(body, 'enough');
    assert.match(head, /^connection: close$/im);
    assert.equal(await downstream.ended(), 'fin');
  },
);
