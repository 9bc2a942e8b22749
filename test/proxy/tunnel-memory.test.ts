/**
 * What a quiet relayed connection costs in memory: two sockets, what joins them, what its record needs.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import type { RelayingState } from '../support/relaying-proxy.ts';

const CONNECTIONS = 2_000;
/** The first ones fill pools, tables and the young generation. */
const FIRST = 500;

/** Both sockets of a connection together, V8's heap and buffers. Measured: 5.4 KiB (2026-11-26). */
const HEAP_BYTES_MAX = 6.5 * 1024;
/**
 * The same with all that is not V8's, and what V8 takes ahead: loose. Measured: 7.4 to 8.2 KiB here, 6.0
 * where another 4000 connections come after the first 2000.
 */
const PRIVATE_BYTES_MAX = 12 * 1024;

/** As in the sidecar's launcher, but always its smallest: garbage is not what is counted. */
const nodeOptions = ['--expose-gc', '--max-semi-space-size=1'];

/** Accepts everything and reads one byte of each connection. */
async function startSink(t: TestContext) {
  const sockets: Socket[] = [];
  let heard = 0;
  const waiting: { readonly count: number; resolve(): void }[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      heard++;
      for (const one of waiting) if (heard >= one.count) one.resolve();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const until = (count: number) =>
    new Promise<void>((resolve) => {
      if (heard >= count) resolve();
      else waiting.push({ count, resolve });
    });
  return { port: (server.address() as AddressInfo).port, until };
}

async function startProxy(t: TestContext, upstream: number) {
  const file = resolve(import.meta.dirname, '../support/relaying-proxy.ts');
  const child = spawn(process.execPath, [...nodeOptions, file, String(upstream)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  t.after(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { port: Number(line), child };
}

async function stateOf(child: ChildProcess): Promise<RelayingState> {
  const answer = once(child, 'message') as Promise<[RelayingState]>;
  child.send('state');
  return (await answer)[0];
}

test('a quiet relayed connection keeps less than 6.5 KiB of heap for its two sockets', async (t) => {
  const sink = await startSink(t);
  const { port, child } = await startProxy(t, sink.port);
  const downstreams: Socket[] = [];
  t.after(() => {
    for (const downstream of downstreams) downstream.destroy();
  });
  const open = async (count: number) => {
    const connected: Promise<unknown>[] = [];
    while (downstreams.length < count) {
      const downstream = connect({ port, host: '127.0.0.1' });
      downstream.on('error', () => undefined);
      downstreams.push(downstream);
      downstream.write('\x00');
      connected.push(once(downstream, 'connect'));
      if (connected.length % 100 === 0) await Promise.all(connected);
    }
    await sink.until(count);
    return await stateOf(child);
  };
  const before = await open(FIRST);
  const after = await open(FIRST + CONNECTIONS);
  assert.equal(after.connections - before.connections, CONNECTIONS);
  const heap = (after.heapBytes - before.heapBytes) / CONNECTIONS;
  const kept = (after.privateBytes - before.privateBytes) / CONNECTIONS;
  t.diagnostic(`${Math.round(heap)} bytes of heap, ${Math.round(kept)} private, a connection`);
  assert.ok(heap < HEAP_BYTES_MAX, `${heap} bytes of heap a connection`);
  assert.ok(kept < PRIVATE_BYTES_MAX, `${kept} private bytes a connection`);
});
