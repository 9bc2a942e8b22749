/** Keep messages as they go out: how many, how big, to whom, and what is counted when one fails. */

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { keepLimits } from '../../src/model/limits.ts';
import { KeepSender } from '../../src/telemetry/keep-sender.ts';
import { ManualTime } from '../support/manual-time.ts';
import { outbound } from './records.ts';

const { answerMs, messageIdsMax, messageMs, peersMax, waitingIdsMax } = keepLimits;

interface Peer {
  readonly port: number;
  readonly messages: { readonly line: string; readonly ids: string[] }[];
  readonly connections: Set<Socket>;
  /** Resolves when as many messages have come. */
  has(count: number): Promise<void>;
}

type Answer = (response: ServerResponse) => void;

async function startPeer(t: TestContext, answer: Answer): Promise<Peer> {
  const messages: Peer['messages'] = [];
  const connections = new Set<Socket>();
  let wake = () => {};
  const server = createServer((request: IncomingMessage, response) => {
    const ids = String(request.headers['x-tracecar-keep']).split(',');
    messages.push({ line: `${request.method} ${request.url}`, ids });
    connections.add(request.socket);
    answer(response);
    wake();
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return {
    port: (server.address() as AddressInfo).port,
    messages,
    connections,
    has: async (count) => {
      while (messages.length < count) {
        await new Promise<void>((settle) => {
          wake = settle;
        });
      }
    },
  };
}

const take: Answer = (response) => response.writeHead(204).end();
const trace = (index: number) => outbound({ traceId2: 0, traceId3: index + 1 });

test('what is told within 100 ms goes in messages of a hundred, over one connection, once', async (t) => {
  const time = new ManualTime();
  const peer = await startPeer(t, take);
  const sender = new KeepSender(time);
  for (let index = 0; index < 250; index++) {
    sender.tell('127.0.0.1', peer.port, trace(index));
    sender.tell('127.0.0.1', peer.port, trace(index));
  }
  await time.advance(messageMs - 1);
  assert.equal(peer.messages.length, 0);
  await time.advance(1);
  await sender.close();
  assert.deepEqual(
    peer.messages.map(({ ids }) => ids.length),
    [messageIdsMax, messageIdsMax, 50],
  );
  assert.deepEqual(
    new Set(peer.messages.map(({ line }) => line)),
    new Set(['POST /.tracecar/keep']),
  );
  const ids = peer.messages.flatMap((message) => message.ids);
  assert.equal(new Set(ids).size, 250);
  assert.equal(ids[0], '0af7651916cd43dd0000000000000001');
  assert.equal(peer.connections.size, 1);
  assert.deepEqual(sender.counts, { sent: 250, failed: 0, dropped: 0 });
});

test('a message that is refused, or finds nobody, is counted and not sent again', async (t) => {
  const time = new ManualTime();
  const peer = await startPeer(t, (response) => response.writeHead(403).end('no'));
  const sender = new KeepSender(time);
  sender.tell('127.0.0.1', peer.port, trace(0));
  sender.tell('127.0.0.1', 9, trace(1));
  await time.advance(messageMs);
  await sender.close();
  await time.advance(60_000);
  assert.equal(peer.messages.length, 1);
  assert.deepEqual(sender.counts, { sent: 0, failed: 2, dropped: 0 });
});

test('a peer that never answers is given a second, and holds up nobody else', async (t) => {
  const time = new ManualTime();
  const silent = await startPeer(t, () => undefined);
  const quick = await startPeer(t, take);
  const sender = new KeepSender(time);
  sender.tell('127.0.0.1', silent.port, trace(0));
  sender.tell('127.0.0.1', quick.port, trace(0));
  await time.advance(messageMs);
  await silent.has(1);
  await quick.has(1);
  const closed = sender.close();
  await time.advanceUntil(closed);
  assert.deepEqual(sender.counts, { sent: 1, failed: 1, dropped: 0 });
  assert.ok(time.clock.now() >= 1_000 + messageMs + answerMs);
});

test('what waits is bounded, for one peer and in all; the rest is counted', async (t) => {
  const time = new ManualTime();
  const peer = await startPeer(t, take);
  const sender = new KeepSender(time);
  for (let index = 0; index < waitingIdsMax + 5; index++) {
    sender.tell('127.0.0.1', peer.port, trace(index));
  }
  assert.equal(sender.counts.dropped, 5);
  // Nobody is asked yet: addresses of the documentation range.
  for (let index = 0; index < peersMax + 10; index++) {
    sender.tell(`192.0.2.${index % 256}`, 1 + Math.floor(index / 256), trace(0));
  }
  assert.equal(sender.counts.dropped, 5 + 11);
});
