/**
 * Listeners that change places: nothing that works is given up for a port that cannot be had, nobody
 * gets what he did not ask for, and no caller is reset.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectSocket, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import type { Listener } from '../../src/model/routing-table.ts';
import { getOf, startProxy } from '../support/proxy-fixture.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { backendOf, clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

async function listenOn(t: TestContext, address: string, port = 0): Promise<Server> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** A connection outwards whose local port nothing else has, and how the other end ends it by RST. */
async function connectOutwards(t: TestContext): Promise<{ port: number; reset(): void }> {
  const upstream = await listenOn(t, '127.0.0.1');
  for (;;) {
    const outwards = connectSocket({ port: portOf(upstream), host: '127.0.0.1' });
    outwards.on('error', () => undefined);
    const [[accepted]] = await Promise.all([
      once(upstream, 'connection'),
      once(outwards, 'connect'),
    ]);
    const reset = () => accepted.resetAndDestroy();
    const port = outwards.localPort!;
    const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const rows = readFileSync('/proc/self/net/tcp', 'utf8').split('\n');
    const isAlone = rows.filter((row) => row.trim().split(/\s+/)[1]?.endsWith(local)).length === 1;
    if (isAlone) return { port, reset };
    reset();
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** What one request on a connection of its own is answered. */
async function ask(port: number, address = '127.0.0.1'): Promise<string> {
  const downstream = await connectRaw(port, address);
  await downstream.send(getOf('/'));
  const { body } = await downstream.response();
  downstream.socket.destroy();
  return body;
}

const services = ['reviews', 'ratings', 'details'];

/** An upstream and a cluster for each of the services, each answering with its name. */
async function startServices(t: TestContext) {
  const origins = await Promise.all(
    services.map((name) => RawOrigin.start(answering(() => okWith(name)))),
  );
  for (const origin of origins) t.after(() => origin.close());
  return origins.map(({ port }, index) => clusterOf([port], { name: services[index]! }));
}

/** A listener for one service, named as configuration names it. */
function leadTo(service: string, port: number, over: Partial<Listener> = {}): Listener {
  const { address = '127.0.0.1', direction = 'outbound' } = over;
  const rule = ruleOf({ identity: service, backends: [backendOf({ cluster: service })] });
  return listenerOf([rule], {
    name: `${direction}|${address}|${port}`,
    port,
    virtualHosts: [{ name: service, domains: ['*'], rules: [rule] }],
    ...over,
  });
}

test('an address serves on while another process has its port on the address it moves to', async (t) => {
  const clusters = await startServices(t);
  const [port] = await freePorts(1);
  const { proxy } = await startProxy(t, {
    table: tableOf([leadTo('reviews', port!)], clusters),
    limits: { listenRetryMs: 5 },
  });
  const other = await listenOn(t, '127.0.0.2', port);
  const all = leadTo('reviews', port!, { address: '0.0.0.0' });
  const errors = await proxy.apply(tableOf([all], clusters, 2));
  assert.deepEqual(
    errors.map(({ listener, code }) => [listener, code]),
    [[all.name, 'EADDRINUSE']],
  );
  for (let index = 0; index < 100; index++) assert.equal(await ask(port!), 'reviews');
  assert.deepEqual(proxy.addresses(), [
    { name: `outbound|127.0.0.1|${port}`, address: '127.0.0.1', port },
  ]);
  await closeServer(other);
  await untilSo(() => proxy.unopened().length === 0, 'the port of all addresses');
  assert.deepEqual(proxy.addresses(), [{ name: all.name, address: '0.0.0.0', port }]);
  assert.equal(await ask(port!, '127.0.0.2'), 'reviews');
});

test('an address that made room in vain comes back at once', async (t) => {
  const clusters = await startServices(t);
  // It has the port, and no list of listeners shows it.
  const { port, reset } = await connectOutwards(t);
  const { proxy } = await startProxy(t, {
    table: tableOf([leadTo('reviews', port, { address: '127.0.0.2' })], clusters),
    limits: { listenRetryMs: 5, listenRoomMs: 50 },
  });
  const all = leadTo('reviews', port, { address: '0.0.0.0' });
  const errors = await proxy.apply(tableOf([all], clusters, 2));
  assert.deepEqual(
    errors.map(({ listener, code }) => [listener, code]),
    [[all.name, 'EADDRINUSE']],
  );
  assert.equal(await ask(port, '127.0.0.2'), 'reviews');
  reset();
  await untilSo(() => proxy.unopened().length === 0, 'the port of all addresses');
  assert.equal(await ask(port, '127.0.0.1'), 'reviews');
});

test('an address keeps what it is for while that cannot move to its new place', async (t) => {
  const clusters = await startServices(t);
  const [first, second] = await freePorts(2);
  const taken = await listenOn(t, '127.0.0.1');
  const { proxy } = await startProxy(t, {
    table: tableOf([leadTo('reviews', first!), leadTo('details', second!)], clusters),
    limits: { listenRetryMs: 5 },
  });
  // `reviews` moves to a taken port; its place goes to `ratings`, and `details` gets new rules.
  const details = leadTo('details', second!);
  const edit = [leadTo('ratings', first!), leadTo('reviews', portOf(taken)), details];
  const errors = await proxy.apply(tableOf(edit, clusters, 2));
  assert.deepEqual(
    errors.map(({ listener, code, waitsFor }) => [listener, waitsFor ?? code]),
    [
      [edit[1]!.name, 'EADDRINUSE'],
      [edit[0]!.name, edit[1]!.name],
    ],
  );
  assert.equal(await ask(first!), 'reviews');
  assert.equal(await ask(second!), 'details');
  const generations = () =>
    Object.fromEntries(proxy.snapshot().listeners.map((each) => [each.port, each.generation]));
  assert.deepEqual(generations(), { [first!]: 1, [second!]: 2 });
  const freed = portOf(taken);
  await closeServer(taken);
  await untilSo(() => proxy.unopened().length === 0, 'the whole edit');
  assert.deepEqual([await ask(first!), await ask(freed)], ['ratings', 'reviews']);
});

test('who would take the place of one that waits waits too', async (t) => {
  const clusters = await startServices(t);
  const [first, second] = await freePorts(2);
  const taken = await listenOn(t, '127.0.0.1');
  const { proxy } = await startProxy(t, {
    table: tableOf([leadTo('reviews', first!), leadTo('ratings', second!)], clusters),
    limits: { listenRetryMs: 5 },
  });
  const edit = [
    leadTo('ratings', first!),
    leadTo('details', second!),
    leadTo('reviews', portOf(taken)),
  ];
  assert.equal((await proxy.apply(tableOf(edit, clusters, 2))).length, 3);
  assert.deepEqual([await ask(first!), await ask(second!)], ['reviews', 'ratings']);
  // Undone, nothing is left of it.
  const back = [leadTo('reviews', first!), leadTo('ratings', second!)];
  assert.deepEqual(await proxy.apply(tableOf(back, clusters, 3)), []);
  assert.deepEqual([await ask(first!), await ask(second!)], ['reviews', 'ratings']);
  await proxy.apply(tableOf(edit, clusters, 4));
  await closeServer(taken);
  await untilSo(() => proxy.unopened().length === 0, 'the whole edit');
  assert.deepEqual([await ask(first!), await ask(second!)], ['ratings', 'details']);
});

test('an address that changes its direction waits like one that changes its service', async (t) => {
  const clusters = await startServices(t);
  const [port] = await freePorts(1);
  const taken = await listenOn(t, '127.0.0.1');
  const { proxy } = await startProxy(t, {
    table: tableOf([leadTo('reviews', port!, { direction: 'inbound' })], clusters),
    limits: { listenRetryMs: 5 },
  });
  const edit = [
    leadTo('ratings', port!),
    leadTo('reviews', portOf(taken), { direction: 'inbound' }),
  ];
  assert.equal((await proxy.apply(tableOf(edit, clusters, 2))).length, 2);
  assert.equal(await ask(port!), 'reviews');
  const freed = portOf(taken);
  await closeServer(taken);
  await untilSo(() => proxy.unopened().length === 0, 'the whole edit');
  assert.deepEqual([await ask(port!), await ask(freed)], ['ratings', 'reviews']);
});

test('what an old listener counts is shown while it serves on', async (t) => {
  const clusters = await startServices(t);
  const [port] = await freePorts(1);
  const taken = await listenOn(t, '127.0.0.1');
  const { proxy, telemetry } = await startProxy(t, {
    table: tableOf([leadTo('reviews', port!)], clusters),
  });
  // So many series that those which no table needs go.
  const rules = Array.from({ length: 600 }, (_, index) => ruleOf({ identity: `rule ${index}` }));
  const moved = listenerOf(rules, { name: 'moved', port: portOf(taken) });
  assert.equal((await proxy.apply(tableOf([moved], clusters, 2))).length, 1);
  assert.equal(await ask(port!), 'reviews');
  const counted = telemetry.metrics.allSeries().filter((series) => series.total().count > 0);
  assert.deepEqual(
    counted.map(({ labels }) => [labels.listener, labels.rule, labels.cluster]),
    [[`outbound|127.0.0.1|${port}`, 'reviews', 'reviews']],
  );
});

interface CallerCounts {
  readonly answered: number;
  readonly refused: number;
  readonly reset: number;
  readonly other: readonly string[];
}

/** Callers of `port` in a process of their own: the kernel accepts for us while we do other things. */
async function startCallers(t: TestContext, port: number): Promise<() => Promise<CallerCounts>> {
  const script = join(import.meta.dirname, 'hostile-callers.ts');
  const child: ChildProcess = spawn(process.execPath, [script, `${port}`, '100'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill());
  let said = '';
  child.stdout!.setEncoding('utf8').on('data', (part: string) => {
    said += part;
  });
  await untilSo(() => said.includes('\n'), 'the first answer');
  return async () => {
    child.stdin!.end();
    await once(child, 'close');
    return JSON.parse(said.trim().split('\n').at(-1)!);
  };
}

test('listeners that are bound anew and removed under load reset nobody', async (t) => {
  const clusters = await startServices(t);
  const [port, elsewhere] = await freePorts(2);
  const at = (address: string) => leadTo('reviews', port!, { address });
  const { proxy, telemetry } = await startProxy(t, {
    table: tableOf([at('127.0.0.1')], clusters),
  });
  const endCalls = await startCallers(t, port!);
  const counts = telemetry.metrics.connectionGauge('outbound');
  const places = [at('0.0.0.0'), at('127.0.0.1'), leadTo('reviews', elsewhere!)];
  for (let round = 0; round < 15; round++) {
    const before = counts.downstreamTotal;
    assert.deepEqual(await proxy.apply(tableOf([places[round % 3]!], clusters, round + 2)), []);
    const isThere = round % 3 !== 2;
    if (isThere) await untilSo(() => counts.downstreamTotal > before, 'a caller');
  }
  const { answered, reset, other } = await endCalls();
  assert.deepEqual({ reset, other }, { reset: 0, other: [] });
  assert.ok(answered > 30, `${answered} answers`);
});
