/**
 * TLS to services outside the mesh: names, roots, own certificates, files that change.
 */

import assert from 'node:assert/strict';
import dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import type { OriginationTls } from '../../src/proxy/upstream/origination-files.ts';
import { type Certificate, CertificateAuthority } from '../support/certificates.ts';
import { getOf, type ProxyFixture, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';
import { SecureOrigin } from '../support/secure-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-origination-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const stranger = new CertificateAuthority(mkdtempSync(join(folder, 'stranger-')));
const caFile = join(folder, 'ca.crt');
const api = authority.issue('api.example.com');
const first = authority.issue('client-1');
const second = authority.issue('client-2');

function settingsOf(over: Partial<OriginationTls> = {}): OriginationTls {
  return {
    mode: 'simple',
    serverName: '',
    subjectAltNames: [],
    caFile,
    certificateFile: '',
    keyFile: '',
    isUnverified: false,
    ...over,
  };
}

interface OutsideFixture extends ProxyFixture {
  readonly origin: SecureOrigin;
  ask(): Promise<{ readonly status: number; readonly cause: string; readonly body: string }>;
}

async function startOutside(
  t: TestContext,
  tls: OriginationTls,
  server: TlsOptions = api,
  service = 'api.example.com',
): Promise<OutsideFixture> {
  const origin = await SecureOrigin.start(
    server,
    answering(() => okWith('outside')),
  );
  t.after(() => origin.close());
  const cluster = clusterOf([origin.port], { tls, service });
  const table = tableOf([listenerOf([ruleOf()])], [cluster]);
  const fixture = await startProxy(t, { table, limits: { tlsPollMs: 10 } });
  const ask = async () => {
    const downstream = await fixture.connect();
    await downstream.send(getOf('/'));
    const { status, head, body } = await downstream.response();
    downstream.finish();
    return { status, cause: /^x-tracecar-cause: (.*)$/im.exec(head)?.[1] ?? '', body };
  };
  return { ...fixture, origin, ask };
}

/** A pair of files in a folder of their own. */
function filesOf({ cert, key }: Certificate) {
  const place = mkdtempSync(join(folder, 'pair-'));
  const files = { certificateFile: join(place, 'tls.crt'), keyFile: join(place, 'tls.key') };
  writeFileSync(files.certificateFile, cert);
  writeFileSync(files.keyFile, key);
  return files;
}

const asking: TlsOptions = {
  ...api,
  ca: authority.cert,
  requestCert: true,
  rejectUnauthorized: true,
};

test('SIMPLE: the name of the service is asked for and checked, no certificate is shown', async (t) => {
  const server = { ...asking, rejectUnauthorized: false };
  const { ask, origin } = await startOutside(t, settingsOf(), server);
  assert.deepEqual(await ask(), { status: 200, cause: '', body: 'outside' });
  const [secure] = origin.secured;
  assert.equal(secure!.servername, 'api.example.com');
  assert.equal(secure!.alpnProtocol, false);
  assert.deepEqual(secure!.getPeerCertificate(), {});
});

test('an endpoint by name is dialled at whichever of its addresses answers', async (t) => {
  const origin = await SecureOrigin.start(
    api,
    answering(() => okWith('outside')),
  );
  t.after(() => origin.close());
  const endpoint = { port: origin.port, labels: {}, zone: '', identity: '' };
  const endpoints = [{ ...endpoint, address: 'origin.test' }];
  const cluster = clusterOf([], { tls: settingsOf(), service: 'api.example.com', endpoints });
  const table = tableOf([listenerOf([ruleOf()])], [cluster]);
  const { connect, telemetry } = await startProxy(t, { table });
  // Nothing listens at the first one.
  const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
  type Found = (error: null, found: typeof addresses) => void;
  t.mock.method(dns, 'lookup', (_host: string, _options: object, found: Found) => {
    setImmediate(() => found(null, addresses));
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 200);
  assert.equal(origin.secured[0]!.servername, 'api.example.com');
  const [record] = telemetry.records;
  assert.ok(record!.dnsUs >= 0 && record!.connectUs >= 0 && record!.tlsUs > 0);
});

test('a server of TLS 1.2 is outside the mesh and served', async (t) => {
  const { ask, origin } = await startOutside(t, settingsOf(), { ...api, maxVersion: 'TLSv1.2' });
  assert.equal((await ask()).status, 200);
  assert.equal(origin.secured[0]!.getProtocol(), 'TLSv1.2');
});

const names: readonly [string, Partial<OriginationTls>, string, string][] = [
  ['another service', {}, 'other.example.com', 'tls-wrong-identity'],
  ['another service, the name given', { serverName: 'api.example.com' }, 'x.example.com', ''],
  ['another name given', { serverName: 'x.example.com' }, 'api.example.com', 'tls-wrong-identity'],
  ['one of several names', { subjectAltNames: ['a.test', 'api.example.com'] }, 'x.test', ''],
  ['none of the names', { subjectAltNames: ['a.test'] }, 'api.example.com', 'tls-wrong-identity'],
  ['a URI it has not', { subjectAltNames: ['https://api'] }, 'api.test', 'tls-wrong-identity'],
  ['a service of many names', {}, '*.example.com', 'tls-wrong-identity'],
  ['nothing is checked', { isUnverified: true, caFile: '' }, 'other.example.com', ''],
];

for (const [name, over, service, cause] of names) {
  test(`the name of the certificate: ${name}: ${cause || 'taken'}`, async (t) => {
    const { ask, origin } = await startOutside(t, settingsOf(over), api, service);
    const answer = await ask();
    assert.equal(answer.cause, cause);
    assert.equal(answer.status, cause === '' ? 200 : 502);
    if (cause === '') return;
    assert.match(
      answer.body,
      /expected a certificate for .*, and got DNS:api.example.com issued by/,
    );
    assert.equal(origin.connections.map(({ received }) => received).join(''), '');
  });
}

test('a wildcard that is only a part of a label is for nobody', async (t) => {
  const server = authority.issue('a*.example.com');
  const { ask } = await startOutside(t, settingsOf(), server, 'abc.example.com');
  assert.equal((await ask()).cause, 'tls-wrong-identity');
  const whole = authority.issue('*.example.com');
  const other = await startOutside(t, settingsOf(), whole, 'abc.example.com');
  assert.equal((await other.ask()).status, 200);
});

test('where nothing listens the answer says so, and nothing of certificates', async (t) => {
  const { ask, origin } = await startOutside(t, settingsOf());
  await origin.close();
  const { cause, body } = await ask();
  assert.equal(cause, 'connect-refused');
  assert.match(body, /\(ECONNREFUSED, 127\.0\.0\.1:\d+\)$/m);
});

test('a certificate of nobody that is trusted: tls-unknown-ca', async (t) => {
  const server = stranger.issue('api.example.com');
  assert.equal((await (await startOutside(t, settingsOf(), server)).ask()).cause, 'tls-unknown-ca');
  // Nor are our own roots the system's.
  const system = await startOutside(t, settingsOf({ caFile: '' }));
  assert.equal((await system.ask()).cause, 'tls-unknown-ca');
});

test('MUTUAL shows our certificate, and another one within moments of its files', async (t) => {
  const files = filesOf(first);
  const { ask, origin, log } = await startOutside(
    t,
    settingsOf({ mode: 'mutual', ...files }),
    asking,
  );
  assert.equal((await ask()).status, 200);
  assert.equal((await ask()).status, 200);
  assert.equal(origin.secured.length, 1);
  assert.equal(origin.secured[0]!.getPeerCertificate().subject.CN, 'client-1');
  writeFileSync(files.certificateFile, second.cert);
  writeFileSync(files.keyFile, second.key);
  await origin.connections[0]!.ended();
  assert.equal((await ask()).status, 200);
  assert.equal(origin.secured[1]!.getPeerCertificate().subject.CN, 'client-2');
  assert.match(log.join('\n'), /info TLS to upstreams: .*tls.crt.*: read again/);
});

test('files that do not fit together change nothing, and the log says so once', async (t) => {
  const files = filesOf(first);
  const { ask, origin, log } = await startOutside(
    t,
    settingsOf({ mode: 'mutual', ...files }),
    asking,
  );
  assert.equal((await ask()).status, 200);
  writeFileSync(files.certificateFile, second.cert);
  await untilSo(() => log.length > 0, 'a line of the log');
  assert.equal((await ask()).status, 200);
  assert.equal(origin.secured.length, 1);
  assert.equal(log.length, 1);
  assert.match(
    log[0]!,
    /warn TLS to upstreams: .*tls.key: .*mismatch \(compare `openssl .*`\); old ones stay/,
  );
});

test('files that are not there: the answer names them; once they are there it works', async (t) => {
  const place = mkdtempSync(join(folder, 'late-'));
  const files = { certificateFile: join(place, 'tls.crt'), keyFile: join(place, 'tls.key') };
  const { ask } = await startOutside(t, settingsOf({ mode: 'mutual', ...files }), asking);
  const { cause, body } = await ask();
  assert.equal(cause, 'tls-failed');
  assert.match(body, new RegExp(`${files.certificateFile}.*ENOENT`));
  writeFileSync(files.certificateFile, first.cert);
  writeFileSync(files.keyFile, first.key);
  let last = await ask();
  const guard = Date.now() + 20_000;
  while (last.status !== 200 && Date.now() < guard) last = await ask();
  assert.equal(last.body, 'outside');
});
