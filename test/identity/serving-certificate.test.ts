import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { generateKeys, issueCertificate } from '../../src/identity/certificate.ts';
import {
  issueServingCertificate,
  pairProblem,
  renewServingCertificate,
  type ServingCertificate,
  splitPem,
} from '../../src/identity/serving-certificate.ts';

const dayMs = 86_400_000;
const now = Date.now();
const host = 'tracecar-injector.tracecar-system.svc';
const dnsNames = [host];
const folder = mkdtempSync(join(tmpdir(), 'tracecar-identity-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function openssl(...args: readonly string[]) {
  return spawnSync('openssl', args, { encoding: 'utf8' });
}

function verify(ca: string, cert: string, ...more: readonly string[]) {
  const caFile = file('ca.pem', ca);
  const certFile = file('cert.pem', cert);
  return openssl(
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    '-CAfile',
    caFile,
    ...more,
    certFile,
  );
}

test('OpenSSL verifies the chain strictly, for its name and for no other', () => {
  const issued = issueServingCertificate({ dnsNames, now });
  const good = verify(issued.caPem, issued.certPem, '-verify_hostname', host);
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /OK/);
  assert.notEqual(verify(issued.caPem, issued.certPem, '-verify_hostname', 'a.b.svc').status, 0);
  const other = issueServingCertificate({ dnsNames, now });
  assert.notEqual(verify(other.caPem, issued.certPem).status, 0);
});

test('the certificates say what they are: P-256, 10 years and 30 days, critical constraints', () => {
  const issued = issueServingCertificate({ dnsNames, now });
  const text = (pem: string) =>
    execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem, encoding: 'utf8' });
  const leaf = text(issued.certPem);
  assert.match(leaf, /Version: 3/);
  assert.match(leaf, /ecdsa-with-SHA256/);
  assert.match(leaf, /ASN1 OID: prime256v1/);
  assert.match(leaf, /Basic Constraints: critical\s+CA:FALSE/);
  assert.match(leaf, /Key Usage: critical\s+Digital Signature\n/);
  assert.match(leaf, /Extended Key Usage: \s+TLS Web Server Authentication\n/);
  assert.match(leaf, new RegExp(`DNS:${host}\n`));
  const authority = text(issued.caPem);
  assert.match(authority, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  assert.match(authority, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
  assert.match(authority, new RegExp(`Name Constraints: critical\\s+Permitted:\\s+DNS:${host}`));
  const days = (pem: string) => (new X509Certificate(pem).validToDate.getTime() - now) / dayMs;
  assert.ok(Math.abs(days(issued.certPem) - 30) < 0.01);
  assert.ok(Math.abs(days(issued.caPem) - 3_650) < 0.01);
  assert.equal(Math.floor(issued.notAfter / 1_000), Math.floor((now + 30 * dayMs) / 1_000));
});

test('the key of the authority is good for no other name', () => {
  const keys = generateKeys();
  const leafKeys = generateKeys();
  const life = { notBefore: now - 1_000, notAfter: now + dayMs };
  const issuer = { subject: 'authority', keys };
  const caPem = issueCertificate({
    ...life,
    subject: 'authority',
    publicKey: keys.publicKey,
    issuer,
    names: dnsNames,
    isAuthority: true,
  });
  const leafFor = (name: string) =>
    issueCertificate({
      ...life,
      subject: 'leaf',
      publicKey: leafKeys.publicKey,
      issuer,
      names: [name],
      isAuthority: false,
    });
  assert.equal(verify(caPem, leafFor(host)).status, 0);
  const stolen = verify(caPem, leafFor('kubernetes.default.svc'));
  assert.notEqual(stolen.status, 0);
  assert.match(stolen.stderr, /permitted subtree violation/);
});

