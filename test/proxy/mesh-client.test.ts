/**
 * The dialling half of the mesh's mutual TLS, against an upstream that is node:tls alone.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import type { UpstreamTls } from '../../src/model/security.ts';
import { RecordFlag, tlsVersionWords } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { hostileLeaves } from '../support/hostile-leaves.ts';
import { ManualTime } from '../support/manual-time.ts';
import { idOf, makeIdentity, makeLeaf, makeMaterial, makeRoot } from '../support/mesh-material.ts';
import { getOf, type ProxyFixture, postOf, startProxy } from '../support/proxy-fixture.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import { SecureOrigin, sidecarTls } from '../support/secure-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const root = makeRoot();
const web = { serviceAccount: 'web' };
const shop = { serviceAccount: 'shop' };

interface MeshFixture extends ProxyFixture {
  readonly origin: SecureOrigin;
  readonly mesh: MeshIdentity;
}

interface Terms {
  readonly mesh?: MeshIdentity;
  readonly server?: TlsOptions;
  readonly script?: OriginScript;
  readonly tls?: UpstreamTls;
  /** That the table expects; the shop's. */
  readonly identity?: string;
}

async function startMesh(t: TestContext, terms: Terms = {}): Promise<MeshFixture> {
  const server = terms.server ?? sidecarTls(root, makeLeaf(root, shop));
  const origin = await SecureOrigin.start(server, terms.script ?? answering(() => okWith('hello')));
  t.after(() => origin.close());
  const mesh = terms.mesh ?? makeIdentity(root, web);
  const identity = terms.identity ?? idOf(shop);
  const table = tableOf([listenerOf([ruleOf()])], [meshCluster(origin.port, identity, terms.tls)]);
  const fixture = await startProxy(t, { table, mesh });
  return { ...fixture, origin, mesh };
}

function meshCluster(port: number, identity: string, tls: UpstreamTls = { mode: 'auto' }) {
  const endpoint = { address: '127.0.0.1', port, labels: {}, zone: '', identity };
  return clusterOf([], { endpoints: [endpoint], tls });
}

/** Cause and body of the answer to one request. */
async function ask({ connect }: MeshFixture) {
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const { status, head, body } = await downstream.response();
  const cause = /^x-tracecar-cause: (.*)$/im.exec(head)?.[1] ?? '';
  return { status, cause, body, downstream };
}

test('an endpoint with an identity is spoken to in TLS 1.3, with both certificates', async (t) => {
  const fixture = await startMesh(t);
  const { status, body } = await ask(fixture);
  assert.equal(status, 200);
  assert.equal(body, 'hello');
  const [secure] = fixture.origin.secured;
  assert.equal(secure!.getProtocol(), 'TLSv1.3');
  assert.equal(secure!.alpnProtocol, 'tracecar/1');
  assert.equal(secure!.getPeerCertificate().subjectaltname, `URI:${idOf(web)}`);
  assert.equal(secure!.servername, false);
});

test('a peer with another identity gets nothing of the request, and the cause names both', async (t) => {
  const fixture = await startMesh(t, { server: sidecarTls(root, makeLeaf(root, web)) });
  const { status, cause, body } = await ask(fixture);
  assert.equal(status, 502);
  assert.equal(cause, 'tls-wrong-identity');
  assert.match(body, new RegExp(`expected ${idOf(shop)}, and ${idOf(web)} answered`));
  assert.equal(fixture.origin.connections.map(({ received }) => received).join(''), '');
  const { records } = fixture.telemetry;
  assert.ok(records.length > 0);
  for (const { extra } of records) {
    const { expected, proved, detail } = readExtra(extra);
    assert.deepEqual([expected, proved], [idOf(shop), idOf(web)]);
    assert.match(detail, /^expected spiffe:.* answered, 127\.0\.0\.1:\d+$/);
  }
});

const stranger = makeRoot();

