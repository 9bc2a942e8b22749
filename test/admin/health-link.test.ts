/**
 * The health port in a thread of its own: what it answers while the thread of traffic stands still.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { HealthLink, type HealthLinkOptions } from '../../src/admin/health-link.ts';
import { healthPace, Pulse } from '../../src/admin/health-protocol.ts';
import { readProbes } from '../../src/admin/probe-definition.ts';
import { ManualClock, systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { ManualTime } from '../support/manual-time.ts';
import type { HotThreadData } from './hot-thread.ts';

const secret = 'only the kubelet knows';
const readyz = '/app-health/app/readyz';

interface Reply {
  readonly status: number;
  readonly body: string;
}

function ask(port: number, path: string, headers: Record<string, string> = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, headers, agent: false };
    const sent = request(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function startApplication(t: TestContext): Promise<number> {
  const server = createServer((_incoming, response) => response.end('alive'));
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A thread with a health port that stands still from `stop` to `goOn`. */
async function startHotThread(t: TestContext) {
  const httpGet = { path: '/', port: await startApplication(t) };
  const read = readProbes(JSON.stringify({ [readyz]: { httpGet } }));
  assert.ok('probes' in read);
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const data: HotThreadData = { gate, probes: read.probes, drainSecret: secret };
  const worker = new Worker(new URL('./hot-thread.ts', import.meta.url), { workerData: data });
  const goOn = () => {
    Atomics.store(gate, 0, 0);
    Atomics.notify(gate, 0);
  };
  t.after(() => {
    goOn();
    return worker.terminate();
  });
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
  return {
    port,
    goOn,
    async stop() {
      worker.postMessage('stop');
      const stopped = Atomics.waitAsync(gate, 0, 0);
      if (stopped.async) await stopped.value;
    },
  };
}

test('probes, readiness and liveness are answered while the thread of traffic stands still', async (t) => {
  const { port, stop } = await startHotThread(t);
  await stop();
  assert.deepEqual(await ask(port, readyz), { status: 200, body: 'alive\n' });
  assert.equal((await ask(port, '/healthz/live')).status, 200);
  assert.equal((await ask(port, '/healthz/ready')).status, 200);
  assert.equal((await ask(port, '/drain')).status, 403);
});

test('a drain that comes while the thread of traffic stands still begins when it goes on', async (t) => {
  const { goOn, port, stop } = await startHotThread(t);
  await stop();
  let isAnswered = false;
  const drained = ask(port, '/drain', { 'x-tracecar-drain-secret': secret }).then((reply) => {
    isAnswered = true;
    return reply;
  });
  // The connection of the drain was there first.
  assert.equal((await ask(port, '/healthz/ready')).status, 200);
  assert.equal(isAnswered, false);
  goOn();
  assert.equal((await drained).status, 200);
  const { status, body } = await ask(port, '/healthz/ready');
  assert.equal(status, 503);
  assert.match(body, /draining/);
});

function linkOf(t: TestContext, over: Partial<HealthLinkOptions> = {}): HealthLink {
  const link = new HealthLink({
    clock: systemClock,
    wakeUps: systemWakeUps,
    whyNotReady: () => '',
    whyNotOpen: () => '',
    leave: () => assert.fail('nobody asked for a drain'),
    drainSecret: '',
    probes: [],
    applicationAddress: '127.0.0.1',
    passage: undefined,
    warn: (text) => assert.fail(text),
    ...over,
  });
  t.after(() => link.close());
  return link;
}

test('a change is told at once, and one that nobody tells with the next beat', async (t) => {
  const time = new ManualTime();
  let reason = 'starting';
  const link = linkOf(t, { wakeUps: time, whyNotReady: () => reason, whyNotOpen: () => reason });
  const { port } = await link.listen('127.0.0.1', 0);
  assert.match((await ask(port, '/healthz/ready')).body, /starting/);
  reason = 'warming up';
  link.tell();
  assert.match((await ask(port, '/healthz/open')).body, /warming up/);
  reason = '';
  assert.equal((await ask(port, '/healthz/ready')).status, 503);
  await time.advance(healthPace.beatMs);
  assert.equal((await ask(port, '/healthz/ready')).status, 200);
});

test('a port in use rejects with the word of the system', async (t) => {
  const { port } = await linkOf(t).listen('127.0.0.1', 0);
  await assert.rejects(linkOf(t).listen('127.0.0.1', port), { code: 'EADDRINUSE' });
});

test('one that is closed has given up its port', async (t) => {
  const first = linkOf(t);
  const { port } = await first.listen('127.0.0.1', 0);
  await first.close();
  assert.equal((await linkOf(t).listen('127.0.0.1', port)).port, port);
});

test('a worker that dies is started again, and one line says so', async (t) => {
  const channel = new BroadcastChannel(`starts of ${import.meta.filename}`);
  t.after(() => channel.close());
  const starts: unknown[] = [];
  let onStart = () => {};
  channel.onmessage = () => {
    starts.push(1);
    onStart();
  };
  const started = (count: number) =>
    new Promise<void>((resolve) => {
      onStart = () => {
        if (starts.length >= count) resolve();
      };
      onStart();
    });
  const script = `import { parentPort } from 'node:worker_threads';
    new BroadcastChannel(${JSON.stringify(channel.name)}).postMessage('started');
    parentPort.postMessage({ kind: 'listening', address: '127.0.0.1', port: 1 });
    setImmediate(() => { throw new Error('no memory'); });`;
  const time = new ManualTime();
  const warned = Promise.withResolvers<string>();
  const link = linkOf(t, {
    clock: time.clock,
    wakeUps: time,
    workerUrl: new URL(`data:text/javascript,${encodeURIComponent(script)}`),
    warn: warned.resolve,
  });
  await link.listen('127.0.0.1', 0);
  assert.match(await warned.promise, /thread ended \(no memory\) and is started again/);
  await time.advance(healthPace.restartMs);
  await started(2);
});

test('a thread is live as long as it beats', () => {
  const clock = new ManualClock();
  const beats = new Int32Array(new SharedArrayBuffer(4));
  const pulse = new Pulse(beats, clock);
  for (let second = 0; second < 30; second++) {
    clock.advance(1_000);
    Atomics.add(beats, 0, 1);
    pulse.look();
    assert.ok(pulse.isBeating);
  }
  clock.advance(healthPace.stuckMs - 1);
  assert.ok(pulse.isBeating);
  clock.advance(1);
  assert.ok(!pulse.isBeating);
  Atomics.add(beats, 0, 1);
  assert.ok(pulse.isBeating, 'it goes on');
});
