/**
 * Secure sockets with real peers: direct writes beside the stream's, back-pressure, ends of all kinds.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createSecureContext, type TLSSocket } from 'node:tls';
import { SecureSocket } from '../../src/proxy/socket/secure-socket.ts';
import { Slab } from '../../src/proxy/socket/slab.ts';
import { openSecureSocket } from '../../src/proxy/socket/socket-reads.ts';
import { makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { SecureOrigin, sidecarTls } from '../support/secure-origin.ts';
import { untilSo } from '../support/turns.ts';

const root = makeRoot();
const leaf = makeLeaf(root);
const secureContext = createSecureContext({
  cert: leaf.certificates,
  key: leaf.privateKey,
  ca: root.roots,
});

interface Ends {
  readonly socket: SecureSocket;
  readonly peer: TLSSocket;
  /** What `socket` has read, as latin1 text. */
  readonly heard: () => string;
  /** Calls `then` after each read from now on. */
  readonly hears: (then: () => void) => void;
}

/** A socket that is dialled, its handshake over; trusted unless the test does it. */
async function dial(t: TestContext, isTrusted = true): Promise<Ends> {
  const origin = await SecureOrigin.start(sidecarTls(root, leaf), () => undefined);
  t.after(() => origin.close());
  let text = '';
  let onText = (): void => undefined;
  const taker = {
    onBytes(chunk: Buffer) {
      text += chunk.toString('latin1');
      onText();
    },
  };
  const settings = { slab: new Slab(32_768), heldBytesMax: 32_768 };
  const options = {
    secureContext,
    ALPNProtocols: ['tracecar/1'],
    allowHalfOpen: true,
    highWaterMark: 32_768,
  };
  const socket = openSecureSocket('127.0.0.1', origin.port, taker, settings, {
    options,
    serverName: '',
    session: undefined,
  });
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'secure');
  if (isTrusted) socket.trust();
  await origin.until(() => origin.secured.length > 0);
  const hears = (then: () => void) => {
    onText = then;
  };
  return { socket, peer: origin.secured[0]!, heard: () => text, hears };
}

/** The next turn of the loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What has been given to the socket beneath, and the kernel has not taken. */
function unsentOf(socket: SecureSocket): number {
  const { _handle: handle } = socket as unknown as {
    readonly _handle: { readonly _parent: { readonly writeQueueSize: number } };
  };
  return handle._parent.writeQueueSize;
}

/** Bytes whose place can be told from their value. */
function patternOf(length: number, from = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at++) bytes[at] = ((from + at) * 31 + ((from + at) >> 8)) & 0xff;
  return bytes;
}

/** All that a peer reads until its end. */
async function readAll(peer: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(peer, 'end');
  return Buffer.concat(chunks);
}

test('memory that was sent may be used again at once', async (t) => {
  const { socket, peer } = await dial(t);
  const all = readAll(peer);
  const memory = Buffer.alloc(1_000);
  for (let count = 0; count < 200; count++) {
    patternOf(1_000, count * 1_000).copy(memory);
    socket.send(memory);
    memory.fill(0);
    // Some meet a write that is not over, others do not.
    if (count % 3 === 0) await turn();
  }
  socket.end();
  assert.deepEqual(await all, patternOf(200_000));
});

test('direct writes, writes of the stream and strings arrive in their order', async (t) => {
  const { socket, peer } = await dial(t);
  const all = readAll(peer);
  const words: string[] = [];
  for (let count = 0; count < 300; count++) {
    const word = `${count};`;
    words.push(word);
    if (count % 3 === 0) socket.send(Buffer.from(word));
    else if (count % 3 === 1) socket.write(word, 'latin1');
    else socket.write(Buffer.from(word));
    if (count % 7 === 0) await turn();
  }
  socket.end();
  assert.equal((await all).toString(), words.join(''));
});

for (const part of [16_384, 1_000]) {
  test(`a peer that reads no messages of ${part} bytes: the socket says how much is held, and tells when it is gone`, async (t) => {
    const { socket, peer } = await dial(t);
    peer.pause();
    let sent = 0;
    while (socket.writableLength < socket.writableHighWaterMark) {
      socket.send(patternOf(part, sent));
      sent += part;
      await turn();
    }
    assert.ok(socket.writableLength <= 2 * socket.writableHighWaterMark);
    const drained = once(socket, 'drain');
    const all = readAll(peer);
    peer.resume();
    await drained;
    assert.equal(socket.writableLength, 0);
    socket.send(patternOf(part, sent));
    socket.end();
    assert.deepEqual(await all, patternOf(sent + part));
  });
}

test('a small message that the kernel had no room for arrives before the end', async (t) => {
  const { socket, peer } = await dial(t);
  peer.pause();
  let sent = 0;
  // The last one waits in libuv, and the stream knows nothing of it.
  while (unsentOf(socket) === 0) {
    socket.send(patternOf(1_000, sent));
    sent += 1_000;
    if (unsentOf(socket) === 0) await turn();
  }
  assert.equal(socket.writableLength, 0);
  socket.end();
  const all = readAll(peer);
  peer.resume();
  assert.deepEqual(await all, patternOf(sent));
});

test('a socket that is destroyed by what it reads hears no more of it', async (t) => {
  const { socket, peer, hears } = await dial(t);
  let count = 0;
  hears(() => {
    count++;
    socket.destroy();
  });
  // Some records, most of them in one read of the socket beneath.
  peer.write(patternOf(100_000));
  await once(socket, 'close');
  assert.equal(count, 1);
});

