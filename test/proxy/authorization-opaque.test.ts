/**
 * Who may call, of connections that are relayed unread: a denied one is closed and the application is not
 * even dialled; one whose protocol is not known yet is dialled only if it could go on unread.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { usualSecurity } from '../../src/model/security.ts';
import { PolicyBit } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { callMesh } from '../support/call-mesh.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { extension, helloMessage, inRecords, serverName } from '../support/client-hello.ts';
import { idOf, makeIdentity, makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { planOf, policyText } from '../support/policies.ts';
import { getOf } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';

const root = makeRoot();
const webLeaf = makeLeaf(root, { namespace: 'shop', serviceAccount: 'web' });
const tellerLeaf = makeLeaf(root, { namespace: 'bank', serviceAccount: 'teller' });

async function echo(connection: RawConnection): Promise<void> {
  connection.socket.on('data', (chunk: Buffer) => connection.socket.write(chunk));
  connection.socket.on('end', () => connection.socket.end());
}

async function start(t: TestContext, script: OriginScript, ...texts: readonly string[]) {
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  const mesh = makeIdentity(root, { namespace: 'shop', serviceAccount: 'reviews' });
  const limits = { detectSilenceMs: 20, detectLineMs: 20, meshHelloMs: 20, meshHelloAgainMs: 20 };
  const security = { ...usualSecurity, authorization: planOf(...texts) };
  const proxy = await startCapture(t, { mesh, security, limits });
  return { ...proxy, origin, call: () => proxy.inbound(origin.port) };
}

const webOnly = policyText('web-only', '{rules: [{from: [{source: {namespaces: [shop]}}]}]}');
const bytes = Buffer.from([0, 1, 2, 250]);

test('bytes of a caller that is let in by its identity pass, those of another do not', async (t) => {
  const proxy = await start(t, echo, webOnly);
  const web = await callMesh(t, await proxy.call(), root, webLeaf);
  await web.send(bytes);
  await web.until(() => web.received.length === bytes.length, 'the echo');
  const teller = await callMesh(t, await proxy.call(), root, tellerLeaf);
  await teller.send(bytes);
  await teller.ended();
  const plain = await proxy.call();
  await plain.send(bytes);
  assert.equal(await plain.closed(), 'reset');
  assert.equal(
    proxy.origin.connections.length,
    1,
    'for the others the application was not dialled',
  );
  await proxy.telemetry.recorded(2);
  for (const record of proxy.telemetry.records.slice(0, 2)) {
    assert.equal(record.causeCode, failure.denied.code);
    assert.equal(record.policyBits, PolicyBit.Denied | PolicyBit.NoneAllows);
    assert.match(
      readExtra(record.extra).detail,
      /^no rule of shop\/web-only lets .* in: a connection to port \d+$/,
    );
  }
  assert.equal(proxy.telemetry.metrics.policies.of('shop/web-only').denied, 2);
  const { opaqueTotal, opaquePeers } = proxy.telemetry.metrics.connectionGauge('inbound');
  assert.equal(opaqueTotal, 2);
  const counts = [...opaquePeers].map(([id, each]) => [id, each.opaqueTotal]);
  assert.deepEqual(counts, [
    [proxy.telemetry.names.idOf(idOf({ namespace: 'bank', serviceAccount: 'teller' })), 1],
  ]);
  assert.match(
    proxy.log.join('\n'),
    /^warn inbound denied: no rule of shop\/web-only lets spiffe:.*teller in/m,
  );
});

test('a caller who says nothing is closed too, and the application is not dialled for it', async (t) => {
  const proxy = await start(t, echo, policyText('nobody', '{}'));
  const silent = await proxy.call();
  assert.equal(await silent.closed(), 'reset');
  assert.equal(proxy.origin.connections.length, 0);
});

test('a rule about requests lets HTTP in and nothing that is not', async (t) => {
  const gets = policyText('gets', '{rules: [{to: [{operation: {methods: [GET]}}]}]}');
  const proxy = await start(
    t,
    answering(() => okWith('application')),
    gets,
  );
  const http = await proxy.call();
  await http.send(getOf('/a'));
  assert.equal((await http.response()).body, 'application');
  const opaque = await proxy.call();
  await opaque.send(bytes);
  assert.equal(await opaque.closed(), 'reset');
  const http2 = await proxy.call();
  await http2.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  assert.equal(
    await http2.closed(),
    'reset',
    'HTTP/2 is relayed unread, so nobody reads its methods',
  );
  assert.equal(proxy.origin.connections.length, 1);
  assert.equal(proxy.telemetry.metrics.policies.of('shop/gets').denied, 2);
});

test('a DENY rule about requests keeps out what is not HTTP, but for ports that it is not about', async (t) => {
  const rule = (port: number) =>
    policyText(
      'no-put',
      `{action: DENY, rules: [{to: [{operation: {methods: [PUT], ports: ["${port}"]}}]}]}`,
    );
  const other = await start(t, echo, rule(1));
  const passing = await other.call();
  await passing.send(bytes);
  await passing.until(() => passing.received.length === bytes.length, 'the echo');
  const own = await start(t, echo);
  const authorization = planOf(rule(own.origin.port));
  await own.proxy.apply({
    ...own.table,
    generation: 2,
    security: { ...usualSecurity, authorization },
  });
  const denied = await own.call();
  await denied.send(bytes);
  assert.equal(await denied.closed(), 'reset');
  assert.equal(own.origin.connections.length, 0);
});

test("the name in an application's own ClientHello is judged, early or late", async (t) => {
  const shopOnly = policyText(
    'shop-only',
    '{rules: [{when: [{key: connection.sni, values: ["*.shop.example"]}]}]}',
  );
  const proxy = await start(t, echo, shopOnly);
  const good = await proxy.call();
  const hello = inRecords(helloMessage(serverName('www.shop.example')));
  await good.send(hello.subarray(0, 30));
  await good.send(hello.subarray(30));
  await good.until(() => good.received.length === hello.length, 'the echo');
  for (const said of [inRecords(helloMessage(serverName('bank.example'))), bytes]) {
    const bad = await proxy.call();
    await bad.send(said);
    assert.equal(await bad.closed(), 'reset');
  }
  assert.equal(proxy.origin.connections.length, 1);
});

for (const [what, hello] of [
  [
    'more extensions than are read',
    inRecords(helloMessage(serverName('bad.example'), ...many(70))),
  ],
  [
    'more bytes than are read',
    inRecords(helloMessage(serverName('bad.example'), extension(21, Buffer.alloc(17_000)))),
  ],
  [
    'more records than are read',
    inRecords(helloMessage(serverName('bad.example'), extension(21, Buffer.alloc(600))), 1),
  ],
] as const) {
  test(`a ClientHello of ${what} hides its name from no policy`, async (t) => {
    const noBad = policyText(
      'no-bad',
      '{action: DENY, rules: [{when: [{key: connection.sni, values: [bad.example]}]}]}',
    );
    const notBad = policyText(
      'not-bad',
      '{rules: [{when: [{key: connection.sni, notValues: [bad.example]}]}]}',
    );
    for (const policy of [noBad, notBad]) {
      const proxy = await start(t, echo, policy);
      const plain = await proxy.call();
      await plain.send(hello);
      assert.equal(await plain.closed(), 'reset');
      const web = await callMesh(t, await proxy.call(), root, webLeaf);
      await web.send(hello);
      await web.ended();
      assert.equal(proxy.origin.connections.length, 0);
      await proxy.telemetry.recorded(2);
      for (const { causeCode } of proxy.telemetry.records) {
        assert.equal(causeCode, failure.denied.code);
      }
    }
  });
}

function many(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => extension(0x7a00 + index, Buffer.alloc(0)));
}

test('a ClientHello that cannot be read passes where no policy is about names', async (t) => {
  const proxy = await start(
    t,
    echo,
    webOnly.replace('namespaces: [shop]', 'ipBlocks: ["::/0", 0.0.0.0/0]'),
  );
  const hello = inRecords(helloMessage(serverName('bad.example'), ...many(70)));
  const downstream = await proxy.call();
  await downstream.send(hello);
  await downstream.until(() => downstream.received.length === hello.length, 'the echo');
});

test('a dry run lets connections pass and counts them', async (t) => {
  const dryRun = policyText('try', '{}', 'istio.io/dry-run: "true"');
  const proxy = await start(t, echo, dryRun);
  const downstream = await proxy.call();
  await downstream.send(bytes);
  await downstream.until(() => downstream.received.length === bytes.length, 'the echo');
  downstream.finish();
  await downstream.closed();
  await proxy.telemetry.recorded(1);
  assert.equal(proxy.telemetry.records[0]!.policyBits, PolicyBit.WouldDeny);
  assert.equal(proxy.telemetry.metrics.policies.of('shop/try').wouldDeny, 1);
});

test('a server that speaks first is heard by those who may call', async (t) => {
  const proxy = await start(t, (connection) => connection.send('220 hello\r\n'), webOnly);
  const web = await callMesh(t, await proxy.call(), root, webLeaf);
  await web.untilReceived('220 hello');
  const plain = await proxy.call();
  assert.equal(await plain.closed(), 'reset');
  assert.equal(plain.received, '');
});