test('a TLS 1.3 handshake trusts the leaf by the bundle alone', async () => {
  const issued = issueServingCertificate({ dnsNames: [host, '127.0.0.1', 'fd00::1:2'], now });
  assert.equal(verify(issued.caPem, issued.certPem, '-verify_ip', 'fd00::1:2').status, 0);
  assert.equal(verify(issued.caPem, issued.certPem, '-verify_ip', '127.0.0.1').status, 0);
  assert.notEqual(verify(issued.caPem, issued.certPem, '-verify_ip', '127.0.0.2').status, 0);
  const server = createServer({ cert: issued.certPem, key: issued.keyPem }, (socket) => {
    socket.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const socket = connect({ port, host: '127.0.0.1', servername: host, ca: issued.caPem });
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.equal(text, 'hello');
  assert.equal(socket.authorized, true);
  server.close();
});

test('a leaf is renewed at 2/3 of its life, under the same authority, and not before', () => {
  const first = issueServingCertificate({ dnsNames, now });
  assert.equal(renewServingCertificate(first, { dnsNames, now: now + 19 * dayMs }), undefined);
  const later = now + 20.1 * dayMs;
  const renewed = renewServingCertificate(first, { dnsNames, now: later });
  assert.ok(renewed);
  assert.match(renewed.reason, /2\/3/);
  assert.equal(renewed.certificate.caPem, first.caPem);
  assert.notEqual(renewed.certificate.keyPem, first.keyPem);
  const seconds = String(Math.floor(later / 1_000));
  const checked = verify(first.caPem, renewed.certificate.certPem, '-attime', seconds);
  assert.equal(checked.status, 0, checked.stderr);
});

test('an authority is followed while both are trusted, and no leaf changes with it', () => {
  let stored: ServingCertificate = issueServingCertificate({ dnsNames, now });
  const original = stored;
  let at = now;
  let overlaps = 0;
  // Eleven years in steps of three days: what was published a step ago always trusts what is served now.
  for (let day = 1; day <= 11 * 365; day += 3) {
    at = now + day * dayMs;
    const published = stored.caPem;
    const renewed = renewServingCertificate(stored, { dnsNames, now: at });
    if (renewed === undefined) continue;
    if (splitPem(renewed.certificate.caPem).length === 2) overlaps += 1;
    const leaf = new X509Certificate(renewed.certificate.certPem);
    const isTrusted = splitPem(published).some((pem) => {
      const authority = new X509Certificate(pem);
      const isValid = authority.validToDate.getTime() >= leaf.validToDate.getTime();
      return isValid && leaf.verify(authority.publicKey);
    });
    assert.ok(isTrusted, `day ${day}: ${renewed.reason}`);
    assert.equal(
      pairProblem(renewed.certificate.certPem, renewed.certificate.keyPem, at),
      undefined,
    );
    stored = renewed.certificate;
  }
  assert.ok(overlaps > 10);
  assert.equal(splitPem(stored.caPem).length, 1, 'the first authority has expired and is dropped');
  assert.notEqual(stored.caPem, original.caPem);
});

test('whatever cannot be used is replaced, with the reason', () => {
  const good = issueServingCertificate({ dnsNames, now });
  const other = issueServingCertificate({ dnsNames, now });
  const cases: readonly (readonly [string, Partial<ServingCertificate>, RegExp])[] = [
    ['nothing stored', { caPem: '', caKeyPem: '', certPem: '', keyPem: '' }, /no authority/],
    ['no PEM', { caPem: 'hello' }, /no authority/],
    ['broken PEM', { caPem: good.caPem.replace('MII', 'XXX') }, /no authority/],
    ['a leaf as the authority', { caPem: good.certPem }, /no authority/],
    ['another authority key', { caKeyPem: other.caKeyPem }, /key of the authority/],
    ['no authority key', { caKeyPem: '' }, /key of the authority/],
    ['another key', { keyPem: other.keyPem }, /key is not the one/],
    ['a broken certificate', { certPem: 'x' }, /cannot be read/],
    ['a leaf of somebody else', { certPem: other.certPem, keyPem: other.keyPem }, /somebody else/],
  ];
  for (const [title, change, reason] of cases) {
    const renewed = renewServingCertificate({ ...good, ...change }, { dnsNames, now });
    assert.ok(renewed, title);
    assert.match(renewed.reason, reason, title);
    assert.equal(renewServingCertificate(renewed.certificate, { dnsNames, now }), undefined, title);
  }
});

test('other names and expired certificates are replaced', () => {
  const good = issueServingCertificate({ dnsNames, now });
  const added = renewServingCertificate(good, { dnsNames: [host, '10.99.0.1'], now });
  assert.match(added?.reason ?? '', /other names/);
  assert.equal(added?.certificate.caPem, good.caPem, 'an address needs no other authority');
  const moved = renewServingCertificate(good, { dnsNames: ['x.other.svc'], now });
  assert.match(moved?.reason ?? '', /authority is for other names/);
  const expired = renewServingCertificate(good, { dnsNames, now: now + 31 * dayMs });
  assert.match(expired?.reason ?? '', /expired/);
  const ancient = renewServingCertificate(good, { dnsNames, now: now + 3_651 * dayMs });
  assert.match(ancient?.reason ?? '', /authority has expired/);
});

test('an authority that lives past 2049 has dates that OpenSSL reads', () => {
  const late = Date.UTC(2045, 0, 1);
  const issued = issueServingCertificate({ dnsNames, now: late });
  assert.equal(new X509Certificate(issued.caPem).validToDate.getUTCFullYear(), 2054);
  const seconds = String(late / 1_000);
  assert.equal(verify(issued.caPem, issued.certPem, '-attime', seconds).status, 0);
});
