/**
 * What a listening socket has accepted is nobody's socket until it is asked for; and a server whose
 * insides are not known goes on as Node.js makes it.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { DirectSocket } from '../../src/proxy/socket/direct-socket.ts';
import { quietly } from '../../src/proxy/socket/original-destination.ts';
import { Slab } from '../../src/proxy/socket/slab.ts';
import {
  type Arrival,
  adoptSocket,
  arrivalOf,
  resetSocket,
  takeArrivals,
} from '../../src/proxy/socket/socket-reads.ts';

const settings = { slab: new Slab(4_096), heldBytesMax: 4_096 };

async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

function dial(t: TestContext, server: Server): Socket {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  return socket;
}

/** The next one; nothing else may come of it. */
async function arrive(t: TestContext): Promise<{ arrival: Arrival; dialled: Socket }> {
  const server = await listen(t, () => assert.fail('the server made a socket'));
  const arrived = new Promise<Arrival>((settle) => takeArrivals(server, settings, settle));
  const dialled = dial(t, server);
  const arrival = await arrived;
  t.after(() => arrival.socket.destroy());
  return { arrival, dialled };
}

/** getsockopt(TCP_NODELAY). */
function isWithoutDelay(descriptor: number): boolean {
  const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
  const { functions } = ffi.dlopen(null, {
    getsockopt: {
      return: 'int32',
      arguments: ['int32', 'int32', 'int32', 'pointer', 'pointer'],
    },
  });
  const memory = new ArrayBuffer(8);
  const numbers = new Uint32Array(memory);
  numbers[1] = 4;
  const address = ffi.getRawPointer(memory);
  assert.equal(functions.getsockopt(descriptor, 6, 1, address, address + 4n), 0);
  return numbers[0] !== 0;
}

test('an arrival is one socket, whoever asks, and reads for whoever takes it', async (t) => {
  const { arrival, dialled } = await arrive(t);
  assert.ok(arrival.descriptor > 0);
  const { socket } = arrival;
  assert.equal(arrival.socket, socket);
  assert.ok(socket instanceof DirectSocket);
  assert.equal(arrivalOf(socket).descriptor, arrival.descriptor);
  const received = new Promise<string>((settle) => {
    const taker = { onBytes: (chunk: Buffer) => settle(chunk.toString('latin1')) };
    assert.equal(adoptSocket(socket, taker, settings), socket);
  });
  dialled.end('hello');
  assert.equal(await received, 'hello');
  await once(socket, 'end');
  socket.end('and bye');
  const [answer] = await once(dialled, 'data');
  assert.equal(String(answer), 'and bye');
});

test('an arrival has no delay of Nagle', async (t) => {
  const { arrival } = await arrive(t);
  assert.ok(isWithoutDelay(arrival.descriptor));
});

test('a connection that is reset right behind its FIN is over for its peer', async (t) => {
  const { arrival, dialled } = await arrive(t);
  const taker = { onBytes: () => undefined };
  const socket = adoptSocket(arrival.socket, taker, settings);
  socket.on('error', (error) => assert.fail(error));
  dialled.on('error', () => undefined);
  const over = once(dialled, 'close');
  socket.end();
  await new Promise<void>((resolve) => process.nextTick(resolve));
  resetSocket(socket);
  dialled.resume();
  dialled.end();
  await over;
});

test('an accept that fails is told by the server, as ever', async (t) => {
  const server = await listen(t, () => assert.fail('accepted'));
  takeArrivals(server, settings, () => assert.fail('accepted'));
  const failed = once(server, 'error');
  const { _handle: handle } = server as unknown as {
    _handle: { onconnection(status: number): void };
  };
  handle.onconnection(-103);
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNABORTED');
});

test("a server whose insides are not known goes on with its 'connection' events", async (t) => {
  const accepted = Promise.withResolvers<Socket>();
  const server = await listen(t, accepted.resolve);
  for (const strange of [{ _handle: null }, { _handle: {} }, {}]) {
    takeArrivals(strange as unknown as Server, settings, () => assert.fail('arrived'));
  }
  const dialled = dial(t, server);
  const arrival = arrivalOf(await accepted.promise);
  assert.ok(arrival.descriptor > 0);
  const received = new Promise<string>((settle) => {
    const taker = { onBytes: (chunk: Buffer) => settle(chunk.toString('latin1')) };
    const socket = adoptSocket(arrival.socket, taker, settings);
    t.after(() => socket.destroy());
  });
  dialled.write('hello');
  assert.equal(await received, 'hello');
});
