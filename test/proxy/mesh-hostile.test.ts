/**
 * Hostile callers of an inbound port: what no workload may believe, and what no handshake may cost
 * (reference/reliability.md 3.2).
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { alpn, extension, helloMessage, inRecords, serverName } from '../support/client-hello.ts';
import { hostileLeaves } from '../support/hostile-leaves.ts';
import {
  callerOptions,
  cart,
  cartId,
  heardBy,
  type InboundFixture,
  root,
  startBound,
  startCaptured,
  withBriefLeaf,
} from '../support/mesh-caller.ts';
import { makeIdentity, makeMaterial } from '../support/mesh-material.ts';
import { getOf } from '../support/proxy-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';

const refusedInbound = hostileLeaves.filter(
  // Who else of the mesh calls is a matter of policies.
  ({ refusedBy, name }) => refusedBy !== 'id' || name.includes('trust domain'),
);

for (const { name, make } of refusedInbound) {
  test(`a caller whose certificate ${name} is not heard`, async (t) => {
    const proxy = await startBound(t, { mode: 'strict' });
    // A caller that wants to be refused has no scruples itself.
    const ciphers = 'TLS_AES_128_GCM_SHA256:ALL:@SECLEVEL=0';
    assert.equal(await heardBy(proxy, make(root), { ciphers }), '');
    assert.equal(proxy.origin.connections.length, 0);
    assert.equal(proxy.proxy.counts.failedHandshakes, 1);
    assert.match(proxy.log.join('\n'), /mutual TLS with 127\.0\.0\.1 failed: /);
    assert.match(await heardBy(proxy, cart), /^HTTP\/1\.1 200/);
  });
}

test('a caller without a certificate is not heard', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const bare = { cert: undefined, key: undefined } as unknown as ConnectionOptions;
  assert.equal(await heardBy(proxy, cart, bare), '');
  assert.equal(proxy.origin.connections.length, 0);
});

test('TLS 1.2 is not spoken, whatever its ClientHello offers', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const old = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
  await assert.rejects(proxy.speakMesh(old), /protocol version|EPROTO|ECONNRESET/i);
  assert.equal(proxy.proxy.counts.failedHandshakes, 1);
});

for (const name of ['web', 'WEB.', 'no.such.name', 'x'.repeat(63)]) {
  test(`the name that a ClientHello asks for decides nothing: ${name}`, async (t) => {
    const proxy = await startBound(t, { mode: 'strict' });
    const { downstream } = await proxy.speakMesh({ servername: name });
    await downstream.send(getOf('/a'));
    assert.equal((await downstream.response()).status, 200);
  });
}

test('the protocol of the mesh is found among others, and is the one that is spoken', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const offers = ['h2', 'http/1.1', 'tracecar/1'];
  const { secure } = await proxy.speakMesh({ ALPNProtocols: offers });
  assert.equal(secure.alpnProtocol, 'tracecar/1');
});

const sessionTicket = extension(35, Buffer.alloc(0));
const manyNames = Array.from({ length: 9_000 }, (_, index) => `p${index}`);

/** First bytes of whoever is not of the mesh though it begins like TLS. */
const strangers: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['a ClientHello without ALPN', inRecords(helloMessage(sessionTicket))],
  ['ALPN of HTTP', inRecords(helloMessage(alpn('h2', 'http/1.1')))],
  ['ALPN in capitals', inRecords(helloMessage(alpn('TRACECAR/1')))],
  ['ALPN of a later version', inRecords(helloMessage(alpn('tracecar/10', 'tracecar/2')))],
  ['ALPN of 9000 names', inRecords(helloMessage(alpn(...manyNames, 'tracecar/1')))],
  ['a record of 65535 bytes', Buffer.from([22, 3, 1, 0xff, 0xff, 1, 0, 0, 5])],
  ['an empty record', Buffer.from([22, 3, 1, 0, 0, 22, 3, 1, 0, 0])],
  ['a record that is no handshake', Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
  ['a record of SSL 2', Buffer.from([22, 2, 0, 0, 4, 1, 0, 0, 0])],
];

