/**
 * Inbound mutual TLS of the mesh: what a workload's ports take, by mode, and who its callers are.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import { failure } from '../../src/model/failure.ts';
import type { PeerMode } from '../../src/model/security.ts';
import { detectedWords } from '../../src/telemetry/record/detection.ts';
import { RecordFlag, tlsVersionWords } from '../../src/telemetry/record/exchange-record.ts';
import type { MemoryTelemetry } from '../support/memory-telemetry.ts';
import {
  cart,
  cartId,
  type InboundFixture,
  type InboundOptions,
  root,
  startBound,
  startCaptured,
  webId,
} from '../support/mesh-caller.ts';
import { makeIdentity, makeLeaf, makeMaterial } from '../support/mesh-material.ts';
import { getOf, postOf } from '../support/proxy-fixture.ts';
import { RawConnection } from '../support/raw-connection.ts';
import { answering, okWith } from '../support/raw-origin.ts';

type Start = (t: TestContext, options?: InboundOptions) => Promise<InboundFixture>;

const kinds: readonly (readonly [string, Start])[] = [
  ['an ingress listener', startBound],
  ['a captured port', startCaptured],
];

/** Names of who called, by record. */
function callers({ names, records }: MemoryTelemetry): (string | undefined)[] {
  return records.map(({ principalId }) => names.names()[principalId - 1]);
}

for (const [kind, start] of kinds) {
  for (const mode of ['permissive', 'strict'] as const) {
    test(`${kind} in ${mode} ends mutual TLS of the mesh, and knows who calls`, async (t) => {
      const proxy = await start(t, { mode });
      const { secure, downstream } = await proxy.speakMesh();
      assert.equal(secure.alpnProtocol, 'tracecar/1');
      assert.equal(secure.getProtocol(), 'TLSv1.3');
      for (const path of ['/a', '/b']) {
        await downstream.send(getOf(path));
        assert.equal((await downstream.response()).body, 'application');
      }
      assert.equal(proxy.origin.connections.length, 1);
      assert.deepEqual(callers(proxy.telemetry), [cartId, cartId]);
      const [first, second] = proxy.telemetry.records;
      assert.equal(tlsVersionWords[first!.tlsVersion], '1.3');
      assert.ok((first!.flags & RecordFlag.Tls) !== 0);
      assert.ok(first!.tlsUs > 0);
      assert.equal(second!.tlsUs, -1, 'the handshake is told of once');
    });
  }

  for (const mode of ['permissive', 'disable'] as const) {
    test(`${kind} in ${mode} takes plain HTTP, and says nothing of who calls`, async (t) => {
      const proxy = await start(t, { mode });
      const downstream = await proxy.call();
      await downstream.send(getOf('/a'));
      assert.equal((await downstream.response()).body, 'application');
      assert.deepEqual(callers(proxy.telemetry), [undefined]);
      const [caller] = proxy.proxy.plaintextCallers().callers;
      assert.deepEqual(
        [caller?.address, caller?.connections],
        ['127.0.0.1', 1],
        'STRICT breaks it',
      );
    });
  }

  test(`${kind} in strict answers plain HTTP with 403 and the cause, and asks nobody`, async (t) => {
    const proxy = await start(t, { mode: 'strict' });
    const downstream = await proxy.call();
    await downstream.send(getOf('/a') + getOf('/b'));
    const answer = await downstream.response();
    assert.equal(answer.status, 403);
    assert.match(answer.head, /x-tracecar-cause: no-identity/);
    assert.match(answer.head, /connection: close/i);
    assert.match(answer.body, /127\.0\.0\.1 came without mutual TLS/);
    assert.equal(await downstream.ended(), 'fin');
    assert.equal(downstream.rest, '', 'the second request has no answer');
    assert.equal(proxy.origin.connections.length, 0);
  });

  test(`${kind} in strict closes what is neither HTTP nor the mesh's TLS, unheard`, async (t) => {
    const proxy = await start(t, { mode: 'strict' });
    const downstream = await proxy.call();
    await downstream.send(Buffer.from([1, 2, 3, 4]));
    await downstream.ended();
    assert.equal(proxy.origin.connections.length, 0);
  });

  test(`a body that is sent with mutual TLS arrives whole: ${kind}`, async (t) => {
    const script = answering(() => okWith('x'.repeat(300_000)));
    const proxy = await start(t, { script });
    const { downstream } = await proxy.speakMesh();
    const body = 'y'.repeat(300_000);
    await downstream.send(postOf('/a', body));
    const answer = await downstream.response();
    assert.equal(answer.body.length, 300_000);
    assert.ok(proxy.origin.received.endsWith(body));
  });
}