interface Refusal {
  readonly name: string;
  readonly terms: Terms;
  readonly cause: string;
  readonly text: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    name: 'an expired certificate',
    terms: { server: sidecarTls(root, makeLeaf(root, { ...shop, lifeMs: -1_000 })) },
    cause: 'tls-expired',
    text: /CERT_HAS_EXPIRED, URI:spiffe:.*shop.* valid until/,
  },
  {
    name: 'a certificate that is not valid yet',
    terms: { server: sidecarTls(root, makeLeaf(root, { ...shop, backdateMs: -120_000 })) },
    cause: 'tls-expired',
    text: /CERT_NOT_YET_VALID/,
  },
  {
    name: 'a certificate of another root',
    terms: { server: { ...sidecarTls(stranger, makeLeaf(stranger, shop)), ca: root.roots } },
    cause: 'tls-unknown-ca',
    text: /issued by CN=Tracecar test root/,
  },
  {
    name: 'a workload of another trust domain',
    terms: { server: sidecarTls(root, makeLeaf(root, { ...shop, trustDomain: 'other.test' })) },
    cause: 'tls-wrong-identity',
    text: /spiffe:..other.test.ns.default.sa.shop answered/,
  },
  {
    name: 'a server of TLS that is no sidecar',
    terms: { server: { ...sidecarTls(root, makeLeaf(root, shop)), ALPNProtocols: ['http/1.1'] } },
    cause: 'tls-failed',
    text: /NO_APPLICATION_PROTOCOL/,
  },
  {
    name: 'a server of TLS 1.2',
    terms: {
      server: {
        ...sidecarTls(root, makeLeaf(root, shop)),
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.2',
      },
    },
    cause: 'tls-failed',
    text: /PROTOCOL_VERSION/,
  },
  {
    name: 'an own certificate that has ended',
    terms: { mesh: makeIdentity(root, { ...web, lifeMs: -1_000 }) },
    cause: 'tls-expired',
    text: /our certificate ended at/,
  },
  {
    name: 'no own certificate yet',
    terms: { mesh: new MeshIdentity() },
    cause: 'tls-failed',
    text: /no certificate yet/,
  },
  {
    name: 'ISTIO_MUTUAL to an endpoint without an identity',
    terms: { tls: { mode: 'mesh' }, identity: '' },
    cause: 'tls-failed',
    text: /the endpoint has no identity/,
  },
];

test('what is wrong with a handshake is logged once, however often it is tried', async (t) => {
  const fixture = await startMesh(t, { server: sidecarTls(root, makeLeaf(root, web)) });
  await ask(fixture);
  await ask(fixture);
  assert.equal(fixture.log.length, 1);
  assert.match(fixture.log[0]!, /^warn outbound: 127.0.0.1:\d+: tls-wrong-identity: expected/);
  const { meshHandshakes, meshHandshakesFailed } =
    fixture.telemetry.metrics.connectionGauge('outbound');
  assert.deepEqual([meshHandshakes, meshHandshakesFailed], [0, 2]);
});

for (const { name, make } of hostileLeaves) {
  test(`${name} is believed by nobody who dials`, async (t) => {
    const { certificates, privateKey } = make(root);
    const leaf = { ...makeLeaf(root, web), certificates, privateKey };
    // Whatever the server's own OpenSSL thinks of its key.
    const server = { ...sidecarTls(root, leaf), ciphers: 'DEFAULT:@SECLEVEL=0' };
    const fixture = await startMesh(t, { server, identity: idOf(web) });
    const { status, cause } = await ask(fixture);
    assert.equal(status, 502);
    assert.match(cause, /^tls-/);
    assert.equal(fixture.origin.connections.map(({ received }) => received).join(''), '');
  });
}

for (const { name, terms, cause, text } of refusals) {
  test(`${name}: ${cause}, and no byte of the request goes out`, async (t) => {
    const fixture = await startMesh(t, terms);
    const answer = await ask(fixture);
    assert.equal(answer.status, 502);
    assert.equal(answer.cause, cause);
    assert.match(answer.body, text);
    assert.equal(fixture.origin.connections.map(({ received }) => received).join(''), '');
  });
}

test('plaintext where TLS has to begin: closed, and nothing of it reaches the downstream', async (t) => {
  const plain = await RawOrigin.start(async (connection) => {
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad');
  });
  t.after(() => plain.close());
  const table = tableOf([listenerOf([ruleOf()])], [meshCluster(plain.port, idOf(shop))]);
  const fixture = await startProxy(t, { table, mesh: makeIdentity(root, web) });
  const downstream = await fixture.connect();
  await downstream.send(getOf('/'));
  const { status, head, body } = await downstream.response();
  assert.equal(status, 502);
  assert.match(head, /x-tracecar-cause: tls-plaintext-peer/);
  assert.doesNotMatch(body, /bad/);
  assert.doesNotMatch(plain.received, /GET/);
});

test('a peer that ends the connection in the handshake: tls-failed', async (t) => {
  const silent = await RawOrigin.start((connection) => connection.finish());
  t.after(() => silent.close());
  const table = tableOf([listenerOf([ruleOf()])], [meshCluster(silent.port, idOf(shop))]);
  const { connect } = await startProxy(t, { table, mesh: makeIdentity(root, web) });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.match((await downstream.response()).head, /x-tracecar-cause: tls-failed/);
});

