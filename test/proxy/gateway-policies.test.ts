/**
 * Policies at a Gateway: they are asked about everything that comes in by it, by the address of the client
 * that can be believed.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { Listener } from '../../src/model/routing-table.ts';
import { usualSecurity } from '../../src/model/security.ts';
import type { OutsideTrust } from '../../src/proxy/scope/proxy-scope.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { connectSecure, gatewayOf, serverOf } from '../support/gateway-fixture.ts';
import { planOf, policyText } from '../support/policies.ts';
import { startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, connectionRuleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-policies-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const plain = gatewayOf([serverOf(['*'])], false);

async function startWith(
  t: TestContext,
  listener: Listener,
  policy: string,
  outside?: OutsideTrust,
) {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const table = {
    ...tableOf([listener], [clusterOf([origin.port])]),
    security: { ...usualSecurity, authorization: planOf(policy) },
  };
  const proxy = await startProxy(t, { table, ...(outside === undefined ? {} : { outside }) });
  return { ...proxy, origin };
}

function getFrom(address: string): string {
  return `GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: ${address}\r\n\r\n`;
}

const officeOnly = policyText(
  'office-only',
  '{rules: [{from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}]}',
);

test('behind a trusted hop the client that it names is judged', async (t) => {
  const gateway = await startWith(t, plain, officeOnly, {
    trustedHops: 1,
    takesProxyHeader: false,
  });
  const downstream = await gateway.connect();
  await downstream.send(getFrom('192.0.2.7'));
  assert.equal((await downstream.response()).status, 200);
  await downstream.send(getFrom('192.0.2.7, 198.51.100.1'));
  assert.equal((await downstream.response()).status, 403);
});

test('a forged X-Forwarded-For opens nothing', async (t) => {
  const gateway = await startWith(t, plain, officeOnly);
  const downstream = await gateway.connect();
  await downstream.send(getFrom('192.0.2.7'));
  assert.equal((await downstream.response()).status, 403);
  assert.equal(gateway.origin.connections.length, 0);
});

test('the client of a PROXY header is judged', async (t) => {
  const outside = { trustedHops: 0, takesProxyHeader: true };
  const gateway = await startWith(t, plain, officeOnly, outside);
  for (const [address, status] of [
    ['192.0.2.7', 200],
    ['198.51.100.1', 403],
  ] as const) {
    const downstream = await gateway.connect();
    await downstream.send(`PROXY TCP4 ${address} 10.0.0.1 4711 80\r\n${getFrom('192.0.2.7')}`);
    assert.equal((await downstream.response()).status, status);
  }
});

test('a connection that a policy denies is not relayed, and nobody is dialled', async (t) => {
  const listener = gatewayOf([serverOf(['inside.example.com'], { action: 'relay' })], true, [
    connectionRuleOf({ matches: [{ sniHosts: ['inside.example.com'], subnets: [] }] }),
  ]);
  const gateway = await startWith(t, listener, policyText('nobody', '{}'));
  await assert.rejects(connectSecure(t, gateway.port, authority, 'inside.example.com'));
  assert.equal(gateway.origin.connections.length, 0);
  assert.match(gateway.log.join('\n'), /no rule of shop\/nobody lets a caller without identity/);
});
