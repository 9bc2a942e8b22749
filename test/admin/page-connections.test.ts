/**
 * Connections of the health, metrics and admin ports: who holds many cannot keep others out.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Page, PageServer, pageLimits, refusal } from '../../src/admin/page-server.ts';

const connectionsMax = 4;
/** Longer than the test takes: what ends a connection here is that another one came. */
const longMs = 600_000;

/** `/slow` answers when the test says so. */
async function start(t: TestContext) {
  const gate = Promise.withResolvers<void>();
  let slow = 0;
  let onSlow = () => {};
  const pages: Page[] = [
    { path: '/now', summary: '', get: () => refusal(200, 'now') },
    {
      path: '/slow',
      summary: '',
      get: async () => {
        slow += 1;
        onSlow();
        await gate.promise;
        return refusal(200, 'slow');
      },
    },
  ];
  const limits = {
    ...pageLimits,
    connectionsMax,
    requestTimeoutMs: longMs,
    keepAliveIdleMs: longMs,
  };
  const server = new PageServer({ pages, isLocalOnly: false, limits });
  t.after(() => server.close());
  const { port } = await server.listen('0.0.0.0', 0);
  /** A connection from an address of the loopback, with what it has heard. */
  const dial = async (localAddress: string) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  return {
    dial,
    release: gate.resolve,
    slowAsked: (count: number) =>
      new Promise<void>((resolve) => {
        onSlow = () => {
          if (slow >= count) resolve();
        };
        onSlow();
      }),
  };
}

const requestOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

/** What the socket hears until it has `text`; rejects when it is closed first. */
function hears(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      heard += chunk;
      if (heard.includes(text)) resolve(heard);
    });
    socket.on('close', () => reject(new Error(`closed after '${heard}'`)));
  });
}

async function closed(socket: Socket): Promise<void> {
  // Who does not read does not hear of its end.
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
}

const flooder = '127.0.0.2';
const kubelet = '127.0.0.1';

test('idle connections of one address do not keep another out', { timeout: 60_000 }, async (t) => {
  const { dial } = await start(t);
  const flood = [];
  for (let count = 0; count < 3 * connectionsMax; count++) flood.push(await dial(flooder));
  await Promise.all(flood.slice(0, -connectionsMax).map(closed));
  for (let times = 0; times < 3; times++) {
    const probe = await dial(kubelet);
    const answer = hears(probe, 'now');
    probe.write(requestOf('/now'));
    assert.match(await answer, /^HTTP\/1\.1 200 /);
    probe.destroy();
  }
});

test('a question under way is not ended by who floods with more', {
  timeout: 60_000,
}, async (t) => {
  const { dial, release, slowAsked } = await start(t);
  const asking = await dial(kubelet);
  const answer = hears(asking, 'slow');
  asking.write(requestOf('/slow'));
  await slowAsked(1);
  const flood = [];
  for (let count = 0; count < 3 * connectionsMax; count++) flood.push(await dial(flooder));
  await closed(flood[0]!);
  release();
  assert.match(await answer, /^HTTP\/1\.1 200 /);
});

test('questions that one address leaves open do not keep another out', {
  timeout: 60_000,
}, async (t) => {
  const { dial, release, slowAsked } = await start(t);
  const flood = [];
  for (let count = 0; count < connectionsMax; count++) {
    const socket = await dial(flooder);
    socket.write(requestOf('/slow'));
    flood.push(socket);
  }
  await slowAsked(connectionsMax);
  const ended = closed(flood[0]!);
  const probe = await dial(kubelet);
  const answer = hears(probe, 'now');
  probe.write(requestOf('/now'));
  assert.match(await answer, /^HTTP\/1\.1 200 /);
  await ended;
  const kept = hears(flood.at(-1)!, 'slow');
  release();
  await kept;
});

test('of one address the oldest without a question goes first', { timeout: 60_000 }, async (t) => {
  const { dial, release, slowAsked } = await start(t);
  const asking = await dial(kubelet);
  asking.write(requestOf('/slow'));
  await slowAsked(1);
  const idle = [];
  for (let count = 1; count < connectionsMax; count++) idle.push(await dial(kubelet));
  const ended = closed(idle[0]!);
  await dial(kubelet);
  await ended;
  const answer = hears(asking, 'slow');
  release();
  await answer;
});
