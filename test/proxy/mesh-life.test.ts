/**
 * The end of connections behind mutual TLS: with the certificates that they were made with, not before
 * their answers, and never for those who renew in time.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import type { TrafficLimits } from '../../src/model/limits.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import type { MemoryTelemetry } from '../support/memory-telemetry.ts';
import {
  cart,
  type MeshCall,
  root,
  startBound,
  startCaptured,
  withBriefLeaf,
} from '../support/mesh-caller.ts';
import { type MeshLeaf, makeIdentity, makeMaterial } from '../support/mesh-material.ts';
import { getOf } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { okWith } from '../support/raw-origin.ts';
import { untilStill } from '../support/turns.ts';

const web = { serviceAccount: 'web' };

const echo = (connection: RawConnection): void => {
  connection.socket.on('data', (chunk) => connection.socket.write(chunk));
};

test('a connection is closed after the answer under way when its own certificate was replaced', async (t) => {
  const mesh = makeIdentity(root, web);
  let answer = () => {};
  const script = async (connection: RawConnection) => {
    await connection.untilReceived('/slow');
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    await connection.send(okWith('late'));
  };
  const proxy = await startBound(t, { mesh, script, limits: { meshDrainMs: 5, drainIdleMs: 5 } });
  const { downstream } = await proxy.speakMesh();
  const idle = await proxy.speakMesh();
  await downstream.send(getOf('/slow'));
  const application = await proxy.origin.connection(0);
  await application.untilReceived('/slow');
  mesh.replace(makeMaterial(root, web));
  assert.equal(await idle.downstream.ended(), 'fin');
  answer();
  const response = await downstream.response();
  assert.equal(response.body, 'late');
  assert.match(response.head, /connection: close/i);
  assert.equal(await downstream.ended(), 'fin');
});

interface Relayed extends MeshCall {
  readonly application: RawConnection;
  readonly telemetry: MemoryTelemetry;
  /** Bytes of the application that the proxy has read and cannot pass on. */
  heldBytes(): number;
  /** Its own certificate is replaced, and the time of what was made before is over. */
  end(): void;
}

const webSocket =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** An opaque connection whose first bytes have been there and back. */
async function relay(t: TestContext, limits: Partial<TrafficLimits> = {}): Promise<Relayed> {
  const mesh = makeIdentity(root, web);
  const over = { meshDrainMs: 1, ...limits };
  const proxy = await startCaptured(t, { mesh, script: echo, limits: over });
  const call = await proxy.speakMesh();
  await call.downstream.send(Buffer.from([0, 1, 2]));
  await call.downstream.until(() => call.downstream.received.length === 3, 'the echo');
  const application = await proxy.origin.connection(0);
  const end = () => mesh.replace(makeMaterial(root, web));
  const heldBytes = () => proxy.proxy.connections()[0]!.responseHeldBytes;
  return { ...call, application, telemetry: proxy.telemetry, heldBytes, end };
}

test('what is relayed unread ends by FIN both ways, and its record says why', async (t) => {
  const { downstream, application, telemetry, end } = await relay(t);
  end();
  assert.equal(await application.ended(), 'fin');
  assert.equal(await downstream.ended(), 'fin');
  application.finish();
  downstream.finish();
  assert.equal(await application.closed(), 'fin');
  assert.equal(await downstream.closed(), 'fin');
  await telemetry.recorded(1);
  const [record] = telemetry.records;
  assert.equal(record!.kind, RecordKind.Connection);
  assert.equal(record!.causeCode, failure['certificate-over'].code);
  assert.deepEqual([record!.requestBytes, record!.responseBytes], [3, 3]);
});

test('who does not close when a relayed connection has ended is cut', async (t) => {
  const { downstream, application, telemetry, end } = await relay(t, { meshEndMs: 5 });
  end();
  assert.equal(await downstream.ended(), 'fin');
  await telemetry.recorded(1);
  assert.equal(telemetry.records[0]!.causeCode, failure['certificate-over'].code);
  for (const each of [downstream, application]) {
    // Whoever has heard FIN hears of RST when it writes.
    await each.send('more');
    assert.equal(await each.closed(), 'reset');
  }
});

test('what was read of a relayed connection is delivered before its end', async (t) => {
  const { secure, downstream, application, telemetry, heldBytes, end } = await relay(t, {
    meshEndMs: 60_000,
  });
  secure.pause();
  const flood = Buffer.alloc(16_000_000, 'x');
  void application.send(flood);
  await untilStill(heldBytes, 100);
  end();
  assert.equal(await application.ended(), 'fin');
  secure.resume();
  assert.equal(await downstream.ended(), 'fin');
  application.finish();
  downstream.finish();
  await telemetry.recorded(1);
  const { length } = downstream.received;
  assert.equal(length, telemetry.records[0]!.responseBytes);
  assert.ok(length < flood.length, `${length} bytes`);
});

test('a WebSocket ends by FIN both ways, with no frame that nobody sent', async (t) => {
  const mesh = makeIdentity(root, web);
  const script = async (connection: RawConnection) => {
    await connection.untilReceived('\r\n\r\n');
    await connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
  };
  const proxy = await startBound(t, { mesh, script, limits: { meshDrainMs: 1 } });
  const { downstream } = await proxy.speakMesh();
  await downstream.send(getOf('/chat', webSocket));
  assert.equal((await downstream.response()).status, 101);
  const application = await proxy.origin.connection(0);
  const asked = application.received;
  mesh.replace(makeMaterial(root, web));
  assert.equal(await application.ended(), 'fin');
  assert.equal(await downstream.ended(), 'fin');
  application.finish();
  downstream.finish();
  assert.equal(await application.closed(), 'fin');
  assert.equal(await downstream.closed(), 'fin');
  assert.deepEqual([downstream.rest, application.received], ['', asked]);
  await proxy.telemetry.recorded(2);
  const record = proxy.telemetry.records.find(({ kind }) => kind === RecordKind.Connection);
  assert.equal(record!.causeCode, failure['certificate-over'].code);
});

test('connections that are long from their end go on when there is another certificate', async (t) => {
  const mesh = makeIdentity(root, web);
  const proxy = await startCaptured(t, { mesh, script: echo });
  const { downstream } = await proxy.speakMesh();
  for (let count = 1; count <= 3; count++) {
    await downstream.send(Buffer.from([0]));
    await downstream.until(() => downstream.received.length === count, 'the echo');
    mesh.replace(makeMaterial(root, web));
  }
  assert.equal(downstream.ending, 'open');
});

test('a connection does not outlive the certificate of its caller', async (t) => {
  const proxy = await startCaptured(t, { script: echo });
  const speak = async (leaf: MeshLeaf) => {
    const { downstream } = await proxy.speakMesh({}, leaf);
    await downstream.send(Buffer.from([0, 1, 2]));
    await downstream.until(() => downstream.received.length === 3, 'the echo');
    return { leaf, downstream };
  };
  const long = await speak(cart);
  const short = await withBriefLeaf(speak);
  await short.downstream.ended();
  assert.ok(Date.now() > short.leaf.notAfterMs - 500, 'not before');
  await long.downstream.send(Buffer.from([0]));
  await long.downstream.until(() => long.downstream.received.length === 4, 'the echo');
});
