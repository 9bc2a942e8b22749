/**
 * Writes past the stream: what the kernel does not take at once is the stream's matter, as ever.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { beginDial, DirectSocket } from '../../src/proxy/socket/direct-socket.ts';
import { ReadMemory, Slab } from '../../src/proxy/socket/slab.ts';
import { WriteSlab } from '../../src/proxy/socket/write-slab.ts';

const SLAB_BYTES = 4_096;

/** Both ends of a connection; the peer reads nothing until it is told to. */
async function pair(t: TestContext): Promise<{ socket: DirectSocket; peer: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = new DirectSocket({ allowHalfOpen: true });
  socket.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [[peer]] = await Promise.all([accepted, once(socket, 'connect')]);
  t.after(() => {
    socket.destroy();
    peer.destroy();
    server.close();
  });
  return { socket, peer };
}

/** Puts messages of different lengths until the kernel takes no more, then `more`; all that was sent. */
function fill(socket: DirectSocket, out: WriteSlab, more: number): string[] {
  const sent: string[] = [];
  for (let left = more; left > 0; ) {
    const text = `${sent.length}:`.padEnd(1 + ((sent.length * 37) % 5_000), 'x');
    out.putText(text);
    out.send(socket);
    sent.push(text);
    if (socket.writableLength > 0) left--;
  }
  return sent;
}

async function received(peer: Socket): Promise<string> {
  const parts: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => parts.push(chunk));
  peer.resume();
  await once(peer, 'end');
  return Buffer.concat(parts).toString('latin1');
}

test('a peer that reads late gets every byte in order, and drain and finish are told', async (t) => {
  const { socket, peer } = await pair(t);
  const sent = fill(socket, new WriteSlab(SLAB_BYTES), 40);
  const drained = once(socket, 'drain');
  const finished = once(socket, 'finish');
  const arriving = received(peer);
  await drained;
  assert.equal(socket.writableLength, 0);
  socket.end();
  await finished;
  assert.equal(await arriving, sent.join(''));
});

test('what is sent to a corked socket waits and arrives once, in order', async (t) => {
  const { socket, peer } = await pair(t);
  const out = new WriteSlab(SLAB_BYTES);
  socket.cork();
  out.putText('first ');
  out.send(socket);
  assert.equal(socket.writableLength, 'first '.length, 'nothing passes a corked stream');
  socket.write('second ');
  // So much that the kernel, were it asked, would not take it at once.
  const big = Buffer.alloc(2 ** 23, 'abcdefghijklmnopqrstuvwxyz');
  socket.send(big);
  out.putText(' last');
  out.send(socket);
  const arriving = received(peer);
  socket.uncork();
  socket.end();
  assert.equal(await arriving, `first second ${big.toString('latin1')} last`);
});

test('what is sent behind a write that is under way arrives behind it', async (t) => {
  const { socket, peer } = await pair(t);
  const big = Buffer.alloc(2 ** 23, 'abcdefghijklmnopqrstuvwxyz');
  socket.write(big);
  assert.equal(socket.writableLength, big.length, 'the kernel has not taken all of it');
  const out = new WriteSlab(SLAB_BYTES);
  out.putText('tail');
  out.send(socket);
  const arriving = received(peer);
  socket.end();
  assert.equal(await arriving, `${big.toString('latin1')}tail`);
});

test('of a message of which the kernel takes a part the rest follows before the next one', async (t) => {
  const { socket, peer } = await pair(t);
  const big = Buffer.alloc(2 ** 23, 'abcdefghijklmnopqrstuvwxyz');
  assert.equal(socket.send(big), false, 'its memory is the socket’s until it is gone');
  assert.equal(socket.send(Buffer.from('tail')), true);
  assert.ok(socket.writableNeedDrain);
  const arriving = received(peer);
  await once(socket, 'drain');
  assert.equal(socket.send(Buffer.from('!')), true);
  socket.end();
  assert.equal(await arriving, `${big.toString('latin1')}tail!`);
});

test('what was given away is unsent until the peer reads', async (t) => {
  const { socket, peer } = await pair(t);
  const sent = fill(socket, new WriteSlab(SLAB_BYTES), 1);
  assert.equal(socket.writableLength, sent.at(-1)!.length);
  const arriving = received(peer);
  socket.end();
  assert.equal(await arriving, sent.join(''));
});