test('silence on a strict captured port is borne for as long as a head, then closed', async (t) => {
  const proxy = await startCaptured(t, { mode: 'strict', limits: { headTimeoutMs: 50 } });
  const downstream = await proxy.call();
  await downstream.ended();
  assert.equal(proxy.origin.connections.length, 0);
});

test('a ClientHello of the mesh that comes late is one all the same', async (t) => {
  const proxy = await startCaptured(t, { limits: { meshHelloMs: 5 } });
  const late = await proxy.call();
  // Its time is over: the application has been dialled, in case that it speaks first.
  await proxy.origin.connection(0);
  const { downstream } = await proxy.speakMesh({}, cart, late);
  await downstream.send(getOf('/a'));
  assert.equal((await downstream.response()).body, 'application');
  assert.deepEqual(callers(proxy.telemetry), [cartId]);
  assert.deepEqual(proxy.proxy.plaintextCallers().callers, []);
});

test("the application's own ClientHello that comes late goes on as it is", async (t) => {
  const script = () => Promise.resolve();
  const proxy = await startCaptured(t, { limits: { meshHelloMs: 5 }, script });
  const late = await proxy.call();
  await proxy.origin.connection(0);
  const own = connectTls({ socket: late.socket, ALPNProtocols: ['http/1.1'] });
  own.on('error', () => {});
  t.after(() => own.destroy());
  // What was dialled for a server that speaks first is spare.
  const application = await proxy.origin.connection(1);
  await application.until(() => application.received !== '', 'a ClientHello');
  assert.equal(application.received.charCodeAt(0), 22);
  assert.equal(proxy.proxy.plaintextCallers().callers[0]?.connections, 1);
});

test('a port has a mode of its own', async (t) => {
  const proxy = await startCaptured(t, { mode: 'strict' });
  const { port } = proxy.origin;
  const ports = [{ port, mode: 'permissive', origin: 'here' } as const];
  await proxy.proxy.apply({
    ...proxy.table,
    security: { ...proxy.table.security, mode: 'strict', ports },
  });
  const downstream = await proxy.call();
  await downstream.send(getOf('/a'));
  assert.equal((await downstream.response()).body, 'application');
});

test('a kept plain connection is refused from the moment that its port is strict', async (t) => {
  const proxy = await startCaptured(t);
  const downstream = await proxy.call();
  await downstream.send(getOf('/a'));
  assert.equal((await downstream.response()).status, 200);
  await proxy.proxy.apply({
    ...proxy.table,
    security: { ...proxy.table.security, mode: 'strict' },
  });
  await downstream.send(getOf('/b'));
  assert.equal((await downstream.response()).status, 403);
  assert.ok(!proxy.origin.received.includes('/b'));
});

test('what is relayed unread and came without mutual TLS is cut when its port gets strict', async (t) => {
  const proxy = await startCaptured(t, { script: echo });
  const plain = await proxy.call();
  const { downstream } = await proxy.speakMesh();
  for (const each of [plain, downstream]) {
    await each.send(Buffer.from([0]));
    await each.until(() => each.received.length === 1, 'the echo');
  }
  await proxy.proxy.apply({
    ...proxy.table,
    security: { ...proxy.table.security, mode: 'strict' },
  });
  assert.equal(await plain.ended(), 'reset');
  await downstream.send(Buffer.from([0]));
  await downstream.until(() => downstream.received.length === 2, 'the echo');
});

const upgrade = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';
const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';

for (const [kind, start] of kinds) {
  test(`a switch of protocols works through mutual TLS, and is cut for strict without: ${kind}`, async (t) => {
    const script = async (connection: RawConnection) => {
      await connection.untilReceived('\r\n\r\n');
      await connection.send(switched);
      connection.socket.on('data', (chunk) => connection.socket.write(chunk));
    };
    const proxy = await start(t, { script });
    const plain = await proxy.call();
    const { downstream } = await proxy.speakMesh();
    for (const each of [plain, downstream]) {
      await each.send(upgrade);
      await each.untilReceived('101 Switching');
      await each.send('ping');
      await each.untilReceived('ping');
    }
    const security = { ...proxy.table.security, mode: 'strict' as const };
    await proxy.proxy.apply({ ...proxy.table, security });
    assert.equal(await plain.ended(), 'reset');
    await downstream.send('pong');
    await downstream.untilReceived('pong');
  });
}