test('a handshake that stands still is over after its limit', async (t) => {
  const time = new ManualTime();
  const silent = await RawOrigin.start();
  t.after(() => silent.close());
  const table = tableOf([listenerOf([ruleOf()])], [meshCluster(silent.port, idOf(shop))]);
  const mesh = makeIdentity(root, web);
  const { connect } = await startProxy(t, { table, mesh, time });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const upstream = await silent.connection(0);
  await upstream.until(() => upstream.received.length > 0, 'a ClientHello');
  await time.advanceUntil(downstream.untilReceived('x-tracecar-cause: tls-failed'));
  assert.match(downstream.received, /it took too long/);
});

test('the connect timeout of the cluster is for the handshake too', async (t) => {
  const time = new ManualTime();
  const silent = await RawOrigin.start();
  t.after(() => silent.close());
  const cluster = { ...meshCluster(silent.port, idOf(shop)), connectTimeoutMs: 300 };
  const table = tableOf([listenerOf([ruleOf()])], [cluster]);
  const { connect } = await startProxy(t, { table, mesh: makeIdentity(root, web), time });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const upstream = await silent.connection(0);
  await upstream.until(() => upstream.received.length > 0, 'a ClientHello');
  const begun = time.clock.now();
  await time.advanceUntil(downstream.untilReceived('x-tracecar-cause: connect-timeout'));
  assert.ok(time.clock.now() - begun <= 400);
});

test('a handshake that fails is tried at another endpoint, even for a POST', async (t) => {
  const wrong = await SecureOrigin.start(
    sidecarTls(root, makeLeaf(root, web)),
    answering(() => okWith('wrong')),
  );
  t.after(() => wrong.close());
  const right = await SecureOrigin.start(
    sidecarTls(root, makeLeaf(root, shop)),
    answering(() => okWith('right')),
  );
  t.after(() => right.close());
  const endpoints = [wrong.port, right.port].map((port) => ({
    address: '127.0.0.1',
    port,
    labels: {},
    zone: '',
    identity: idOf(shop),
  }));
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([], { endpoints })]);
  const { connect } = await startProxy(t, { table, mesh: makeIdentity(root, web) });
  for (let count = 0; count < 4; count++) {
    const downstream = await connect();
    await downstream.send(postOf('/', 'body'));
    assert.equal((await downstream.response()).body, 'right');
  }
  assert.ok(wrong.accepted > 0);
});

test('DISABLE, and a sidecar without an identity: the bytes as they are', async (t) => {
  const plain = await RawOrigin.start(answering(() => okWith('plain')));
  t.after(() => plain.close());
  for (const mesh of [makeIdentity(root, web), undefined]) {
    const tls: UpstreamTls = { mode: mesh === undefined ? 'auto' : 'disable' };
    const table = tableOf([listenerOf([ruleOf()])], [meshCluster(plain.port, idOf(shop), tls)]);
    const { connect } = await startProxy(t, { table, ...(mesh === undefined ? {} : { mesh }) });
    const downstream = await connect();
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).body, 'plain');
  }
});

test('a connection is lent again, until there is another generation of keys', async (t) => {
  const fixture = await startMesh(t);
  const downstream = await fixture.connect();
  const once = async () => {
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).status, 200);
  };
  await once();
  await once();
  assert.equal(fixture.origin.connections.length, 1);
  assert.equal(fixture.telemetry.metrics.connectionGauge('outbound').meshHandshakes, 1);
  fixture.mesh.replace(makeMaterial(root, web));
  await once();
  assert.equal(fixture.origin.connections.length, 2);
  assert.equal(await fixture.origin.connections[0]!.ended(), 'fin');
});

test('a request under way outlives the keys that its connection was made with', async (t) => {
  const fixture = await startMesh(t, {
    script: async (connection, index) => {
      await connection.untilReceived('\r\n\r\n');
      if (index === 0) fixture.mesh.replace(makeMaterial(root, web));
      await connection.send(okWith('old keys'));
    },
  });
  const { status, body, downstream } = await ask(fixture);
  assert.equal(status, 200);
  assert.equal(body, 'old keys');
  await downstream.send(getOf('/'));
  await downstream.response();
  assert.equal(fixture.origin.connections.length, 2);
  assert.equal(await fixture.origin.connections[0]!.ended(), 'fin');
});

