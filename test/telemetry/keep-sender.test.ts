/** Keep messages as they go out: how many, how big, to whom, and what is counted when one fails. */

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createRawServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import { KeepSender } from '../../src/telemetry/keep/keep-sender.ts';
import { ManualTime } from '../support/manual-time.ts';
import { outbound } from './records.ts';

const { answerMs, messageIdsMax, messageMs, peersMax, unprovenPeersMax, waitingIdsMax } =
  keepLimits;

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

test('what waits for one peer is bounded; the rest is counted', () => {
  const sender = new KeepSender(new ManualTime());
  for (let index = 0; index < waitingIdsMax + 5; index++) {
    sender.tell('192.0.2.1', 80, trace(index));
  }
  assert.deepEqual(sender.counts, { sent: 0, failed: 0, dropped: 5 });
});

test('peers are bounded: further ones take the places of the crowd that one address has', async (t) => {
  const time = new ManualTime();
  const peer = await startPeer(t, take);
  const sender = new KeepSender(time);
  sender.tell('127.0.0.1', peer.port, trace(0));
  // Claimed ports of one address of the documentation range; nobody is asked yet.
  for (let index = 0; index < peersMax + 9; index++) {
    sender.tell('192.0.2.1', 1_000 + index, trace(0));
  }
  assert.deepEqual(sender.counts, { sent: 0, failed: 10, dropped: 0 });
  await time.advance(messageMs);
  await hasSent(sender, 1);
  await time.advanceUntil(sender.close());
  assert.deepEqual(sender.counts, { sent: 1, failed: peersMax + 9, dropped: 0 });
});

/** Resolves when as many ids have got their answer. */
async function hasSent(sender: KeepSender, count: number): Promise<void> {
  const guard = AbortSignal.timeout(20_000);
  while (sender.counts.sent < count) {
    guard.throwIfAborted();
    await new Promise<void>((settle) => setImmediate(settle));
  }
}

/** Accepts, and does whatever `onRequest` says with what a keep message comes in. */
async function startRaw(
  t: TestContext,
  onRequest: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly open: Set<Socket> }> {
  const open = new Set<Socket>();
  const server = createRawServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
    socket.once('data', () => onRequest(socket));
  });
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return { port: (server.address() as AddressInfo).port, open };
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n';

for (const [what, onRequest] of [
  ['switches protocols', (socket: Socket) => socket.write(SWITCH)],
  [
    'switches protocols without a word to which',
    (socket: Socket) => socket.write(SWITCH.replace('upgrade: x\r\n', '')),
  ],
  ['closes', (socket: Socket) => socket.end()],
  ['resets', (socket: Socket) => socket.resetAndDestroy()],
  ['sends no HTTP', (socket: Socket) => socket.write('220 mail.example ESMTP\r\n')],
  ['sends half a head and closes', (socket: Socket) => socket.end('HTTP/1.1 204 No C')],
  [
    'sends half a body and closes',
    (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab'),
  ],
  ['sends a body without an end', (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nab')],
] as const) {
  test(`a peer that ${what} at once has failed, and is not in the way`, async (t) => {
    const time = new ManualTime();
    const odd = await startRaw(t, onRequest);
    const sender = new KeepSender(time);
    sender.tell('127.0.0.1', odd.port, trace(0));
    await time.advance(messageMs);
    // Time stands still: its answer ends the message, not the deadline.
    await sender.close();
    assert.deepEqual(sender.counts, { sent: 0, failed: 1, dropped: 0 });
  });
}

test('a peer that sends interim answers for ever has its second', async (t) => {
  const time = new ManualTime();
  let isAsked = () => {};
  const asked = new Promise<void>((settle) => {
    isAsked = settle;
  });
  const odd = await startRaw(t, (socket) => {
    socket.write('HTTP/1.1 102 Processing\r\n\r\n');
    isAsked();
  });
  const sender = new KeepSender(time);
  sender.tell('127.0.0.1', odd.port, trace(0));
  await time.advance(messageMs);
  await asked;
  await time.advanceUntil(sender.close());
  assert.deepEqual(sender.counts, { sent: 0, failed: 1, dropped: 0 });
});

test('what waits for a peer that does not answer is given up with its message', async (t) => {
  const time = new ManualTime();
  const silent = await startPeer(t, () => undefined);
  const sender = new KeepSender(time);
  for (let index = 0; index < waitingIdsMax; index++) {
    sender.tell('127.0.0.1', silent.port, trace(index));
  }
  await time.advance(messageMs);
  await silent.has(1);
  const from = time.clock.now();
  await time.advanceUntil(sender.close());
  assert.ok(time.clock.now() < from + 2 * answerMs, 'one wait, not ten');
  assert.equal(silent.messages.length, 1);
  assert.deepEqual(sender.counts, { sent: 0, failed: waitingIdsMax, dropped: 0 });
});

test('forged peers at more ports than are known do not keep a proven one of their address out', async (t) => {
  const time = new ManualTime();
  const odd = await startRaw(t, (socket) => socket.write(SWITCH));
  const peer = await startPeer(t, take);
  const sender = new KeepSender(time);
  const tellPeer = async (index: number) => {
    sender.tell('127.0.0.1', peer.port, trace(index));
    await time.advance(messageMs);
    await peer.has(index + 1);
  };
  await tellPeer(0);
  await hasSent(sender, 1);
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 2 * peersMax; index++) {
      sender.tell('127.0.0.1', 1 + index, trace(round));
    }
    sender.tell('127.0.0.1', odd.port, trace(round));
    await tellPeer(round + 1);
  }
  await hasSent(sender, 4);
  // Whoever listens at one of those ports and says nothing.
  await time.advanceUntil(sender.close());
  assert.equal(sender.counts.sent, 4);
  assert.equal(sender.counts.failed, 3 * (2 * peersMax + 1));
  assert.equal(peer.connections.size, 1, 'its connection was kept');
});

test('peers at rest make room for others, and their connections end', async (t) => {
  const time = new ManualTime();
  const first = await startPeer(t, take);
  const sender = new KeepSender(time);
  sender.tell('127.0.0.1', first.port, trace(0));
  await time.advance(messageMs);
  await first.has(1);
  await hasSent(sender, 1);
  const [socket] = first.connections;
  const isEnded = new Promise<void>((settle) => socket!.once('close', () => settle()));
  for (let index = 0; index < peersMax; index++) {
    sender.tell(`192.0.2.${index % 256}`, 80 + index, trace(0));
  }
  await isEnded;
  assert.deepEqual(sender.counts, { sent: 1, failed: 0, dropped: 0 });
});

test('of an address with few peers that have not answered yet none goes before one at rest', async (t) => {
  const time = new ManualTime();
  const first = await startPeer(t, take);
  const sender = new KeepSender(time);
  sender.tell('127.0.0.1', first.port, trace(0));
  await time.advance(messageMs);
  await hasSent(sender, 1);
  const few = unprovenPeersMax;
  for (let index = 0; index < peersMax; index++) {
    sender.tell(`192.0.2.${Math.floor(index / few)}`, 1 + (index % few), trace(0));
  }
  assert.equal(sender.counts.failed, 0);
  sender.tell('192.0.2.0', few + 1, trace(0));
  assert.equal(sender.counts.failed, 1, 'nobody was at rest any more');
});