test('nothing is sent before the peer is trusted; then all of it is, and FIN behind it', async (t) => {
  const { socket, peer, heard } = await dial(t, false);
  const all = readAll(peer);
  socket.send(Buffer.from('one '));
  socket.write('two ');
  socket.end('three');
  peer.write('from the peer');
  await untilSo(() => heard() !== '', 'bytes of the peer');
  assert.equal(peer.bytesRead, 0);
  socket.trust();
  assert.equal((await all).toString(), 'one two three');
});

test('a socket that is never trusted sends nothing, whatever is written', async (t) => {
  const { socket, peer } = await dial(t, false);
  peer.on('error', () => undefined);
  socket.send(Buffer.from('secret'));
  await turn();
  socket.destroy();
  await new Promise((resolve) => peer.once('close', resolve));
  assert.equal(peer.bytesRead, 0);
});

test('the end of the peer: whole with a word in TLS, cut without', async (t) => {
  for (const isCut of [false, true]) {
    const { socket, peer, heard } = await dial(t);
    const ended = once(socket, 'end');
    peer.write('said');
    await untilSo(() => heard() !== '', 'bytes of the peer');
    if (isCut) beneath(peer).end();
    else peer.end();
    await ended;
    assert.equal(heard(), 'said');
    assert.equal(socket.isCut, isCut);
  }
});

test('data and the end in one packet is no cut', async (t) => {
  for (let count = 0; count < 20; count++) {
    const { socket, peer } = await dial(t);
    peer.cork();
    peer.write(patternOf(30_000));
    peer.end();
    peer.uncork();
    await once(socket, 'end');
    assert.equal(socket.isCut, false);
  }
});

test('a stopped socket that hears the end later is not cut', async (t) => {
  const { socket, peer } = await dial(t);
  socket.pause();
  peer.end(patternOf(100_000));
  await turn();
  const ended = once(socket, 'end');
  socket.resume();
  await ended;
  assert.equal(socket.isCut, false);
});

test('after the peer has ended the socket still sends', async (t) => {
  const { socket, peer } = await dial(t);
  const all = readAll(peer);
  peer.end('bye');
  await once(socket, 'end');
  socket.send(Buffer.from('still here'));
  socket.end();
  assert.equal((await all).toString(), 'still here');
});

test('RST of a dialled socket is RST for the peer, and it closes', async (t) => {
  const { socket, peer, heard } = await dial(t);
  // Its session tickets are not under way any more: nothing but the reading meets the RST.
  peer.write('said');
  await untilSo(() => heard() !== '', 'bytes of the peer');
  const gone = new Promise<string>((resolve) => {
    peer.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    peer.once('end', () => resolve('end'));
  });
  const closed = once(socket, 'close');
  socket.resetAndDestroy();
  await closed;
  assert.equal(await gone, 'ECONNRESET');
});

test('RST of the peer is an error, also in the middle of direct writes', async (t) => {
  const { socket, peer } = await dial(t);
  const failed = new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  beneath(peer).resetAndDestroy();
  const timer = setInterval(() => socket.destroyed || socket.send(Buffer.from('more')), 1);
  t.after(() => clearInterval(timer));
  assert.match(await failed, /^(ECONNRESET|EPIPE)$/);
});

test('the accepting end sends the same way', async (t) => {
  const accepted = new Promise<SecureSocket>((resolve) => {
    const server = createServer((socket) => {
      const options = { isServer: true, secureContext, ALPNProtocols: ['tracecar/1'] };
      const secure = new SecureSocket(socket, options);
      secure.on('error', () => undefined);
      secure.once('secure', () => resolve(secure));
    });
    t.after(() => server.close());
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      const settings = { slab: new Slab(32_768), heldBytesMax: 32_768 };
      const taker = { onBytes: (chunk: Buffer) => chunks.push(Buffer.from(chunk)) };
      const options = { secureContext, ALPNProtocols: ['tracecar/1'], allowHalfOpen: true };
      client = openSecureSocket('127.0.0.1', port, taker, settings, {
        options,
        serverName: '',
        session: undefined,
      });
      client.on('error', () => undefined);
    });
  });
  const chunks: Buffer[] = [];
  let client: SecureSocket | undefined;
  const secure = await accepted;
  t.after(() => client?.destroy());
  secure.trust();
  for (let count = 0; count < 50; count++) {
    secure.send(patternOf(1_000, count * 1_000));
    if (count % 2 === 0) await turn();
  }
  secure.end();
  await once(client!, 'end');
  // Its word that it ends stands behind what was under way.
  assert.equal(client!.isCut, false);
  assert.deepEqual(Buffer.concat(chunks), patternOf(50_000));
});

test('an end right behind the handshake is one in TLS too', async (t) => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const options = { isServer: true, secureContext, ALPNProtocols: ['tracecar/1'] };
    const secure = new SecureSocket(socket, options);
    secure.on('error', () => undefined);
    secure.once('secure', () => {
      secure.trust();
      // Session tickets are under way, which nobody has written.
      secure.end();
    });
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const settings = { slab: new Slab(32_768), heldBytesMax: 32_768 };
  const options = { secureContext, ALPNProtocols: ['tracecar/1'], allowHalfOpen: true };
  const terms = { options, serverName: '', session: undefined };
  const client = openSecureSocket('127.0.0.1', port, { onBytes() {} }, settings, terms);
  t.after(() => client.destroy());
  client.on('error', () => undefined);
  await once(client, 'end');
  assert.equal(client.isCut, false);
});

function beneath(secure: TLSSocket): Socket {
  return (secure as unknown as { readonly _parent: Socket })._parent;
}