for (const [name, bytes] of strangers) {
  test(`${name} is the application's own affair: passed on as it came, or closed in strict`, async (t) => {
    const script = (connection: RawConnection) => connection.send('heard');
    const open = await startCaptured(t, { script, limits: { detectSilenceMs: 5 } });
    const downstream = await open.call();
    await downstream.send(bytes);
    await downstream.untilReceived('heard');
    const application = await open.origin.connection(0);
    await application.until(() => application.received.length === bytes.length, 'all bytes');
    assert.equal(application.received, bytes.toString('latin1'));

    const closed = await startCaptured(t, { mode: 'strict', limits: { detectSilenceMs: 5 } });
    const refused = await closed.call();
    await refused.send(bytes);
    await refused.ended();
    assert.equal(refused.received, '');
    assert.equal(closed.origin.connections.length, 0);
  });
}

const meshHello = inRecords(helloMessage(alpn('tracecar/1')));

/** A ClientHello of the mesh, or what begins like one, that no handshake can come of. */
const broken: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['without a key share', meshHello],
  [
    'with a name that has a NUL in it',
    inRecords(helloMessage(serverName('a\0b'), alpn('tracecar/1'))),
  ],
  ['twice', Buffer.concat([meshHello, meshHello])],
  ['and a thousand alerts', Buffer.concat([meshHello, warnings(1_000)])],
  ['and plain HTTP', Buffer.concat([meshHello, Buffer.from(getOf('/a'))])],
];

function warnings(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => Buffer.from([21, 3, 3, 0, 2, 1, 0])));
}

for (const [name, bytes] of broken) {
  test(`a ClientHello of the mesh ${name} ends its own connection and nothing else`, async (t) => {
    const proxy = await startCaptured(t);
    const downstream = await proxy.call();
    await downstream.send(bytes);
    await downstream.ended();
    assert.equal(proxy.origin.connections.length, 0);
    assert.equal(proxy.proxy.counts.failedHandshakes, 1);
    assert.match(await heardBy(proxy, cart), /^HTTP\/1\.1 200/);
  });
}

test('a ClientHello that comes byte by byte is understood', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const downstream = await proxy.call();
  for (const byte of meshHello) await downstream.send(Buffer.from([byte]));
  await downstream.ended();
  // Refused by OpenSSL, so it was taken for what it is.
  assert.match(proxy.log.join('\n'), /mutual TLS with 127\.0\.0\.1 failed: /);
});

test('FIN in the middle of a ClientHello is passed on with what came', async (t) => {
  const proxy = await startCaptured(t);
  const downstream = await proxy.call();
  const part = meshHello.subarray(0, 40);
  await downstream.send(part);
  downstream.finish();
  const application = await proxy.origin.connection(0);
  assert.equal(await application.ended(), 'fin');
  assert.equal(application.received, part.toString('latin1'));
});

test('FIN in the middle of a ClientHello ends the connection in strict', async (t) => {
  const proxy = await startCaptured(t, { mode: 'strict' });
  const downstream = await proxy.call();
  await downstream.send(meshHello.subarray(0, 40));
  downstream.finish();
  await downstream.ended();
  assert.equal(proxy.origin.connections.length, 0);
});

for (const mode of ['permissive', 'strict'] as const) {
  test(`RST in the middle of a ClientHello leaves nothing behind in ${mode}`, async (t) => {
    const proxy = await startCaptured(t, { mode });
    const downstream = await proxy.call();
    await downstream.send(meshHello.subarray(0, 40));
    downstream.reset();
    await untilNone(proxy);
  });
}

/** What the fixture checks at its end comes too soon for connections that nobody waited for. */
async function untilNone({ proxy }: InboundFixture): Promise<void> {
  while (proxy.snapshot().connections.deadlines > 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a handshake that stalls in its ClientHello is cut', async (t) => {
  const proxy = await startBound(t, { mode: 'strict', limits: { tlsHandshakeMs: 50 } });
  const downstream = await proxy.call();
  await downstream.send(meshHello.subarray(0, 40));
  await downstream.ended();
  assert.equal(proxy.origin.connections.length, 0);
});

/** Says what a sidecar says first, then nothing: its answers are thrown away. */
async function stall(t: TestContext, proxy: InboundFixture): Promise<RawConnection> {
  const hello = await firstFlight();
  const downstream = await proxy.call();
  t.after(() => downstream.socket.destroy());
  await downstream.send(hello);
  return downstream;
}

/** The bytes of a real ClientHello. */
function firstFlight(): Promise<Buffer> {
  return new Promise((resolve) => {
    const sink = new Duplex({
      read: () => undefined,
      write(chunk, _encoding, done) {
        resolve(chunk);
        done();
      },
    });
    connectTls({ socket: sink, ...callerOptions(cart) }).on('error', () => undefined);
  });
}

