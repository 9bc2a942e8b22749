/**
 * Flags of a sidecar's identity: what belongs together, and what each mistake is told.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProxySettings } from '../../src/main/proxy-settings.ts';

const config = ['--config', 'mesh.yaml'];
const files = ['--token', '/run/token', '--trust-bundle', '/run/roots.pem'];

test('without --identity a sidecar has none', () => {
  const { identity, trustDomain, clientCertMode } = readProxySettings(config, {});
  assert.equal(identity, undefined);
  assert.deepEqual([trustDomain, clientCertMode], ['cluster.local', 'append']);
});

test('an authority is expected to be the one of its namespace and trust domain', () => {
  const read = (host: string, ...more: readonly string[]) =>
    readProxySettings([...config, ...files, '--identity', host, ...more], {}).identity?.authority;
  assert.deepEqual(read('127.0.0.1:15010'), {
    ...{ host: '127.0.0.1', port: 15_010 },
    id: 'spiffe://cluster.local/ns/tracecar-system/sa/tracecar-ca',
  });
  assert.equal(
    read('tracecar-ca.mesh.svc.cluster.local:15010', '--trust-domain', 'shop.example')?.id,
    'spiffe://shop.example/ns/mesh/sa/tracecar-ca',
  );
  assert.equal(read('[::1]:15010')?.host, '::1');
});

test('the variable of the trust bundle may hold the roots themselves', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const environment = {
    ...{ TRACECAR_IDENTITY: 'ca:15010', TRACECAR_TOKEN: '/run/token', POD_NAME: 'web-1' },
    ...{ TRACECAR_TRUST_BUNDLE: pem, TRACECAR_SERVICE_ACCOUNT: 'web', POD_NAMESPACE: 'shop' },
  };
  const { identity } = readProxySettings(config, environment);
  assert.deepEqual(identity?.bundle, { pem });
  assert.equal(identity.expectedId, 'spiffe://cluster.local/ns/shop/sa/web');
  assert.equal(identity.instance, 'web-1');
  const typed = readProxySettings([...config, ...files], environment).identity?.bundle;
  assert.deepEqual(typed, { file: '/run/roots.pem' }, 'what is typed wins');
});

const mistakes: readonly (readonly [readonly string[], RegExp])[] = [
  [['--identity', 'ca:15010'], /needs --token FILE as well; `tracecar ca token` makes one/],
  [['--identity', 'ca:15010', '--token', 't'], /needs --trust-bundle FILE as well/],
  [['--token', 't'], /--token is of no use without --identity HOST:PORT/],
  [['--identity-dir', 'd'], /--identity-dir is of no use without --identity/],
  [['--identity', 'ca', ...files], /--identity is ADDR:PORT such as tracecar-ca\.tracecar-system/],
  [['--trust-domain', 'Shop.Example'], /'Shop\.Example' has capital letters/],
  [['--identity', 'ca:1', ...files, '--service-account', 'a/b'], /--service-account is a name/],
  [['--forward-client-cert', 'yes'], /is one of append, set, off, not 'yes'/],
];

for (const [flags, why] of mistakes) {
  test(`${flags.join(' ')} ends with one line`, () => {
    assert.throws(() => readProxySettings([...config, ...flags], {}), why);
  });
}
