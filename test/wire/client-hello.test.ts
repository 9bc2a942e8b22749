/**
 * A TLS downstream's first message: name and protocols are read from any split, and nothing throws.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { seededRandom } from '../../src/base/random.ts';
import { ClientHelloReader, HelloState } from '../../src/wire/client-hello.ts';
import {
  alpn,
  extension,
  helloMessage,
  inRecords,
  serverName,
  vector,
} from '../support/client-hello.ts';

interface Seen {
  readonly state: number;
  readonly serverName: string;
  readonly alpn: readonly string[];
}

function seenBy({ state, serverName: name, alpn: protocols }: ClientHelloReader): Seen {
  return { state, serverName: name, alpn: protocols };
}

function read(...parts: readonly Buffer[]): Seen {
  const reader = new ClientHelloReader();
  for (const part of parts) reader.feed(part);
  return seenBy(reader);
}

const nothing = { state: HelloState.Done, serverName: '', alpn: [] };
const other = { state: HelloState.Other, serverName: '', alpn: [] };
const grease = extension(0x0a0a, Buffer.alloc(0));
const usual = helloMessage(grease, serverName('Reviews.Example.'), alpn('h2', 'http/1.1'));
const wanted = {
  state: HelloState.Done,
  serverName: 'reviews.example',
  alpn: ['h2', 'http/1.1'],
};

test('the name is read in lower case without its last dot, the protocols in their order', () => {
  assert.deepEqual(read(inRecords(usual)), wanted);
});

test('what follows the hello is not looked at', () => {
  assert.deepEqual(read(inRecords(usual), Buffer.from('\x14\x03\x03\x00\x01\x01')), wanted);
});

test('the answer is the same for every split in two, and byte by byte', () => {
  const whole = inRecords(usual, 50);
  for (let at = 0; at <= whole.length; at++) {
    assert.deepEqual(read(whole.subarray(0, at), whole.subarray(at)), wanted, `split at ${at}`);
  }
  assert.deepEqual(read(...[...whole].map((byte) => Buffer.from([byte]))), wanted);
});

test('a message over many records is joined, and more is awaited until it is whole', () => {
  for (const recordBytes of [1, 2, 3, 4, 7, 100]) {
    const bytes = inRecords(usual, recordBytes);
    assert.deepEqual(read(bytes), wanted, `${recordBytes} bytes a record`);
    assert.equal(read(bytes.subarray(0, -1)).state, HelloState.More);
  }
});

test('a message in more than 512 records is not read, so its cost stays small', () => {
  const message = helloMessage(serverName('web.shop'), extension(21, Buffer.alloc(1000)));
  const reader = new ClientHelloReader();
  assert.equal(reader.feed(inRecords(message, Math.ceil(message.length / 512))), HelloState.Done);
  assert.equal(new ClientHelloReader().feed(inRecords(message, 1)), HelloState.Other);
});

test('a hello without extensions, or without these two, asks for nothing', () => {
  const bare = Buffer.concat([
    Buffer.from([1]),
    vector(3, usual.subarray(4, 4 + 2 + 32 + 33 + 6 + 2)),
  ]);
  assert.deepEqual(read(inRecords(bare)), nothing);
  assert.deepEqual(read(inRecords(helloMessage(grease))), nothing);
});

test('a name that is no hostname counts as none', () => {
  for (const name of ['', 'a b', 'a\r\nb', 'a..b', '.', 'é', '*.a', 'a'.repeat(256)]) {
    assert.deepEqual(
      read(inRecords(helloMessage(serverName(name)))),
      nothing,
      JSON.stringify(name),
    );
  }
});

test('what is no ClientHello, or a broken one, is something else', () => {
  const broken: Readonly<Record<string, Buffer>> = {
    'an alert': Buffer.from('\x15\x03\x01\x00\x02\x02\x28', 'latin1'),
    'another version': Buffer.from('\x16\x02\x01\x00\x02\x01\x00', 'latin1'),
    'an empty record': Buffer.from('\x16\x03\x01\x00\x00', 'latin1'),
    'a record that is too long': Buffer.from('\x16\x03\x01\x40\x01', 'latin1'),
    'a ServerHello': inRecords(Buffer.concat([Buffer.from([2]), usual.subarray(1)])),
    'a message that is too long': inRecords(Buffer.from([1, 0, 0x40, 0])),
    'a length beyond the end': inRecords(helloMessage(Buffer.from([0, 0, 0, 9, 0]))),
    'a list that ends early': inRecords(helloMessage(extension(16, Buffer.from([0, 9, 2, 104])))),
    'too many extensions': inRecords(helloMessage(...Array.from({ length: 65 }, () => grease))),
  };
  for (const [what, bytes] of Object.entries(broken)) assert.deepEqual(read(bytes), other, what);
});

test('no byte that is changed makes it throw', () => {
  const random = seededRandom(7);
  const whole = inRecords(usual, 60);
  for (let round = 0; round < 5_000; round++) {
    const bytes = Buffer.from(whole);
    for (let left = 1 + (random.u32() % 3); left > 0; left--) {
      bytes[random.u32() % bytes.length] = random.u32() & 255;
    }
    const reader = new ClientHelloReader();
    const cut = random.u32() % bytes.length;
    reader.feed(bytes.subarray(0, cut));
    reader.feed(bytes.subarray(cut));
    if (reader.state !== HelloState.Done) assert.equal(reader.serverName, '');
  }
});

test('the hello of a real TLS client is understood', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({
    host: '127.0.0.1',
    port,
    servername: 'db.example',
    ALPNProtocols: ['postgresql'],
  });
  client.on('error', () => undefined);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  const reader = new ClientHelloReader();
  while (reader.state === HelloState.More) {
    const [chunk] = (await once(accepted, 'data')) as [Buffer];
    reader.feed(chunk);
  }
  assert.deepEqual(seenBy(reader), {
    state: HelloState.Done,
    serverName: 'db.example',
    alpn: ['postgresql'],
  });
  accepted.destroy();
  client.destroy();
  server.close();
});
