/**
 * Ingress listeners that end TLS of their own, of a workload with an identity: both kinds of TLS on one
 * port, told apart by the ClientHello.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { ListenerTls } from '../../src/model/routing-table.ts';
import { type PeerMode, usualSecurity } from '../../src/model/security.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { callerOptions, cart, root } from '../support/mesh-caller.ts';
import { makeIdentity, makeLeaf } from '../support/mesh-material.ts';
import { getOf, startProxy } from '../support/proxy-fixture.ts';
import { RawConnection } from '../support/raw-connection.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-own-tls-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const own = makeLeaf(root, { serviceAccount: 'own', dnsNames: ['web.example'] });
writeFileSync(join(folder, 'tls.crt'), own.certificates);
writeFileSync(join(folder, 'tls.key'), own.privateKey, { mode: 0o600 });
const tls: ListenerTls = {
  mode: 'simple',
  certificateFile: join(folder, 'tls.crt'),
  keyFile: join(folder, 'tls.key'),
  caFile: '',
  minVersion: 'TLSv1.2',
};
const browser: ConnectionOptions = { ca: root.roots, checkServerIdentity: () => undefined };

type Call = () => Promise<RawConnection>;

async function startBound(t: TestContext, mode: PeerMode): Promise<Call> {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const listener = listenerOf([ruleOf()], { direction: 'inbound', tls });
  const security = { ...usualSecurity, mode };
  const table = { ...tableOf([listener], [clusterOf([origin.port])]), security };
  const mesh = makeIdentity(root, { serviceAccount: 'web' });
  const proxy = await startProxy(t, { table, mesh });
  return () => proxy.connect();
}

async function startCaptured(t: TestContext, mode: PeerMode): Promise<Call> {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const over = {
    name: 'inbound|8443',
    direction: 'inbound',
    address: '',
    port: 8443,
    tls,
  } as const;
  const proxy = await startCapture(t, {
    mesh: makeIdentity(root, { serviceAccount: 'web' }),
    security: { ...usualSecurity, mode },
    capture: { inbound: [listenerOf([ruleOf()], over)] },
    clusters: [clusterOf([origin.port])],
  });
  return () => proxy.inbound({ address: '10.0.0.1', port: 8443 });
}

/** What is answered inside; '' where there is no inside. */
async function ask(t: TestContext, call: Call, options: ConnectionOptions): Promise<string> {
  const { socket } = await call();
  const secure: TLSSocket = connectTls({ socket, ...options });
  t.after(() => secure.destroy());
  const isSecure = await new Promise<boolean>((resolve) => {
    secure.on('error', () => resolve(false));
    secure.once('close', () => resolve(false));
    secure.once('secureConnect', () => resolve(true));
  });
  if (!isSecure) return '';
  const inside = new RawConnection(secure);
  await inside.send(getOf('/a'));
  return (await inside.response()).body;
}

for (const [kind, start] of [
  ['bound', startBound],
  ['captured', startCaptured],
] as const) {
  for (const mode of ['permissive', 'disable'] as const) {
    test(`a browser gets the listener's own certificate in ${mode}: ${kind}`, async (t) => {
      assert.equal(await ask(t, await start(t, mode), browser), 'application');
    });
  }

  for (const mode of ['permissive', 'strict'] as const) {
    test(`a sidecar is served on the same port in ${mode}: ${kind}`, async (t) => {
      assert.equal(await ask(t, await start(t, mode), callerOptions(cart)), 'application');
    });
  }

  test(`a browser proves nothing to the mesh, so strict closes it: ${kind}`, async (t) => {
    assert.equal(await ask(t, await start(t, 'strict'), browser), '');
  });

  for (const mode of ['permissive', 'strict'] as const) {
    test(`plain text is not taken where TLS is declared, in ${mode}: ${kind}`, async (t) => {
      const downstream = await (await start(t, mode))();
      await downstream.send(getOf('/a'));
      await downstream.ended();
      assert.ok(!downstream.received.includes('application'));
    });
  }
}