test('a handshake that stalls after its ClientHello is cut', async (t) => {
  const proxy = await startBound(t, { mode: 'strict', limits: { tlsHandshakeMs: 100 } });
  const downstream = await stall(t, proxy);
  await downstream.ended();
  assert.match(proxy.log.join('\n'), /mutual TLS with 127\.0\.0\.1 failed: it took too long/);
});

test('handshakes under way are bounded: others wait for their turn, and more than may wait are closed', async (t) => {
  const bounds = { meshHandshakesMax: 2, meshHandshakesWaitingMax: 1 };
  const limits = { ...bounds, tlsHandshakeMs: 20_000, meshHandshakePatienceMs: 20_000 };
  const proxy = await startBound(t, { mode: 'strict', limits });
  const stalled = [await stall(t, proxy), await stall(t, proxy)];
  for (const downstream of stalled) {
    await downstream.until(() => downstream.received.length > 0, 'the flight of the server');
  }
  const waiting = heardBy(proxy, cart);
  // Its ClientHello has come when the next one is too many.
  const { inbound } = countsOf(proxy);
  while (inbound.meshHandshakesRefused === 0) assert.equal(await heardBy(proxy, cart), '');
  stalled[0]!.reset();
  assert.match(await waiting, /^HTTP\/1\.1 200/);
});

for (const when of ['in its handshake', 'in the queue'] as const) {
  test(`a peer that hangs up ${when} is noticed at once`, async (t) => {
    const times = { tlsHandshakeMs: 60_000, meshHandshakePatienceMs: 60_000 };
    const limits = { meshHandshakesMax: 1, ...times };
    const proxy = await startBound(t, { mode: 'strict', limits });
    const first = await stall(t, proxy);
    await first.until(() => first.received.length > 0, 'the flight of the server');
    const gone = when === 'in its handshake' ? first : await stall(t, proxy);
    gone.socket.end();
    await gone.ended();
    assert.match(proxy.log.join('\n'), /mutual TLS with 127\.0\.0\.1 failed: the peer went away/);
  });
}

test('while others wait for a place, the one that has waited longest for its peer goes', async (t) => {
  const limits = { meshHandshakesMax: 2, tlsHandshakeMs: 60_000, meshHandshakePatienceMs: 20 };
  const proxy = await startBound(t, { mode: 'strict', limits });
  const stalled = [await stall(t, proxy), await stall(t, proxy)];
  for (const downstream of stalled) {
    await downstream.until(() => downstream.received.length > 0, 'the flight of the server');
  }
  assert.match(await heardBy(proxy, cart), /^HTTP\/1\.1 200/);
  await stalled[0]!.ended();
  assert.match(proxy.log.join('\n'), /failed: it took too long, and others wait/);
});

test('500 callers at once are all served, and so is somebody who is connected already', async (t) => {
  const bounds = { meshHandshakesMax: 32, meshHandshakesPerTurn: 2 };
  const limits = { ...bounds, tlsHandshakeMs: 60_000, meshHandshakePatienceMs: 60_000 };
  const proxy = await startBound(t, { limits });
  const { downstream } = await proxy.speakMesh();
  let isOver = false;
  const served = (async () => {
    for (let count = 0; ; count++) {
      await downstream.send(getOf('/steady'));
      assert.equal((await downstream.response()).status, 200);
      if (isOver) return count;
    }
  })();
  const storm = await Promise.all(Array.from({ length: 500 }, () => heardBy(proxy, cart)));
  isOver = true;
  assert.ok(storm.every((answer) => answer.startsWith('HTTP/1.1 200')));
  // As many turns of the loop as handshakes have begun two by two.
  assert.ok((await served) > 50);
  assert.equal(countsOf(proxy).inbound.meshHandshakes, 501);
});

function countsOf({ telemetry }: InboundFixture) {
  return { inbound: telemetry.metrics.connectionGauge('inbound') };
}

