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
import { PolicyBit } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { helloMessage, inRecords, serverName } from '../support/client-hello.ts';
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

test('why the gateway refused is in its record, and no name from inside in its answer', async (t) => {
  const gateway = await startWith(t, plain, officeOnly);
  const downstream = await gateway.connect();
  await downstream.send(getFrom('192.0.2.7'));
  const { head, body } = await downstream.response();
  assert.doesNotMatch(head + body, /office-only/);
  const { detail } = readExtra(gateway.telemetry.records.at(-1)!.extra);
  assert.match(detail, /^no rule of shop\/office-only lets a caller without identity .*: GET \/$/);
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

test('a policy is asked before anybody is told to come by https', async (t) => {
  const redirecting = gatewayOf([serverOf(['*'], { action: 'redirect' })], false);
  const gateway = await startWith(t, redirecting, policyText('nobody', '{}'));
  const downstream = await gateway.connect();
  await downstream.send(getFrom('192.0.2.7'));
  assert.equal((await downstream.response()).status, 403);
  const open = await startWith(t, redirecting, policyText('all', '{rules: [{}]}'));
  const other = await open.connect();
  await other.send(getFrom('192.0.2.7'));
  assert.equal((await other.response()).status, 301);
});

test('what a policy of a gateway did is in the record of the request', async (t) => {
  const gateway = await startWith(t, plain, officeOnly);
  const downstream = await gateway.connect();
  await downstream.send(getFrom('192.0.2.7'));
  await downstream.response();
  const { policyId, policyBits } = gateway.telemetry.records.at(-1)!;
  assert.equal(policyBits, PolicyBit.Denied | PolicyBit.NoneAllows);
  assert.equal(gateway.telemetry.names.names()[policyId - 1], 'shop/office-only policies.yaml:1:1');
});

const viaLocal = policyText(
  'via-local',
  '{rules: [{from: [{source: {ipBlocks: [127.0.0.0/8], remoteIpBlocks: [192.0.2.0/24]}}]}]}',
);
const forged = policyText(
  'forged',
  '{rules: [{from: [{source: {ipBlocks: [192.0.2.0/24]}}]}, {when: [{key: source.ip, values: [192.0.2.7]}]}]}',
);

test('whoever connects does not choose by a PROXY header where it connects from', async (t) => {
  const outside = { trustedHops: 0, takesProxyHeader: true };
  const header = 'PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n';
  for (const [policy, status] of [
    [viaLocal, 200],
    [forged, 403],
  ] as const) {
    const gateway = await startWith(t, plain, policy, outside);
    const downstream = await gateway.connect();
    await downstream.send(`${header}${getFrom('192.0.2.7')}`);
    assert.equal((await downstream.response()).status, status);
  }
});

test('of a relayed connection too its peer and the client of its PROXY header are told apart', {
  timeout: 30_000,
}, async (t) => {
  const listener = gatewayOf([serverOf(['inside.example.com'], { action: 'relay' })], true, [
    connectionRuleOf({ matches: [{ sniHosts: ['inside.example.com'], subnets: [] }] }),
  ]);
  const outside = { trustedHops: 0, takesProxyHeader: true };
  for (const [policy, dialled] of [
    [forged, 0],
    [viaLocal, 1],
  ] as const) {
    const gateway = await startWith(t, listener, policy, outside);
    const downstream = await gateway.connect();
    await downstream.send('PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n');
    await downstream.send(inRecords(helloMessage(serverName('inside.example.com'))));
    if (dialled === 0) await gateway.telemetry.recorded(1);
    else await gateway.origin.connection(0);
    assert.equal(gateway.origin.connections.length, dialled);
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
  await gateway.telemetry.recorded(1);
  const { detail } = readExtra(gateway.telemetry.records[0]!.extra);
  assert.match(detail, /no rule of shop\/nobody lets a caller without identity/);
});
