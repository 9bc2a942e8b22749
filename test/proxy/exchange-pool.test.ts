/**
 * Connections without anything under way hold no exchange: what thousands of idle ones would weigh.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProxyServer } from '../../src/proxy/proxy-server.ts';
import { getOf, type PairFixture, startPair } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';
import { untilSo } from '../support/turns.ts';

function freeOf(proxy: ProxyServer): number {
  return proxy.snapshot().connections.exchangesFree;
}

/** As many connections, whose requests are all under way at once before any is answered. */
async function openTogether({ connect }: PairFixture, count: number): Promise<string[]> {
  const downstreams = await Promise.all(Array.from({ length: count }, () => connect()));
  for (const [index, downstream] of downstreams.entries()) {
    await downstream.send(getOf(`/${index}`));
  }

  const bodies: string[] = [];
  for (const downstream of downstreams) bodies.push((await downstream.response()).body);
  return bodies;
}

/** Answers with the path, once as many requests have come. */
function atOnce(count: number) {
  const gate = Promise.withResolvers<void>();
  let come = 0;
  const pair = (t: Parameters<typeof startPair>[0], limits = {}) =>
    startPair(
      t,
      async (upstream) => {
        await upstream.untilReceived('\r\n\r\n');
        if (++come === count) gate.resolve();
        await gate.promise;
        await upstream.send(okWith(/^GET (\S+)/.exec(upstream.received)![1]!));
      },
      { limits },
    );
  return pair;
}

test('connections that are asked one after the other share one exchange', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('here')),
  );
  assert.equal(freeOf(proxy), 0);
  for (let count = 0; count < 20; count++) {
    const downstream = await connect();
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).body, 'here');
  }
  assert.equal(proxy.snapshot().connections.downstreamOpen, 20);
  assert.equal(freeOf(proxy), 1);
});

test('as many as were busy at once are kept, and each answer goes where it was asked', async (t) => {
  const pair = await atOnce(5)(t);
  const bodies = await openTogether(pair, 5);
  assert.deepEqual(bodies, ['/0', '/1', '/2', '/3', '/4']);
  assert.equal(freeOf(pair.proxy), 5);
});

test('no more than exchangesFreeMax are kept', async (t) => {
  const pair = await atOnce(5)(t, { exchangesFreeMax: 2 });
  await openTogether(pair, 5);
  assert.equal(freeOf(pair.proxy), 2);
});

test('a head that has begun keeps its exchange, and goes on with it', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('here')),
  );
  const [slow, other] = [await connect(), await connect()];
  await other.send(getOf('/'));
  await other.response();
  assert.equal(freeOf(proxy), 1);
  const text = getOf('/slow');
  await slow.send(text.slice(0, 9));
  await untilSo(() => freeOf(proxy) === 0, 'the first bytes of a head');
  await other.send(getOf('/'));
  assert.equal((await other.response()).body, 'here');
  await slow.send(text.slice(9));
  assert.equal((await slow.response()).body, 'here');
  assert.equal(freeOf(proxy), 2);
});

test('a login of a connection keeps the exchange that knows of it', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('here')),
  );
  const downstream = await connect();
  await downstream.send(getOf('/', 'Authorization: NTLM TlRMTVNTUAAB\r\n'));
  await downstream.response();
  assert.equal(freeOf(proxy), 0);
});

test('what is refused or cut takes its exchange with it', async (t) => {
  const { connect, proxy } = await startPair(t, () => undefined);
  const bad = await connect();
  await bad.send('GET / HTTP/1.1\r\nHost : a\r\n\r\n');
  assert.equal((await bad.response()).status, 400);
  const cut = await connect();
  await cut.send(getOf('/'));
  await untilSo(() => proxy.exchangesActive === 1, 'an exchange');
  cut.reset();
  await untilSo(() => proxy.snapshot().connections.downstreamOpen < 2, 'the end of a connection');
  assert.equal(freeOf(proxy), 0);
});
