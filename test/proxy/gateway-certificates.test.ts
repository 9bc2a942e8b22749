/**
 * Certificates of Gateways that are not for the hosts of their servers: told, and kept out where a good one is.
 */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { hostsWithout, wildcardsLost } from '../../src/identity/certificate-hosts.ts';
import type { ListenerTls } from '../../src/model/routing-table.ts';
import { type Certificate, CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  servedName,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';
import { clusterOf, tableOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-certificates-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const shop = authority.issue('shop.example.com');
const wild = authority.issue('*.example.com');
const other = authority.issue('other.example.org');

const fits: readonly (readonly [
  Certificate,
  hosts: readonly string[],
  without: readonly string[],
])[] = [
  [shop, ['shop.example.com', '*', '*.example.com', '*.com'], []],
  [
    shop,
    ['www.example.com', '*.shop.example.com', 'shop.example.com'],
    ['www.example.com', '*.shop.example.com'],
  ],
  [wild, ['shop.example.com', '*.example.com', '*'], []],
  [wild, ['a.b.example.com', 'example.com'], ['a.b.example.com', 'example.com']],
];

for (const [{ cert }, hosts, without] of fits) {
  const certificate = new X509Certificate(cert);
  test(`${certificate.subject} has no name of [${without.join(', ')}] among ${hosts.join(', ')}`, () => {
    assert.deepEqual(hostsWithout(certificate, hosts), without);
  });
}

function overwrite({ certificateFile, keyFile }: ListenerTls, { cert, key }: Certificate): void {
  writeFileSync(certificateFile, cert);
  writeFileSync(keyFile, key);
}

async function startShop(t: TestContext, first: Certificate) {
  const tls = filesOf(folder, first);
  const listener = gatewayOf([serverOf(['shop.example.com'], { tls })]);
  const gateway = await startGateway(t, listener);
  const untilLogged = (line: RegExp) =>
    untilSo(() => gateway.log.some((each) => line.test(each)), `${line} in the log`);
  const served = async (name: string) => {
    const { peer } = await connectSecure(t, gateway.port, authority, name);
    return servedName(peer);
  };
  return { ...gateway, tls, untilLogged, served };
}

test('a certificate of another name does not replace a good one; the next good one does', async (t) => {
  const { tls, untilLogged, served, log, proxy } = await startShop(t, shop);
  overwrite(tls, other);
  await untilLogged(
    /tls\.crt is for DNS:other\.example\.org, not for shop\.example\.com; the certificate read before stays/,
  );
  assert.equal(await served('shop.example.com'), 'shop.example.com');
  overwrite(tls, wild);
  await untilLogged(/was read again/);
  assert.equal(await served('shop.example.com'), '*.example.com');
  assert.equal(log.length, 2);
  const [{ file, notAfterMs }] = proxy.served() as [{ file: string; notAfterMs: number }];
  assert.equal(file, tls.certificateFile);
  assert.equal(notAfterMs, new X509Certificate(wild.cert).validToDate.getTime());
});

test('for a wildcard host the wildcard of the certificate in use is not given up for a single name', () => {
  const [before, one] = [new X509Certificate(wild.cert), new X509Certificate(shop.cert)];
  assert.deepEqual(wildcardsLost(before, one, ['*.example.com']), ['*.example.com']);
  assert.deepEqual(wildcardsLost(before, one, ['*']), []);
  assert.deepEqual(wildcardsLost(before, one, ['shop.example.com']), []);
  assert.deepEqual(wildcardsLost(before, before, ['*.example.com']), []);
  assert.deepEqual(wildcardsLost(one, before, ['*.example.com']), []);
});

test('one that is not for its hosts from the start is served, and the log says so', async (t) => {
  const { log, served } = await startShop(t, other);
  assert.equal(await served('shop.example.com'), 'other.example.org');
  assert.match(
    log[0]!,
    /^warn TLS: .*tls\.crt is for DNS:other\.example\.org, not for shop\.example\.com: /,
  );
});

test('what was kept out is taken when its hosts come', async (t) => {
  const { tls, origin, proxy, untilLogged, served } = await startShop(t, shop);
  overwrite(tls, other);
  await untilLogged(/not for shop\.example\.com; /);
  const listener = gatewayOf([serverOf(['other.example.org'], { tls })]);
  await proxy.apply({ ...tableOf([listener], [clusterOf([origin.port])]), generation: 2 });
  await untilLogged(/was read again/);
  assert.equal(await served('other.example.org'), 'other.example.org');
});

test('a host that comes and has no certificate is told, and nothing else changes', async (t) => {
  const { tls, origin, log, proxy, served } = await startShop(t, shop);
  const listener = gatewayOf([serverOf(['shop.example.com', 'www.example.com'], { tls })]);
  await proxy.apply({ ...tableOf([listener], [clusterOf([origin.port])]), generation: 2 });
  assert.match(log[0]!, /tls\.crt is for DNS:shop\.example\.com, not for www\.example\.com: /);
  assert.equal(await served('shop.example.com'), 'shop.example.com');
});
