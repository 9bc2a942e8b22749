/** What a record says of a caller that STRICT kept out: the resource that says so, and where. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type InboundSecurity, usualSecurity } from '../../src/model/security.ts';
import { PolicyBit } from '../../src/telemetry/exchange-record.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { root } from '../support/mesh-caller.ts';
import { makeIdentity } from '../support/mesh-material.ts';
import { getOf } from '../support/proxy-fixture.ts';

const origin = 'PeerAuthentication shop/all mesh/of shop/strict.yaml:3:1';
const strict: InboundSecurity = { ...usualSecurity, mode: 'strict', origin };

async function refused(t: TestContext, security: InboundSecurity, sent: string | Buffer) {
  const proxy = await startCapture(t, { mesh: makeIdentity(root, {}), security });
  const downstream = await proxy.inbound(8080);
  await downstream.send(sent);
  await downstream.ended();
  await proxy.telemetry.recorded(1);
  const { names, records } = proxy.telemetry;
  const [record] = records;
  return { bits: record!.policyBits, policy: names.names()[record!.policyId - 1] };
}

const denied = PolicyBit.Denied;

test('a request and an opaque connection name the PeerAuthentication', async (t) => {
  const policy = 'shop/all strict.yaml:3:1';
  assert.deepEqual(await refused(t, strict, getOf('/')), { bits: denied, policy });
  const opaque = await refused(t, strict, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9]));
  assert.deepEqual(opaque, { bits: denied, policy });
});

test('a port names the one that is about it', async (t) => {
  const port = 'PeerAuthentication shop/port strict.yaml:9:1';
  const ports = [{ port: 8080, mode: 'strict', origin: port } as const];
  const of = await refused(t, { ...strict, mode: 'permissive', ports }, getOf('/'));
  assert.deepEqual(of, { bits: denied, policy: 'shop/port strict.yaml:9:1' });
});