const echo = async (connection: RawConnection): Promise<void> => {
  connection.socket.on('data', (chunk) => connection.socket.write(chunk));
  connection.socket.on('end', () => connection.socket.end());
};

test('bytes that are no HTTP pass through mutual TLS unread, with FIN both ways', async (t) => {
  const proxy = await startCaptured(t, { mode: 'strict', script: echo });
  const { downstream } = await proxy.speakMesh();
  await downstream.send(Buffer.from([0, 1, 2, 3]));
  await downstream.until(() => downstream.received.length === 4, 'the echo');
  downstream.finish();
  assert.equal(await downstream.ended(), 'fin');
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.deepEqual(callers(proxy.telemetry), [cartId]);
  assert.equal(detectedWords[record!.method], 'other');
  assert.equal(tlsVersionWords[record!.tlsVersion], '1.3');
});

test('an application that goes away is gone for callers by mutual TLS too', async (t) => {
  const proxy = await startCaptured(t, { script: echo });
  const { secure, downstream } = await proxy.speakMesh();
  await downstream.send(Buffer.from([0]));
  await downstream.until(() => downstream.received.length === 1, 'the echo');
  proxy.origin.connections[0]!.socket.destroy();
  await downstream.ended();
  secure.end();
  await downstream.closed();
});

for (const mode of ['permissive', 'strict'] as const) {
  test(`a server that speaks first is heard through mutual TLS in ${mode}`, async (t) => {
    const script = (connection: RawConnection) => connection.send('220 hello\r\n');
    const proxy = await startCaptured(t, { mode, script });
    const { downstream } = await proxy.speakMesh();
    await downstream.untilReceived('220 hello');
    await downstream.send('EHLO a\r\n');
    const [application] = proxy.origin.connections;
    await application!.untilReceived('EHLO a');
  });
}

test('a server that speaks first is heard by whoever waits without mutual TLS', async (t) => {
  const script = (connection: RawConnection) => connection.send('220 hello\r\n');
  const proxy = await startCaptured(t, { script });
  const downstream = await proxy.call();
  await downstream.untilReceived('220 hello');
});

test("a server's first words wait for a ClientHello that comes a little later", async (t) => {
  const script = (connection: RawConnection) => connection.send('220 hello\r\n');
  const proxy = await startCaptured(t, { script, limits: { meshHelloMs: 20_000 } });
  const downstream = await proxy.call();
  // The application would have spoken by now, had it been dialled.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(downstream.received, '');
  const secure = connectTls({
    socket: downstream.socket,
    cert: cart.certificates,
    key: cart.privateKey,
    ca: root.roots,
    ALPNProtocols: ['tracecar/1'],
    checkServerIdentity: () => undefined,
  });
  t.after(() => secure.destroy());
  const inside = new RawConnection(secure);
  await inside.untilReceived('220 hello');
});

async function startHttps(t: TestContext, mode: PeerMode) {
  const leaf = makeLeaf(root, { serviceAccount: 'https' });
  const application = createTlsServer(
    { cert: leaf.certificates, key: leaf.privateKey, ALPNProtocols: ['http/1.1'] },
    (socket) => socket.on('data', () => socket.write(okWith('https application'))),
  );
  application.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  // Its connections end with the proxy.
  t.after(() => void application.close());
  const address = application.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const proxy = await startCaptured(t, { mode });
  const { socket } = await proxy.inbound(port);
  const secure = connectTls({ socket, ca: root.roots, checkServerIdentity: () => undefined });
  t.after(() => secure.destroy());
  const ended = new Promise<void>((resolve) => {
    secure.once('error', () => undefined);
    secure.once('close', () => resolve());
  });
  return { proxy, secure, ended };
}

for (const mode of ['permissive', 'disable'] as const) {
  test(`an HTTPS application ends its own TLS in ${mode}`, async (t) => {
    const { secure } = await startHttps(t, mode);
    await new Promise((resolve) => secure.once('secureConnect', resolve));
    const downstream = new RawConnection(secure);
    await downstream.send(getOf('/a'));
    assert.equal((await downstream.response()).body, 'https application');
  });
}

