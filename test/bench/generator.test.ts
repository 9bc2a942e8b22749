/**
 * The load generator against backends that are right, wrong and slow: what it counts can be believed.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { waitForFirstAnswer } from '../../bench/load/first-answer.ts';
import { Histogram } from '../../bench/load/histogram.ts';
import { LoadGenerator } from '../../bench/load/load-generator.ts';
import {
  answerPath,
  benchBody,
  type LoadErrors,
  type OpenLoop,
} from '../../bench/load/load-order.ts';
import { Children } from '../../bench/stage/children.ts';
import { freePorts } from '../../bench/stage/free-ports.ts';

/** What a backend says to a request with this id. */
function right(id: string, body = benchBody): string {
  return `HTTP/1.1 200 OK\r\nX-Request-Id: ${id}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const children = new Children();
const servers: Server[] = [];
let generator: LoadGenerator;

before(async () => {
  generator = await LoadGenerator.start(children, undefined, tmpdir());
});

after(async () => {
  await children.stopAll();
  for (const server of servers) server.close();
});

type Answer = (socket: Socket, count: number, id: string) => void;

/** A backend that calls `answer` for every request without a body; returns its port. */
async function listen(answer: Answer): Promise<number> {
  let count = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (chunk) => {
      const id = /x-request-id: ([0-9a-f]{16})\r\n/.exec(chunk.toString('latin1'))?.[1];
      if (id !== undefined) answer(socket, count++, id);
    });
    socket.on('error', () => socket.destroy());
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function openLoop(port: number, change: Partial<OpenLoop> = {}): OpenLoop {
  const load = { connections: 1, ratePerSecond: 500, warmSeconds: 0, seconds: 0.2, seed: 1 };
  return { kind: 'open', port, arrivals: 'even', ...load, ...change };
}

const noErrors: LoadErrors = { status: 0, body: 0, echo: 0, cut: 0, late: 0 };

test('right answers are all counted, and those of the warm-up are not', async () => {
  const port = await listen((socket, _, id) => socket.write(right(id)));
  const { sent, completed, errors, latency, lateness } = await generator.run(
    openLoop(port, { warmSeconds: 0.1, connections: 4 }),
  );
  assert.deepEqual(errors, noErrors);
  assert.equal(sent, 150);
  assert.equal(completed, 100);
  const counted = new Histogram();
  counted.add(latency);
  assert.equal(counted.total, 100);
  const noticed = new Histogram();
  noticed.add(lateness);
  assert.equal(noticed.total, 150);
});

test('an answer in many pieces is one right answer', async () => {
  const port = await listen((socket, _, id) => {
    socket.write(right(id).slice(0, 20));
    setImmediate(() => socket.write(right(id).slice(20, 90)));
    setImmediate(() => setImmediate(() => socket.write(right(id).slice(90))));
  });
  const { completed, errors } = await generator.run(openLoop(port, { ratePerSecond: 100 }));
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, 20);
});

test('every wrong answer is counted as what it is', async () => {
  const wrong: readonly (readonly [keyof LoadErrors, (id: string) => string | undefined])[] = [
    ['status', (id) => right(id).replace('200 OK', '503 No')],
    ['body', (id) => right(id, benchBody.replace('0123456789', '0123456780'))],
    ['body', (id) => `${right(id)}more`],
    ['body', (id) => right(id).replace('Content-Length', 'X-Length')],
    ['echo', () => right('00000000000000ff')],
    ['cut', () => undefined],
  ];
  for (const [kind, spoil] of wrong) {
    const port = await listen((socket, count, id) => {
      const text = count === 2 ? spoil(id) : right(id);
      if (text === undefined) socket.destroy();
      else socket.write(text);
    });
    const { completed, errors } = await generator.run(openLoop(port, { ratePerSecond: 50 }));
    assert.deepEqual(errors, { ...noErrors, [kind]: 1 }, kind);
    assert.equal(completed, 9);
  }
});

test('a stall is paid by every request that became due during it', async () => {
  // One connection, 500/s: 50 more requests are due in the 100 ms that the first answer takes.
  const port = await listen((socket, count, id) => {
    if (count > 0) socket.write(right(id));
    else setTimeout(() => socket.write(right(id)), 100);
  });
  const { latency, service, errors } = await generator.run(openLoop(port));
  assert.deepEqual(errors, noErrors);
  const fromDue = new Histogram();
  fromDue.add(latency);
  const fromSent = new Histogram();
  fromSent.add(service);
  assert.ok(fromDue.percentile(0.7) > 20e6, `${fromDue.percentile(0.7)} ns from the due time`);
  assert.ok(fromSent.percentile(0.7) < 20e6, `${fromSent.percentile(0.7)} ns from the sending`);
});

test('a request that waits for a connection does not make the generator late', async () => {
  const port = await listen((socket, count, id) => {
    if (count > 0) socket.write(right(id));
    else setTimeout(() => socket.write(right(id)), 300);
  });
  const { latency, lateness } = await generator.run(openLoop(port, { seconds: 0.4 }));
  const fromDue = new Histogram();
  fromDue.add(latency);
  const late = new Histogram();
  late.add(lateness);
  assert.ok(fromDue.percentile(0.5) > 50e6, `${fromDue.percentile(0.5)} ns from the due time`);
  assert.ok(late.percentile(0.5) < 20e6, `${late.percentile(0.5)} ns late`);
});

test('requests without an answer are given up, and the next load is as good as any', async () => {
  const silent = await listen(() => {});
  const given = await generator.run(openLoop(silent, { connections: 2, ratePerSecond: 100 }));
  assert.deepEqual(given.errors, { ...noErrors, late: 20 });
  assert.equal(given.sent, 2);
  const port = await listen((socket, _, id) => socket.write(right(id)));
  const { completed, errors } = await generator.run(openLoop(port));
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, 100);
});

test('a connection whose end was announced is opened again, without an error', async () => {
  let opened = 0;
  const port = await listen((socket, _, id) => {
    socket.end(right(id).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  });
  servers.at(-1)!.on('connection', () => opened++);
  const order = openLoop(port, { connections: 4, ratePerSecond: 100 });
  const { completed, errors } = await generator.run(order);
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, 20);
  assert.ok(opened >= 20, `${opened} connections for 20 requests`);
});

test('a connection that ends silently between two requests is opened again', async () => {
  let opened = 0;
  // As at the end of a keep-alive timeout.
  const port = await listen((socket, _, id) => socket.end(right(id)));
  servers.at(-1)!.on('connection', () => opened++);
  const order = openLoop(port, { connections: 4, ratePerSecond: 100 });
  // A request that is due before the end was seen is cut: on a machine that stands still, not on any.
  for (let tries = 1; ; tries++) {
    opened = 0;
    const { completed, errors } = await generator.run(order);
    if (errors.cut > 0 && tries < 20) continue;
    assert.deepEqual(errors, noErrors);
    assert.equal(completed, 20);
    assert.ok(opened >= 20, `${opened} connections for 20 requests`);
    return;
  }
});

test('a request that the kernel takes in pieces arrives whole, in an open loop too', async () => {
  const bodyBytes = 8_000_000;
  const lengths: number[] = [];
  const server = createServer((socket) => {
    let head = '';
    let received = 0;
    // Nothing is read at first: the socket's buffers are full after some hundred KiB.
    setTimeout(() => {
      socket.on('data', (chunk) => {
        if (head === '') head = chunk.toString('latin1');
        received += chunk.length;
        const whole = head.indexOf('\r\n\r\n') + 4 + bodyBytes;
        if (received < whole) return;
        lengths.push(received - whole);
        socket.write(right(/x-request-id: ([0-9a-f]{16})\r\n/.exec(head)![1]!));
      });
    }, 50);
    socket.on('error', () => socket.destroy());
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { completed, errors } = await generator.run(
    openLoop(port, { connections: 2, ratePerSecond: 100, seconds: 0.02, bodyBytes }),
  );
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, 2);
  assert.deepEqual(lengths, [0, 0]);
});

test('the thread that sends has a real-time priority, and the one that reads has not', (t) => {
  if (spawnSync('chrt', ['--fifo', '1', 'true']).status !== 0) {
    t.skip('this user may not have a real-time priority');
    return;
  }
  const policies = threadsOfGenerator().map((stat) => stat.split(') ')[1]!.split(' ')[38]);
  assert.equal(policies[0], '0');
  assert.equal(policies.filter((policy) => policy === '1').length, 1);
});

/** /proc/PID/task/TID/stat of all threads, the main one first. */
function threadsOfGenerator(): string[] {
  const pid = readdirSync('/proc').find((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const isOurs = / (\d+) /.exec(readFileSync(`/proc/${entry}/stat`, 'latin1').split(') ')[1]!);
      const command = readFileSync(`/proc/${entry}/cmdline`, 'latin1');
      return Number(isOurs?.[1]) === process.pid && command.includes('load/generator.ts');
    } catch {
      return false;
    }
  });
  return readdirSync(`/proc/${pid}/task`)
    .sort((left, right) => Number(left) - Number(right))
    .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'));
}

test('a closed loop sends again as soon as it has its answer', async () => {
  const port = await listen((socket, _, id) => socket.write(right(id)));
  const order = { kind: 'closed', port, connections: 3, seconds: 0.1 } as const;
  const { completed, sent, errors } = await generator.run(order);
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, sent);
  assert.ok(completed > 3, `${completed} requests on 3 connections in 0.1 s`);
});

test('nothing follows on a connection whose answer says that it closes', async () => {
  const requests = new Map<Socket, number>();
  const port = await listen((socket, _, id) => {
    requests.set(socket, (requests.get(socket) ?? 0) + 1);
    socket.write(right(id).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  });
  const order = { kind: 'closed', port, connections: 2, seconds: 5, requests: 30 } as const;
  const { completed, errors } = await generator.run(order);
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, 30);
  assert.deepEqual(
    [...requests.values()],
    Array.from({ length: 30 }, () => 1),
  );
});

test('a backend that is not there is an error for each connection, not a hang', async () => {
  const port = await listen(() => {});
  const server = servers.pop()!;
  await new Promise((closed) => server.close(closed));
  const order = { kind: 'closed', port, connections: 3, seconds: 0.1 } as const;
  const { completed, errors } = await generator.run(order);
  assert.equal(completed, 0);
  assert.deepEqual(errors, { ...noErrors, cut: 3 });
});

test('a closed loop ends early after the requests that were asked for', async () => {
  const port = await listen((socket, _, id) => socket.write(right(id)));
  const order = { kind: 'closed', port, connections: 2, seconds: 60, requests: 50 } as const;
  const { completed, elapsedSeconds } = await generator.run(order);
  assert.equal(completed, 50);
  assert.ok(elapsedSeconds < 50);
});

test('bodies of requests arrive whole, with a length or chunked, and large answers are verified', async () => {
  const [port, second] = (await freePorts(2)) as [number, number];
  const backend = join(import.meta.dirname, '../../bench/load/raw-backend.ts');
  const child = children.start({
    command: process.execPath,
    args: [backend, String(port), String(second)],
    core: undefined,
    directory: tmpdir(),
  });
  await waitForFirstAnswer(port, child, 'the backend');
  const closed = { kind: 'closed', port, connections: 2, seconds: 5, requests: 20 } as const;
  for (const exchange of [
    { path: answerPath(0) },
    { path: answerPath(1_048_576) },
    { path: answerPath(1024), bodyBytes: 100_000 },
    { path: answerPath(16_384), bodyBytes: 100_000, chunked: true },
  ]) {
    const { completed, errors } = await generator.run({ ...closed, ...exchange });
    assert.deepEqual(errors, noErrors, JSON.stringify(exchange));
    assert.equal(completed, 20);
  }
});

test('many targets are gone through, divided among the connections', async () => {
  const seen = new Map<string, number>();
  const port = await listen((socket, _, id) => socket.write(right(id)));
  const server = servers.at(-1)!;
  server.on('connection', (socket: Socket) => {
    socket.on('data', (chunk) => {
      const host = /Host: (\S+)/.exec(chunk.toString('latin1'))![1]!;
      seen.set(host, (seen.get(host) ?? 0) + 1);
    });
  });
  const targets = Array.from({ length: 10 }, (_, index) => ({ host: `h${index}`, path: '/' }));
  const order = { kind: 'closed', port, connections: 3, seconds: 5, requests: 60 } as const;
  const { errors } = await generator.run({ ...order, targets });
  assert.deepEqual(errors, noErrors);
  assert.equal(seen.size, 10);
});

test('held connections are served once, stay open until released, and tell what is wrong', async () => {
  const ends: Promise<unknown>[] = [];
  const port = await listen((socket, _, id) => {
    ends.push(once(socket, 'close'));
    socket.write(right(id));
  });
  const server = servers.at(-1)!;
  await generator.hold(port, 20);
  assert.equal(ends.length, 20);
  assert.equal(await promisify(server.getConnections.bind(server))(), 20);
  server.close();
  await generator.release();
  await Promise.all(ends);
  await assert.rejects(generator.hold(port, 1), /holding 1 connections: cut/);
});