test('a session is resumed with the certificates that it began with, and not with others', async (t) => {
  const mesh = makeIdentity(root, { serviceAccount: 'web' });
  const proxy = await startBound(t, { mode: 'strict', mesh });
  const { secure, downstream } = await proxy.speakMesh();
  const ticket = new Promise<Buffer>((resolve) => secure.once('session', resolve));
  await downstream.send(getOf('/a'));
  await downstream.response();
  const session = await ticket;
  const again = await proxy.speakMesh({ session });
  assert.equal(again.secure.isSessionReused(), true);
  await again.downstream.send(getOf('/b'));
  await again.downstream.response();
  const names = proxy.telemetry.names.names();
  const who = proxy.telemetry.records.map(({ principalId }) => names[principalId - 1]);
  assert.deepEqual(who, [cartId, cartId], 'who it is holds for the resumed one too');
  mesh.replace(makeMaterial(root, { serviceAccount: 'web' }));
  const other = await proxy.speakMesh({ session });
  assert.equal(other.secure.isSessionReused(), false);
});

test('a session is resumed under the rules that it began under, and not under others', async (t) => {
  const { table, proxy, speakMesh } = await startBound(t, { mode: 'strict' });
  const { secure, downstream } = await speakMesh();
  const ticket = new Promise<Buffer>((resolve) => secure.once('session', resolve));
  await downstream.send(getOf('/a'));
  await downstream.response();
  const session = await ticket;
  await proxy.apply({ ...table, generation: 2 });
  const same = await speakMesh({ session });
  assert.equal(same.secure.isSessionReused(), true);
  const authorization = { ...table.security.authorization, audit: [] };
  await proxy.apply({ ...table, generation: 3, security: { ...table.security, authorization } });
  const other = await speakMesh({ session });
  assert.equal(other.secure.isSessionReused(), false);
  await other.downstream.send(getOf('/b'));
  assert.equal((await other.downstream.response()).status, 200);
});

test('a session that is resumed does not outlive the certificate of its caller', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const { brief, session } = await withBriefLeaf(async (leaf) => {
    const { secure, downstream } = await proxy.speakMesh({}, leaf);
    const ticket = new Promise<Buffer>((resolve) => secure.once('session', resolve));
    await downstream.send(getOf('/a'));
    assert.equal((await downstream.response()).status, 200);
    return { brief: leaf, session: await ticket };
  });
  while (Date.now() < brief.notAfterMs) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(await heardBy(proxy, brief, { session }), '');
});

test('openssl is served as a sidecar is, and its tickets allow no early data', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-mesh-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const args = ['s_client', '-connect', `127.0.0.1:${proxy.port}`, '-alpn', 'tracecar/1'];
  args.push('-cert', file('leaf.pem', cart.certificates), '-key', file('key.pem', cart.privateKey));
  args.push('-CAfile', file('roots.pem', root.roots), '-verify_return_error');
  const openssl = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  t.after(() => openssl.kill());
  let said = '';
  openssl.stdout.on('data', (chunk) => {
    said += chunk;
    if (said.includes('HTTP/1.1 200')) openssl.stdin.end();
  });
  openssl.stdin.write(getOf('/a'));
  await new Promise((resolve) => openssl.once('exit', resolve));
  assert.match(said, /TLSv1\.3, Cipher is TLS_AES_/);
  assert.match(said, /ALPN protocol: tracecar\/1/);
  assert.match(said, /Verify return code: 0 \(ok\)/);
  assert.match(said, /Max Early Data: 0/);
  assert.match(said, /ticket lifetime hint: 3600 \(seconds\)/, 'meshSessionMs');
  assert.match(said, /HTTP\/1\.1 200/);
});

test('a FIN that mutual TLS says nothing of is no end for the application: it hears RST', async (t) => {
  const proxy = await startCaptured(t);
  const raw = await proxy.call();
  const { downstream } = await proxy.speakMesh({}, cart, raw);
  await downstream.send(Buffer.from([0, 1, 2]));
  const application = await proxy.origin.connection(0);
  await application.until(() => application.received.length === 3, 'what was sent');
  raw.socket.end();
  assert.equal(await application.ended(), 'reset');
});

test('a proxy that ends waits for nobody who has said nothing, or stalls', async (t) => {
  const limits = { drainListenMs: 0, drainQuietMs: 0, drainIdleMs: 5, tlsHandshakeMs: 20_000 };
  const proxy = await startBound(t, { limits });
  const silent = await proxy.call();
  const stalled = await stall(t, proxy);
  await stalled.until(() => stalled.received.length > 0, 'the flight of the server');
  const drained = proxy.proxy.drain(19_000);
  await silent.ended();
  stalled.reset();
  assert.deepEqual(await drained, { finished: 2, cut: 0 });
});
