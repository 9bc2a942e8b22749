/**
 * What goes on of a certificate that was shown to a Gateway, whatever its names hold.
 */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { generateKeys, issueCertificate } from '../../src/identity/certificate.ts';
import {
  isShownFor,
  shownCertificate,
  shownSubject,
} from '../../src/proxy/tls/shown-certificate.ts';

const keys = generateKeys();

/** A connection on which a certificate for `names` was shown. */
function showing(subject: string, ...names: readonly string[]): TLSSocket {
  const pem = issueCertificate({
    subject,
    publicKey: keys.publicKey,
    notBefore: 0,
    notAfter: 4_000_000_000_000,
    issuer: { subject: 'authority', keys },
    names,
    isAuthority: false,
  });
  const certificate = new X509Certificate(pem);
  return { getPeerX509Certificate: () => certificate } as unknown as TLSSocket;
}

test('hash, subject and names are told, and quotes do not end them', () => {
  const told = shownCertificate(showing('a "b" \\ c', 'one.example.com', 'two.example.com'));
  assert.match(
    told,
    /^Hash=[0-9a-f]{64};Subject="CN=.*b.*c";DNS=one\.example\.com;DNS=two\.example\.com$/,
  );
  assert.equal(told.replaceAll('\\"', '').match(/"/g)?.length, 2);
});

test('spans name it by its subject, or by its first name where that is empty', () => {
  assert.equal(shownSubject(showing('clerk', 'one.example.com')), 'CN=clerk');
  const raw = showing('', 'one.example.com').getPeerX509Certificate()?.raw;
  const nameless = { getPeerX509Certificate: () => ({ raw, subject: undefined }) };
  assert.equal(shownSubject(nameless as unknown as TLSSocket), 'one.example.com');
  assert.equal(shownSubject(showing('a'.repeat(2_000))).length, 256);
});

test('a subject that is too long is left out whole, and the names are told', () => {
  const told = shownCertificate(showing('a'.repeat(2_000), 'one.example.com'));
  assert.match(told, /^Hash=[0-9a-f]{64};DNS=one\.example\.com$/);
});

const hostile = [
  'good.example.com, DNS:forged.example.com',
  'good.example.com", DNS:forged.example.com, DNS:"',
  'good.example.com\0.forged.example.com',
  'a;URI=spiffe://forged',
  'a,Hash=forged',
];

for (const name of hostile) {
  test(`a name that pretends to be several is one, and is not told: ${JSON.stringify(name)}`, () => {
    const shown = showing('caller', name);
    assert.doesNotMatch(shownCertificate(shown), /forged|DNS=|URI=/);
    assert.equal(isShownFor(shown, ['forged.example.com', 'good.example.com']), false);
    assert.equal(isShownFor(shown, ['spiffe://forged']), false);
  });
}

test('nothing is told where nothing was shown', () => {
  const none = { getPeerX509Certificate: () => undefined } as unknown as TLSSocket;
  assert.equal(shownCertificate(none), '');
  assert.equal(isShownFor(none, ['a']), false);
});
