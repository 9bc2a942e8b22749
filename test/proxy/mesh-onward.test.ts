/**
 * Captured requests that no rule is about, to the address of an endpoint that is known to have a
 * sidecar: pods of a headless service, called by a name of their own or by their address.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import { type CaptureFixture, startCapture } from '../support/capture-fixture.ts';
import { idOf, makeIdentity, makeLeaf, makeMaterial, makeRoot } from '../support/mesh-material.ts';
import { answering, okWith } from '../support/raw-origin.ts';
import { SecureOrigin, sidecarTls } from '../support/secure-origin.ts';
import {
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
} from '../support/tables.ts';

const root = makeRoot();
const db = { serviceAccount: 'db' };
const service = 'db.default.svc.cluster.local';
const resource = `ServiceEntry default/db`;

interface Fixture extends CaptureFixture {
  readonly origin: SecureOrigin;
  ask(authority: string): Promise<{ status: number; body: string }>;
}

async function start(t: TestContext, identity: string, mesh: MeshIdentity): Promise<Fixture> {
  const tls = sidecarTls(root, makeLeaf(root, db));
  const origin = await SecureOrigin.start(
    tls,
    answering(() => okWith('db')),
  );
  t.after(() => origin.close());
  const { port } = origin;
  const at = { address: '127.0.0.1', port, kind: 'endpoint', protocol: 'http' } as const;
  const rule = ruleOf({ resource, route: 'default/db' });
  const listener = listenerOf([], {
    ...{ name: 'outbound||80', address: '', port, defaultHost: -1 },
    virtualHosts: [{ name: service, domains: [service, 'db'], rules: [rule] }],
  });
  const connectionRules = [connectionRuleOf({ resource, route: 'default/db' })];
  const destination = { ...at, service, listener: listener.name, connectionRules };
  const endpoint = { address: '127.0.0.1', port, labels: {}, zone: '', identity };
  const fixture = await startCapture(t, {
    capture: { outbound: [listener], destinations: [destinationOf(destination)] },
    clusters: [clusterOf([], { endpoints: [endpoint] })],
    mesh,
  });
  const ask = async (authority: string) => {
    const downstream = await fixture.outbound(port);
    await downstream.send(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    return downstream.response();
  };
  return { ...fixture, origin, ask };
}

test('an endpoint with a sidecar is spoken to in mutual TLS by any name', async (t) => {
  const { ask, origin, telemetry } = await start(t, idOf(db), makeIdentity(root, {}));
  for (const authority of ['db', 'db-0.db', `127.0.0.1:${origin.port}`]) {
    assert.equal((await ask(authority)).body, 'db', authority);
  }
  assert.equal(origin.accepted, origin.secured.length);
  assert.ok(origin.secured.every((each) => each.alpnProtocol === 'tracecar/1'));
  await telemetry.recorded(3);
  const id = telemetry.names.idOf(idOf(db));
  assert.deepEqual(
    telemetry.records.map(({ principalId }) => principalId),
    [id, id, id],
  );
});

test('another identity there gets nothing, by any name', async (t) => {
  const { ask, origin } = await start(t, idOf({ serviceAccount: 'other' }), makeIdentity(root, {}));
  for (const authority of ['db', 'db-0.db']) {
    const { status, body } = await ask(authority);
    assert.equal(status, 502);
    assert.match(body, /^tls-wrong-identity:/, authority);
  }
  assert.equal(origin.connections.map(({ received }) => received).join(''), '');
});

test('idle connections of an older certificate are not used by any name', async (t) => {
  const mesh = makeIdentity(root, {});
  const { ask, origin } = await start(t, idOf(db), mesh);
  await ask('db-0.db');
  await ask('db-0.db');
  assert.equal(origin.secured.length, 1);
  mesh.replace(makeMaterial(root, {}));
  await ask('db-0.db');
  assert.equal(origin.secured.length, 2);
});
