/**
 * A Gateway with an identity: TLS of the world outside ends, mutual TLS of the mesh goes on to a workload
 * that takes nothing else.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { usualSecurity } from '../../src/model/security.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { connectSecure, filesOf, gatewayOf, serverOf } from '../support/gateway-fixture.ts';
import { idOf, makeIdentity, makeRoot } from '../support/mesh-material.ts';
import { startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-mesh-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const root = makeRoot();
const ingress = { serviceAccount: 'ingress' };
const shop = { serviceAccount: 'shop' };

test('a STRICT workload serves the world through a gateway, and knows it by its identity', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('shop')));
  t.after(() => origin.close());
  const far = await startProxy(t, {
    table: {
      ...tableOf([listenerOf([ruleOf()], { direction: 'inbound' })], [clusterOf([origin.port])]),
      security: { ...usualSecurity, mode: 'strict' },
    },
    mesh: makeIdentity(root, shop),
  });
  const endpoint = { address: '127.0.0.1', port: far.port, labels: {}, zone: '' };
  const cluster = clusterOf([], { endpoints: [{ ...endpoint, identity: idOf(shop) }] });
  const tls = filesOf(folder, authority.issue('shop.example.com'));
  const gateway = await startProxy(t, {
    table: tableOf([gatewayOf([serverOf(['shop.example.com'], { tls })])], [cluster]),
    mesh: makeIdentity(root, ingress),
  });
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop.example.com');
  for (let request = 0; request < 2; request++) {
    await downstream.send(
      'GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-Forwarded-Client-Cert: URI=forged\r\n\r\n',
    );
    assert.equal((await downstream.response()).body, 'shop');
  }
  const told = origin.received.match(/x-forwarded-client-cert: .*/gi) ?? [];
  assert.equal(told.length, 2);
  for (const line of told) assert.match(line, new RegExp(`URI=${idOf(ingress)}$`));
  assert.match(origin.received, /x-forwarded-for: 127\.0\.0\.1\r\nx-forwarded-proto: https\r\n/);
});

test('an answer of the gateway itself names nobody and no address inside', async (t) => {
  const far = await startProxy(t, {
    table: {
      ...tableOf([listenerOf([ruleOf()], { direction: 'inbound' })], [clusterOf([9])]),
      security: { ...usualSecurity, mode: 'strict' },
    },
    mesh: makeIdentity(root, { serviceAccount: 'somebody-else' }),
  });
  const endpoint = { address: '127.0.0.1', port: far.port, labels: {}, zone: '' };
  const cluster = clusterOf([], { endpoints: [{ ...endpoint, identity: idOf(shop) }] });
  const tls = filesOf(folder, authority.issue('shop.example.com'));
  const gateway = await startProxy(t, {
    table: tableOf([gatewayOf([serverOf(['shop.example.com'], { tls })])], [cluster]),
    mesh: makeIdentity(root, ingress),
  });
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop.example.com');
  await downstream.send('GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n');
  const { status, head, body } = await downstream.response();
  assert.equal(status, 502);
  assert.match(head, /x-tracecar-cause: tls-wrong-identity/);
  assert.doesNotMatch(body, /spiffe:|127\.0\.0\.1|somebody-else/);
  assert.match(gateway.log.join('\n'), /somebody-else/);
});