test('memory that the kernel still reads from is not written to again', async (t) => {
  const { socket, peer } = await pair(t);
  const out = new WriteSlab(SLAB_BYTES);
  const sent = fill(socket, out, 1);
  const other = await pair(t);
  for (let count = 0; count < 100; count++) {
    out.putText('y'.repeat(SLAB_BYTES));
    out.send(other.socket);
  }
  const arriving = received(peer);
  socket.end();
  assert.equal(await arriving, sent.join(''));
});

test('a write to a connection that was reset is an error of the socket', async (t) => {
  const { socket, peer } = await pair(t);
  const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>;
  // Nothing is read here, so that only a write can meet the reset.
  socket.pause();
  peer.resetAndDestroy();
  await once(peer, 'close');
  const out = new WriteSlab(SLAB_BYTES);
  const write = () => {
    out.putText('hello');
    out.send(socket);
    if (!socket.destroyed) setImmediate(write);
  };
  write();
  const [error] = await failed;
  assert.match(String(error.code), /^(EPIPE|ECONNRESET)$/);
});

test('before it is connected a socket keeps what it is given', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const socket = new DirectSocket({ allowHalfOpen: true });
  socket.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const out = new WriteSlab(SLAB_BYTES);
  for (const text of ['one ', 'two']) {
    out.putText(text);
    out.send(socket);
  }
  const [peer] = (await once(server, 'connection')) as [Socket];
  socket.end();
  assert.equal(await received(peer), 'one two');
  peer.destroy();
  socket.destroy();
});

/** A dialled socket; `bytes` are what it reads. */
function dialOf(t: TestContext, host: string, port: number): DirectSocket {
  const dial = beginDial(host, port);
  assert.ok(dial !== undefined);
  const socket = DirectSocket.ofDial(
    dial,
    { allowHalfOpen: true },
    new ReadMemory(new Slab(4_096)),
  );
  t.after(() => socket.destroy());
  return socket;
}

for (const host of ['127.0.0.1', '::1']) {
  test(`${host} is dialled at once, and what is written before it answers arrives`, async (t) => {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, host);
    try {
      await once(server, 'listening');
    } catch (error) {
      t.skip(`nothing can listen on ${host}: ${(error as Error).message}`);
      return;
    }
    t.after(() => server.close());
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const socket = dialOf(t, host, (server.address() as AddressInfo).port);
    assert.ok(socket.connecting);
    socket.end('early');
    const [peer] = await accepted;
    t.after(() => peer.destroy());
    assert.equal(await received(peer), 'early');
    assert.equal(socket.connecting, false);
    peer.end('answer');
    assert.equal(await received(socket), 'answer');
  });
}

test('a dial that is refused says so by its code', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const socket = dialOf(t, '127.0.0.1', port);
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
  assert.equal(error.syscall, 'connect');
});

test('a dial that cannot begin says so later, by its code', async (t) => {
  // A multicast address takes no connections.
  const socket = dialOf(t, '224.0.0.1', 80);
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.match(error.code!, /^E[A-Z]+$/);
  assert.equal(error.syscall, 'connect');
});

test('a socket that is destroyed while it is dialled is closed without a word', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const socket = dialOf(t, '127.0.0.1', (server.address() as AddressInfo).port);
  socket.on('connect', () => assert.fail('connected'));
  socket.destroy();
  await once(socket, 'close');
});

test('a name is not dialled here, nor what libuv takes for no address', () => {
  for (const host of ['localhost', 'a.example', '1.2.3.4.5', '127.1', ':', '']) {
    assert.equal(beginDial(host, 80), undefined, host);
  }
});

test('without the insides of Node.js nothing is dialled here, and writes go by the stream', async (t) => {
  const hidden = Object.getOwnPropertyDescriptor(process, 'binding')!;
  Object.defineProperty(process, 'binding', { ...hidden, value: undefined });
  t.after(() => Object.defineProperty(process, 'binding', hidden));
  const file = '../../src/proxy/socket/direct-socket.ts?without-binding';
  const without = (await import(file)) as typeof import('../../src/proxy/socket/direct-socket.ts');
  assert.equal(without.beginDial('127.0.0.1', 80), undefined);
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = new without.DirectSocket({ allowHalfOpen: true });
  socket.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [peer] = await accepted;
  t.after(() => peer.destroy());
  assert.equal(socket.send(Buffer.from('plain')), true);
  socket.end();
  assert.equal(await received(peer), 'plain');
});
