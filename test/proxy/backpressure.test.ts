/**
 * How much is held for peers that do not read, and what tiny pieces cost (rows 155, 156, fault 5).
 */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { getOf, startPair } from '../support/proxy-fixture.ts';
import { cutMessage } from '../support/raw-connection.ts';
import { answering, okWith } from '../support/raw-origin.ts';
import { untilSo, untilStill } from '../support/turns.ts';

const MEGABYTES = 4;
const BIG = MEGABYTES * 1024 * 1024;

/** A body whose every 8 bytes say where they are: a swapped or lost piece shows. */
function numbered(bytes: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 8) body.write(String(at).padStart(8, '0'), at, 'latin1');
  return body;
}

function largestHeld(proxy: ProxyServer): number {
  const held = proxy
    .connections()
    .map(({ requestHeldBytes, responseHeldBytes }) =>
      Math.max(requestHeldBytes, responseHeldBytes),
    );
  return Math.max(0, ...held);
}

test('a big response to a slow reader arrives unchanged, byte for byte', async (t) => {
  const body = numbered(BIG);
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG}\r\n\r\n`);
    await upstream.send(body);
  });
  const downstream = await connect();
  downstream.socket.on('data', () => {
    downstream.socket.pause();
    setImmediate(() => downstream.socket.resume());
  });
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.ok(Buffer.from(response.body, 'latin1').equals(body));
});

test('bytes that wait for a stalled reader are not touched by the reads of others', async (t) => {
  const body = numbered(BIG);
  const other = 'Z'.repeat(30_000);
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    if (upstream.received.startsWith('GET /other')) {
      for (let answers = 1; ; answers++) {
        await upstream.send(okWith(other));
        const wanted = answers + 2;
        await upstream.until(() => upstream.received.split('\r\n\r\n').length >= wanted, '');
      }
    }
    await upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG}\r\n\r\n`);
    await upstream.send(body);
  });
  const [stalled, busy] = [await connect(), await connect()];
  await stalled.send(getOf('/stalled'));
  await stalled.untilReceived('00000008');
  for (let round = 0; round < 10; round++) {
    stalled.socket.pause();
    await busy.send(getOf('/other'));
    assert.equal((await busy.response()).body, other);
    stalled.socket.resume();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assert.ok(Buffer.from((await stalled.response()).body, 'latin1').equals(body));
});

test('a big chunked request to a slow upstream arrives unchanged, byte for byte', async (t) => {
  const body = numbered(BIG);
  const { connect, origin } = await startPair(t, async (upstream) => {
    upstream.socket.on('data', () => {
      upstream.socket.pause();
      setImmediate(() => upstream.socket.resume());
    });
    const isWhole = () => upstream.received.endsWith('0\r\n\r\n');
    await upstream.until(isWhole, 'the last chunk');
    await upstream.send(okWith('done'));
  });
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (let at = 0; at < BIG; at += 100_000) {
    const piece = body.subarray(at, Math.min(at + 100_000, BIG));
    await downstream.send(`${piece.length.toString(16)}\r\n`);
    await downstream.send(piece);
    await downstream.send('\r\n');
  }
  await downstream.send('0\r\n\r\n');
  assert.equal((await downstream.response()).body, 'done');
  const cut = cutMessage(origin.received, 0, 'request', false);
  assert.ok(Buffer.from(cut!.body, 'latin1').equals(body));
});

test('fault 5: a downstream that does not read stops the upstream', async (t) => {
  const { connect, origin, proxy } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
    const piece = Buffer.alloc(64 * 1024);
    const fill = () => {
      while (!upstream.socket.destroyed && upstream.socket.write(piece));
    };
    upstream.socket.on('drain', fill);
    fill();
  });
  const downstream = await connect();
  downstream.socket.pause();
  await downstream.send(getOf('/'));
  const { socket } = await origin.connection(0);
  await untilSo(() => largestHeld(proxy) > 0, 'a response that nobody takes');
  // Kernel buffers fill up on both legs; then the upstream's own socket holds what nobody takes.
  const taken = await untilStill(() => socket.bytesWritten - socket.writableLength);
  assert.ok(taken > 64 * 1024 && taken < 64 * 1024 * 1024, `${taken} bytes while nobody read`);
  assert.ok(largestHeld(proxy) > 0);
  assert.ok(largestHeld(proxy) <= 64 * 1024, `${largestHeld(proxy)} bytes held`);
});

test('row 156: of 1,000 pipelined requests one is in flight and 64 KiB are unread', async (t) => {
  const { connect, origin, proxy } = await startPair(t, () => undefined);
  const downstream = await connect();
  const request = getOf('/', `X-Filler: ${'x'.repeat(2_000)}\r\n`);
  for (let index = 0; index < 1_000; index++) void downstream.send(request);
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  await downstream.until(() => largestHeld(proxy) >= 32 * 1024, 'a full hold');
  assert.ok(largestHeld(proxy) <= 64 * 1024);
  assert.equal(upstream.received.split('\r\n\r\n').length - 1, 1);
  assert.equal(origin.connections.length, 1);
});

test('a downstream that pipelines and never reads gets no endless answers', async (t) => {
  const answer = okWith('x'.repeat(20_000));
  let answered = 0;
  const { port, proxy } = await startPair(
    t,
    answering(() => {
      answered++;
      return answer;
    }),
  );
  const downstream = connect({ port, host: '127.0.0.1' });
  t.after(() => downstream.destroy());
  downstream.write(getOf('/').repeat(1_000));
  const before = await untilStill(() => answered);
  assert.ok(before > 0 && before < 700, `${before} answers`);
  assert.ok(largestHeld(proxy) <= 64 * 1024, `${largestHeld(proxy)} bytes held`);
  let received = 0;
  for await (const chunk of downstream) {
    received += (chunk as Buffer).length;
    if (received >= 1_000 * answer.length) break;
  }
  assert.equal(received, 1_000 * answer.length);
  assert.equal(answered, 1_000);
});

test('row 155: chunks of one byte are joined', async (t) => {
  const bytes = 200_000;
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.until(() => upstream.received.endsWith('0\r\n\r\n'), 'the last chunk');
    await upstream.send(okWith('done'));
  });
  const downstream = await connect();
  await downstream.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  await downstream.send(`${'1\r\nx\r\n'.repeat(bytes)}0\r\n\r\n`);
  assert.equal((await downstream.response()).body, 'done');
  const cut = cutMessage(origin.received, 0, 'request', false);
  assert.equal(cut!.body.length, bytes);
  const chunks = origin.received.match(/^[0-9a-f]+\r$/gm)!.length;
  assert.ok(chunks < bytes / 100, `${chunks} chunks`);
});
