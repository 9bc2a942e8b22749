/**
 * The end of connections behind mutual TLS: with the certificates that they were made with, not before
 * their answers, and never for those who renew in time.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cart, root, startBound, startCaptured, withBriefLeaf } from '../support/mesh-caller.ts';
import { type MeshLeaf, makeIdentity, makeMaterial } from '../support/mesh-material.ts';
import { getOf } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { okWith } from '../support/raw-origin.ts';

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

test('what is relayed unread is cut a while after its own certificate was replaced', async (t) => {
  const mesh = makeIdentity(root, web);
  const proxy = await startCaptured(t, { mesh, script: echo, limits: { meshDrainMs: 5 } });
  const { downstream } = await proxy.speakMesh();
  await downstream.send(Buffer.from([0, 1, 2]));
  await downstream.until(() => downstream.received.length === 3, 'the echo');
  mesh.replace(makeMaterial(root, web));
  await downstream.ended();
  const application = await proxy.origin.connection(0);
  await application.ended();
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
