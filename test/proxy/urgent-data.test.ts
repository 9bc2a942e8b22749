/**
 * Urgent data of a captured connection: no byte of the stream is lost, on a real kernel.
 */

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { quietly } from '../../src/proxy/original-destination.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { RawOrigin } from '../support/raw-origin.ts';

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
