/** Keep messages to a sidecar with an identity: by mutual TLS, to that one, or not at all. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import { usualSecurity } from '../../src/model/security.ts';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import { KeepSender } from '../../src/telemetry/keep/keep-sender.ts';
import type { PeerKeys } from '../../src/telemetry/keep/peer-keys.ts';
import { ExchangeRecord } from '../../src/telemetry/record/exchange-record.ts';
import { ManualTime } from '../support/manual-time.ts';
import { idOf, type MeshSigner, makeMaterial, makeRoot } from '../support/mesh-material.ts';
import { makeDecoy } from '../support/odd-issuers.ts';
import { type ProxyFixture, startProxy } from '../support/proxy-fixture.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

const root = makeRoot();
const web = { serviceAccount: 'web' };
const shop = { serviceAccount: 'shop' };

/** The shop's sidecar, STRICT. `more`: PEM that it sends behind its certificate. */
function startShop(t: TestContext, more = ''): Promise<ProxyFixture> {
  const table = {
    ...tableOf([listenerOf([ruleOf()], { direction: 'inbound' })], [clusterOf([9])]),
    security: { ...usualSecurity, mode: 'strict' as const },
  };
  const mesh = new MeshIdentity();
  const material = makeMaterial(root, shop);
  mesh.replace({ ...material, certificates: material.certificates + more });
  return startProxy(t, { table, mesh });
}

function keysOf(by: MeshSigner, generation = 1): PeerKeys {
  const { certificates, privateKey, roots } = makeMaterial(by, web);
  return { generation, certificates, privateKey: privateKey.reveal(), roots };
}

function trace(index: number): ExchangeRecord {
  return Object.assign(new ExchangeRecord(), { traceId0: 7, traceId3: index });
}

/** Tells one id, at once; resolves with what became of it. */
async function tell(sender: KeepSender, time: ManualTime, port: number, index: number) {
  const before = { ...sender.counts };
  const isOver = () => sender.counts.sent + sender.counts.failed > before.sent + before.failed;
  sender.tell('127.0.0.1', port, trace(index));
  await time.advance(keepLimits.messageMs);
  await untilSo(isOver, 'the end of a message');
  return sender.counts.sent > before.sent ? 'sent' : 'failed';
}

test('who has proved an identity is told by mutual TLS, over one connection for a set of keys', async (t) => {
  const { port, telemetry } = await startShop(t);
  const time = new ManualTime();
  const sender = new KeepSender(time, () => idOf(shop));
  t.after(() => sender.close());
  sender.setKeys(keysOf(root));
  assert.equal(await tell(sender, time, port, 1), 'sent');
  assert.equal(await tell(sender, time, port, 2), 'sent');
  const inbound = telemetry.metrics.connectionGauge('inbound');
  assert.equal(inbound.meshHandshakes, 1);
  sender.setKeys(keysOf(root, 2));
  assert.equal(await tell(sender, time, port, 3), 'sent');
  assert.equal(inbound.meshHandshakes, 2);
  assert.equal(telemetry.asked.length, 3);
});

test('without keys, to another identity or under other roots nothing is told, and never in plain text', async (t) => {
  const { port, telemetry } = await startShop(t);
  const time = new ManualTime();
  const without = new KeepSender(time, () => idOf(shop));
  assert.equal(await tell(without, time, port, 1), 'failed');
  const toOther = new KeepSender(time, () => idOf(web));
  toOther.setKeys(keysOf(root));
  assert.equal(await tell(toOther, time, port, 2), 'failed');
  const elsewhere = new KeepSender(time, () => idOf(shop));
  elsewhere.setKeys(keysOf(makeRoot()));
  assert.equal(await tell(elsewhere, time, port, 3), 'failed');
  assert.deepEqual(telemetry.asked, []);
  assert.equal(telemetry.metrics.connectionGauge('inbound').downstreamTotal, 0);
  await Promise.all([without, toOther, elsewhere].map((each) => each.close()));
});

test('a sidecar that sends odd certificates behind its own is told like any other, and ends nobody', async (t) => {
  const { port } = await startShop(t, makeDecoy(root));
  const time = new ManualTime();
  const sender = new KeepSender(time, () => idOf(shop));
  t.after(() => sender.close());
  sender.setKeys(keysOf(root));
  assert.equal(await tell(sender, time, port, 1), 'sent');
});