test('a peer that refuses our certificate without an alert: the answer says so', async (t) => {
  const server = { ...sidecarTls(root, makeLeaf(root, shop)), ca: stranger.roots };
  const { status, cause, body } = await ask(await startMesh(t, { server }));
  assert.equal(status, 502);
  assert.equal(cause, 'upstream-reset');
  assert.match(body, /our certificate refused\?/);
});

test('the record says who was called, by what TLS, and how long the handshake took', async (t) => {
  const fixture = await startMesh(t);
  const { downstream } = await ask(fixture);
  await downstream.send(getOf('/'));
  await downstream.response();
  const [first, second] = fixture.telemetry.records;
  const { names } = fixture.telemetry;
  for (const record of [first!, second!]) {
    assert.equal(record.principalId, names.idOf(idOf(shop)));
    assert.equal(tlsVersionWords[record.tlsVersion], '1.3');
    assert.ok((record.flags & RecordFlag.Tls) !== 0);
  }
  assert.ok(first!.tlsUs > 0);
  assert.ok(first!.connectUs >= 0);
  assert.equal(second!.tlsUs, -1);
});

test('a connection is not lent again once the certificate of its peer has ended', async (t) => {
  const time = new ManualTime();
  time.clock.advance(Date.now() - time.clock.epochMs);
  const server = sidecarTls(root, makeLeaf(root, { ...shop, lifeMs: 60_000 }));
  const origin = await SecureOrigin.start(
    server,
    answering(() => okWith('hello')),
  );
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [meshCluster(origin.port, idOf(shop))]);
  const { connect } = await startProxy(t, { table, mesh: makeIdentity(root, web), time });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  // While it is idle for less than the pool allows.
  for (let past = 0; past < 61_000; past += 3_050) {
    await time.advance(3_050);
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  assert.equal(origin.connections.length, 1);
  assert.equal(await origin.connections[0]!.ended(), 'fin');
});

test('a session is resumed with the keys that it began with, and never with others', async (t) => {
  const fixture = await startMesh(t, {
    script: async (connection) => {
      await connection.untilReceived('\r\n\r\n');
      await connection.send(okWith('bye', 'Connection: close\r\n'));
      connection.finish();
    },
  });
  const { resumed } = fixture.origin;
  for (let count = 0; count < 3; count++) assert.equal((await ask(fixture)).status, 200);
  assert.deepEqual(resumed, [false, true, true]);
  fixture.mesh.replace(makeMaterial(root, web));
  assert.equal((await ask(fixture)).status, 200);
  assert.equal(resumed[3], false);
});

test('a session that is resumed proves the identity again, and its end', async (t) => {
  const time = new ManualTime();
  time.clock.advance(Date.now() - time.clock.epochMs);
  const lifeMs = 3_600_000;
  const server = sidecarTls(root, makeLeaf(root, { ...shop, lifeMs: lifeMs / 2 }));
  const script: OriginScript = async (connection) => {
    await connection.untilReceived('\r\n\r\n');
    await connection.send(okWith('bye', 'Connection: close\r\n'));
    connection.finish();
  };
  const origin = await SecureOrigin.start(server, script);
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [meshCluster(origin.port, idOf(shop))]);
  const mesh = makeIdentity(root, { ...web, lifeMs });
  const { connect } = await startProxy(t, { table, mesh, time });
  const first = await connect();
  await first.send(getOf('/'));
  assert.equal((await first.response()).status, 200);
  await time.advance(lifeMs / 2 + 1);
  const second = await connect();
  await second.send(getOf('/'));
  const { head, body } = await second.response();
  assert.match(head, /x-tracecar-cause: tls-expired/);
  assert.match(body, /the certificate of the endpoint ended at/);
});

test('ISTIO_MUTUAL without an own identity goes out on no plain connection that is there', async (t) => {
  const plain = await RawOrigin.start(answering(() => okWith('plain')));
  t.after(() => plain.close());
  const auto = meshCluster(plain.port, idOf(shop));
  const listeners = [listenerOf([ruleOf()])];
  const { connect, proxy } = await startProxy(t, { table: tableOf(listeners, [auto]) });
  const before = await connect();
  await before.send(getOf('/'));
  assert.equal((await before.response()).body, 'plain');
  await proxy.apply(tableOf(listeners, [{ ...auto, tls: { mode: 'mesh' } }], 2));
  await before.send(getOf('/secret'));
  const { status, head } = await before.response();
  assert.equal(status, 502);
  assert.match(head, /x-tracecar-cause: tls-failed/);
  assert.doesNotMatch(plain.received, /secret/);
});
