/**
 * The load generator against backends that are right, wrong and slow: what it counts can be believed.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { Children } from '../../bench/children.ts';
import { Histogram } from '../../bench/histogram.ts';
import { LoadGenerator } from '../../bench/load-generator.ts';
import { benchBody, type LoadErrors, type OpenLoop } from '../../bench/load-order.ts';

const right = `HTTP/1.1 200 OK\r\nContent-Length: ${benchBody.length}\r\n\r\n${benchBody}`;
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

/** A backend that calls `answer` for every request; returns its port. */
async function listen(answer: (socket: Socket, count: number) => void): Promise<number> {
  let count = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1').endsWith('\r\n\r\n')) answer(socket, count++);
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

const noErrors: LoadErrors = { status: 0, body: 0, cut: 0, late: 0 };

test('right answers are all counted, and those of the warm-up are not', async () => {
  const port = await listen((socket) => socket.write(right));
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
  const port = await listen((socket) => {
    socket.write(right.slice(0, 20));
    setImmediate(() => socket.write(right.slice(20, 60)));
    setImmediate(() => setImmediate(() => socket.write(right.slice(60))));
  });
  const { completed, errors } = await generator.run(openLoop(port, { ratePerSecond: 100 }));
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, 20);
});

test('every wrong answer is counted as what it is', async () => {
  const wrong: readonly (readonly [keyof LoadErrors, string | undefined])[] = [
    ['status', right.replace('200 OK', '503 No')],
    ['body', right.replace('0123456789', '0123456780')],
    ['body', `${right}more`],
    ['body', right.replace('Content-Length', 'X-Length')],
    ['cut', undefined],
  ];
  for (const [kind, text] of wrong) {
    const port = await listen((socket, count) => {
      if (count !== 2) socket.write(right);
      else if (text === undefined) socket.destroy();
      else socket.write(text);
    });
    const { completed, errors } = await generator.run(openLoop(port, { ratePerSecond: 50 }));
    assert.deepEqual(errors, { ...noErrors, [kind]: 1 }, `${kind}: ${text?.slice(0, 40)}`);
    assert.equal(completed, 9);
  }
});

test('a stall is paid by every request that became due during it', async () => {
  // One connection, 500/s: 50 more requests are due in the 100 ms that the first answer takes.
  const port = await listen((socket, count) => {
    if (count > 0) socket.write(right);
    else setTimeout(() => socket.write(right), 100);
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

test('a closed loop sends again as soon as it has its answer', async () => {
  const port = await listen((socket) => socket.write(right));
  const order = { kind: 'closed', port, connections: 3, seconds: 0.1 } as const;
  const { completed, sent, errors } = await generator.run(order);
  assert.deepEqual(errors, noErrors);
  assert.equal(completed, sent);
  assert.ok(completed > 100, `${completed} requests in 0.1 s`);
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
