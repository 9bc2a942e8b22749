/** What a record says of a caller that STRICT kept out: the resource that says so, and where. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type InboundSecurity, usualSecurity } from '../../src/model/security.ts';
import {
  type ExchangeRecord,
  PolicyBit,
  RecordFlag,
} from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { Method } from '../../src/wire/http1/method.ts';
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

test('a refused request is in the trace of its caller, with all that a denied one says', async (t) => {
  const proxy = await startCapture(t, { mesh: makeIdentity(root, {}), security: strict });
  const downstream = await proxy.inbound(8080);
  const ids = '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';
  const lines = ['Host: shop', 'User-Agent: kube-probe/1', `traceparent: 00-${ids}-01`];
  await downstream.send(`HEAD /order/7 HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  await downstream.ended();
  assert.match(downstream.received, /^HTTP\/1\.1 403 .*\r\n\r\n$/s, 'HEAD has no body');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(printIds(record!), ids);
  assert.equal(record!.method, Method.Head);
  assert.equal(record!.flags & RecordFlag.Muted, 0, 'nobody hides as a probe');
  const { target, authority, userAgent } = record!;
  assert.deepEqual([target, authority, userAgent], ['/order/7', 'shop', 'kube-probe/1']);
  const { detail } = readExtra(record!.extra);
  assert.match(detail, /^127\.0\.0\.1 came without mutual TLS to port 8080$/);
  assert.ok(record!.proxyUs > 0);
});

/** Trace and parent. */
function printIds(record: ExchangeRecord): string {
  const hex = (...words: readonly number[]) =>
    words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  const { traceId0, traceId1, traceId2, traceId3, parentId0, parentId1 } = record;
  return `${hex(traceId0, traceId1, traceId2, traceId3)}-${hex(parentId0, parentId1)}`;
}