test("an application's own TLS is no identity: strict closes it, with the cause", async (t) => {
  const { proxy, ended } = await startHttps(t, 'strict');
  await ended;
  const { telemetry } = proxy;
  await telemetry.recorded(1);
  assert.equal(detectedWords[telemetry.records[0]!.method], 'tls');
  assert.equal(telemetry.records[0]!.causeCode, failure['no-identity'].code);
});

test('what a caller says of its certificate is taken out, and what is true put in', async (t) => {
  const proxy = await startBound(t);
  const { downstream } = await proxy.speakMesh();
  const forged = 'X-Forwarded-Client-Cert: URI=spiffe://evil\r\n';
  await downstream.send(getOf('/a', forged + forged.toLowerCase()));
  await downstream.response();
  const hash = '[0-9a-f]{64}';
  const said = proxy.origin.received.match(/^x-forwarded-client-cert:.*$/gim);
  assert.equal(said?.length, 1);
  const expected = `^x-forwarded-client-cert: By=${webId};Hash=${hash};Subject="";URI=${cartId}\\r?$`;
  assert.match(said[0]!, new RegExp(expected));
});

test('an application that no rule is about hears who called, and no forged word', async (t) => {
  const proxy = await startCaptured(t);
  const { downstream } = await proxy.speakMesh();
  await downstream.send(getOf('/a', 'X-Forwarded-Client-Cert: URI=spiffe://evil\r\n'));
  await downstream.response();
  const said = proxy.origin.received.match(/^x-forwarded-client-cert:.*$/gim);
  assert.equal(said?.length, 1);
  assert.match(said[0]!, new RegExp(`^x-forwarded-client-cert: By=${webId};.*;URI=${cartId}\\r?$`));
});

for (const [kind, start] of kinds) {
  test(`of a plain caller nothing is said, whatever it says itself: ${kind}`, async (t) => {
    const proxy = await start(t);
    const downstream = await proxy.call();
    await downstream.send(getOf('/a', 'X-Forwarded-Client-Cert: URI=spiffe://evil\r\n'));
    await downstream.response();
    assert.ok(!/x-forwarded-client-cert/i.test(proxy.origin.received));
  });
}

test('plaintext callers are remembered, and so is that some of them speak the mesh', async (t) => {
  const proxy = await startCaptured(t);
  const { port } = proxy.origin;
  for (let count = 0; count < 2; count++) {
    const downstream = await proxy.call();
    await downstream.send(getOf('/a'));
    await downstream.response();
  }
  const [caller, ...others] = proxy.proxy.plaintextCallers().callers;
  assert.equal(others.length, 0);
  assert.equal(caller!.address, '127.0.0.1');
  assert.equal(caller!.port, port);
  assert.equal(caller!.connections, 2);
  assert.ok(Math.abs(caller!.lastMs - Date.now()) < 60_000);
  assert.equal(caller!.isAlsoMeshed, false);
  const { downstream } = await proxy.speakMesh();
  await downstream.send(getOf('/a'));
  await downstream.response();
  assert.equal(proxy.proxy.plaintextCallers().callers[0]!.isAlsoMeshed, true);
  assert.equal(proxy.proxy.plaintextCallers().callers[0]!.connections, 2);
});

test('a workload that has no certificate yet closes what the mesh says, and takes the rest', async (t) => {
  const mesh = new MeshIdentity();
  const proxy = await startBound(t, { mesh });
  await assert.rejects(proxy.speakMesh());
  const downstream = await proxy.call();
  await downstream.send(getOf('/a'));
  assert.equal((await downstream.response()).status, 200);
  mesh.replace(makeMaterial(root, { serviceAccount: 'web' }));
  await proxy.speakMesh();
});

test('connections live on when there is another certificate; new ones get it', async (t) => {
  const mesh = makeIdentity(root, { serviceAccount: 'web' });
  const proxy = await startBound(t, { mesh });
  const old = await proxy.speakMesh();
  const before = old.secure.getPeerX509Certificate()!.fingerprint256;
  mesh.replace(makeMaterial(root, { serviceAccount: 'web' }));
  const young = await proxy.speakMesh();
  assert.notEqual(young.secure.getPeerX509Certificate()!.fingerprint256, before);
  for (const { downstream } of [old, young]) {
    await downstream.send(getOf('/a'));
    assert.equal((await downstream.response()).body, 'application');
  }
});
