/**
 * TLS at a gateway, behind the handshake: torn records end their connection, and a session is resumed
 * with the terms that it began with, never as a way around
 * others (reference/reliability.md 3.2, T19; nginx had CVE-2025-23419 here).
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { carriedBy, tornRecords } from '../support/carrier.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { helloMessage, inRecords, serverName } from '../support/client-hello.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  type SecureDownstream,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';
import type { PairFixture } from '../support/proxy-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-sessions-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const caFile = join(folder, 'callers.pem');

const openHost = 'open.example.com';
const closedHost = 'closed.example.com';

function startTwo(t: TestContext): Promise<PairFixture> {
  writeFileSync(caFile, authority.cert);
  const open = filesOf(folder, authority.issue(openHost));
  const closed = {
    ...filesOf(folder, authority.issue(closedHost)),
    mode: 'mutual' as const,
    caFile,
  };
  return startGateway(
    t,
    gatewayOf([serverOf([openHost], { tls: open }), serverOf([closedHost], { tls: closed })]),
  );
}

/** The status of one answer to this connection; 0 where it is cut. */
async function statusOf({ peer, downstream }: SecureDownstream, host: string): Promise<number> {
  await downstream.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const answered = downstream.response().then(({ status }) => status);
  const closed = new Promise<number>((resolve) => peer.once('close', () => resolve(0)));
  answered.catch(() => undefined);
  return Promise.race([answered, closed]);
}

/** A session of a connection that was served, of either version. */
async function sessionOf(
  t: TestContext,
  { port }: PairFixture,
  host: string,
  options: ConnectionOptions,
): Promise<Buffer> {
  const secure = await connectSecure(t, port, authority, host, options);
  const ticket = new Promise<Buffer>((resolve) => secure.peer.once('session', resolve));
  assert.equal(await statusOf(secure, host), 200);
  const session = secure.peer.getProtocol() === 'TLSv1.2' ? secure.peer.getSession() : undefined;
  return session ?? (await ticket);
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session of a server that asks for nothing opens none that asks: ${maxVersion}`, async (t) => {
    const gateway = await startTwo(t);
    const session = await sessionOf(t, gateway, openHost, { maxVersion });
    const own = await connectSecure(t, gateway.port, authority, openHost, { maxVersion, session });
    assert.equal(own.peer.isSessionReused(), true);
    const options = { maxVersion, session };
    const other = await connectSecure(t, gateway.port, authority, closedHost, options).then(
      (secure) => {
        assert.equal(secure.peer.isSessionReused(), false);
        return statusOf(secure, closedHost);
      },
      () => 0,
    );
    assert.equal(other, 0);
    assert.equal(await statusOf(own, closedHost), 421, 'nor does it by another Host');
    assert.ok(!gateway.origin.received.includes(closedHost));
  });

  test(`a session is not resumed once other callers are believed: ${maxVersion}`, async (t) => {
    const gateway = await startTwo(t);
    const { cert, key } = authority.issue('caller.example.com');
    const terms = { maxVersion, cert, key };
    const session = await sessionOf(t, gateway, closedHost, terms);
    const options = { ...terms, session };
    const again = await connectSecure(t, gateway.port, authority, closedHost, options);
    assert.equal(again.peer.isSessionReused(), true);
    assert.equal(await statusOf(again, closedHost), 200);
    // Somebody else's authority takes the place of that of our caller.
    const strangers = new CertificateAuthority(mkdtempSync(join(folder, 'other-')), 'strangers');
    writeFileSync(caFile, strangers.cert);
    // Looked at every few milliseconds: from some connection on nobody is let in, and stays out.
    const tried = async () => {
      const secure = await connectSecure(t, gateway.port, authority, closedHost, options).catch(
        () => undefined,
      );
      return secure === undefined ? 0 : statusOf(secure, closedHost);
    };
    while ((await tried()) !== 0);
    assert.equal(await tried(), 0);
  });
}

for (const [name, bytes] of tornRecords) {
  test(`${name} behind a handshake ends the connection`, async (t) => {
    const gateway = await startTwo(t);
    const carrier = await gateway.connect();
    const options = { socket: carriedBy(carrier) };
    const secure = await connectSecure(t, gateway.port, authority, openHost, options);
    secure.peer.on('error', () => undefined);
    assert.equal(await statusOf(secure, openHost), 200);
    await carrier.send(bytes);
    await carrier.ended();
  });
}

test('a name with a NUL in it is none that is served, whatever stands before the NUL', async (t) => {
  const gateway = await startTwo(t);
  const downstream = await gateway.connect();
  await downstream.send(inRecords(helloMessage(serverName(`${openHost}\0.evil`))));
  await downstream.ended();
  assert.equal(gateway.proxy.counts.failedHandshakes, 1);
  assert.equal(gateway.origin.connections.length, 0);
  assert.doesNotMatch(downstream.received, /^\x16/, 'no ServerHello');
});
