/**
 * Reading original destinations: which way is taken, how answers are printed. The kernel's real answers
 * are in test/e2e/namespaces.
 */

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import {
  byKoffi,
  byNode,
  type Lookup,
  openOriginalDestination,
  type Way,
} from '../../src/proxy/socket/original-destination.ts';

const missing = (name: Way['name'], why: string): Way => ({
  name,
  open() {
    throw new Error(why);
  },
});

/** A kernel that answers every question with `bytes`, or not at all. */
function kernel(bytes: readonly number[] | undefined) {
  const asked: number[][] = [];
  const lookup: Lookup = {
    bytes: Uint8Array.from(bytes ?? []),
    call(descriptor, level) {
      asked.push([descriptor, level]);
      return bytes === undefined ? -1 : 0;
    },
  };
  return { way: { name: 'koffi', open: () => lookup } as Way, asked };
}

function socketOf(localAddress: string, descriptor = 7): Socket {
  return { localAddress, _handle: { fd: descriptor } } as unknown as Socket;
}

function readWith(way: Way, socket: Socket) {
  const opened = openOriginalDestination([way]);
  assert.ok('reader' in opened);
  return opened.reader.read(socket);
}

test('node:ffi comes first, koffi where it is missing', () => {
  const first = openOriginalDestination();
  assert.ok('reader' in first);
  assert.equal(first.by, 'node:ffi');
  const second = openOriginalDestination([missing('node:ffi', 'none here'), byKoffi]);
  assert.ok('reader' in second);
  assert.equal(second.by, 'koffi');
});

test('without both the problem names each way and its reason', () => {
  const opened = openOriginalDestination([
    missing('node:ffi', 'this Node.js has none'),
    missing('koffi', 'not installed'),
  ]);
  assert.deepEqual(opened, {
    problem:
      'the original destination cannot be read (node:ffi: this Node.js has none; koffi: not installed)',
  });
});

test('IPv4 and IPv4-mapped sockets are asked with the option of IPv4', () => {
  const { way, asked } = kernel([2, 0, 0x1f, 0x90, 10, 7, 0, 255]);
  for (const address of ['10.7.0.1', '::ffff:10.7.0.1']) {
    assert.deepEqual(readWith(way, socketOf(address)), { address: '10.7.0.255', port: 8_080 });
  }
  assert.deepEqual(asked, [
    [7, 0],
    [7, 0],
  ]);
});

test('IPv6 addresses print as the platform prints them', () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), {
    minLength: 8,
    maxLength: 8,
  });
  fc.assert(
    fc.property(groups, fc.integer({ min: 1, max: 65_535 }), (words, port) => {
      const bytes = words.flatMap((word) => [word >> 8, word & 0xff]);
      const { way, asked } = kernel([10, 0, port >> 8, port & 0xff, 0, 0, 0, 0, ...bytes]);
      const read = readWith(way, socketOf('fd07::1'));
      const written = words.map((word) => word.toString(16)).join(':');
      const expected = new URL(`http://[${written}]/`).hostname.slice(1, -1);
      assert.deepEqual(read, { address: expected, port });
      assert.deepEqual(asked, [[7, 41]]);
    }),
  );
});

test('a socket that is closed or was not redirected has no original destination', () => {
  const { way, asked } = kernel(undefined);
  assert.equal(readWith(way, socketOf('10.7.0.1')), undefined);
  assert.equal(readWith(way, socketOf('10.7.0.1', -1)), undefined);
  assert.equal(readWith(way, { localAddress: '10.7.0.1' } as Socket), undefined);
  assert.equal(asked.length, 1);
});

/** A connection over loopback, as a listener accepts it. */
async function accepted(t: TestContext): Promise<Socket> {
  const server = createServer();
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  const { port } = server.address() as AddressInfo;
  const socket = new Promise<Socket>((settle) => server.once('connection', settle));
  const dial = connect(port, '127.0.0.1');
  t.after(() => {
    dial.destroy();
    server.close();
  });
  const taken = await socket;
  t.after(() => taken.destroy());
  return taken;
}

test('both ways ask the real kernel and agree about a plain connection', async (t) => {
  const socket = await accepted(t);
  const answers = [byNode, byKoffi].map((way) => readWith(way, socket));
  assert.deepEqual(answers[0], answers[1]);
  // Without connection tracking there is nothing; with it, the address that was dialled.
  if (answers[0] !== undefined) {
    assert.deepEqual(answers[0], { address: '127.0.0.1', port: socket.localPort });
  }
});
