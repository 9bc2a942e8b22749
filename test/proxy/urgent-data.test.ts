/**
 * Urgent data of a captured connection: no byte of the stream is lost, on a real kernel.
 */

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { quietly } from '../../src/proxy/socket/original-destination.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { getOf } from '../support/proxy-fixture.ts';
import { type OriginScript, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, connectionRuleOf, destinationOf } from '../support/tables.ts';

const MSG_OOB = 1;

/** send(2) with MSG_OOB: the last byte of `text` is urgent. Node.js cannot do it. */
function sendUrgent(socket: Socket, text: string): void {
  const ffi = quietly(() => process.getBuiltinModule('node:ffi'));
  const { functions } = ffi.dlopen(null, {
    send: { return: 'int64', arguments: ['int32', 'pointer', 'uint64', 'int32'] },
  });
  const bytes = new TextEncoder().encode(text);
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } };
  const address = ffi.getRawPointer(bytes.buffer);
  assert.equal(
    functions.send(handle.fd, address, BigInt(bytes.length), MSG_OOB),
    BigInt(bytes.length),
  );
}

const webSocket =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const switching =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

/** What a server does before its urgent byte, and what its downstream says to it. */
const servers: readonly (readonly [
  what: string,
  script: OriginScript,
  said: string,
  tcpDeclared: boolean,
])[] = [
  ['speaks first', () => undefined, '', false],
  ['is relayed without a look', () => undefined, '', true],
  ['answers', (upstream) => upstream.untilReceived('\0hello'), '\0hello', false],
  ['answers, relayed without a look', (upstream) => upstream.untilReceived('hello'), 'hello', true],
  [
    'has switched protocols',
    async (upstream) => {
      await upstream.untilReceived('\r\n\r\n');
      await upstream.send(switching);
      await upstream.untilReceived('go on');
    },
    getOf('/', webSocket),
    false,
  ],
];

for (const [what, script, said, tcpDeclared] of servers) {
  test(`an urgent byte of a server that ${what} is relayed where it stands`, async (t) => {
    const original = await RawOrigin.start(async (upstream, index) => {
      await script(upstream, index);
      sendUrgent(upstream.socket, 'before !');
      await upstream.send(' after');
    });
    t.after(() => original.close());
    const { port } = original;
    const destinations = [
      destinationOf({
        address: '127.0.0.1',
        port,
        protocol: 'tcp',
        connectionRules: [connectionRuleOf()],
      }),
    ];
    const proxy = await startCapture(t, {
      capture: tcpDeclared ? { destinations } : {},
      clusters: [clusterOf([port])],
    });
    const downstream = await proxy.outbound(port);
    if (said !== '') await downstream.send(said);
    if (said.startsWith('GET')) {
      await downstream.response();
      await downstream.send('go on');
    }
    await downstream.untilReceived(' after');
    assert.equal(downstream.received.split('\r\n\r\n').at(-1), 'before ! after');
    downstream.reset();
  });
}

test('an urgent byte is relayed where it stands in the stream', async (t) => {
  const original = await RawOrigin.start();
  t.after(() => original.close());
  const proxy = await startCapture(t);
  const downstream = await proxy.outbound(original.port);
  await downstream.send('\0before ');
  sendUrgent(downstream.socket, 'ABOR!');
  await downstream.send(' after');
  const upstream = await original.connection(0);
  await upstream.untilReceived(' after');
  assert.equal(upstream.received, '\0before ABOR! after');
  downstream.finish();
  upstream.finish();
  await downstream.closed();
});
