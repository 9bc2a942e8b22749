/**
 * What an application behind a sidecar hears in x-forwarded-client-cert of callers before the last one:
 * the word of a gateway, and never that of an application or of somebody who has proved nothing.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import type { ClientCertMode } from '../../src/model/security.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { connectSecure, filesOf, gatewayOf, serverOf } from '../support/gateway-fixture.ts';
import { cartId, type InboundOptions, root, startBound, webId } from '../support/mesh-caller.ts';
import { idOf, makeIdentity } from '../support/mesh-material.ts';
import {
  type FixtureOptions,
  getOf,
  type ProxyFixture,
  startProxy,
} from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import {
  capturePlanOf,
  clusterOf,
  connectionRuleOf,
  destinationOf,
  listenerOf,
  ruleOf,
  tableOf,
} from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-client-cert-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const forged = 'X-Forwarded-Client-Cert: Hash=f0;URI=spiffe://cluster.local/ns/bank/sa/admin\r\n';
/** How a sidecar or a gateway says that requests are written by it. */
const writing = { ALPNProtocols: ['tracecar/1', 'tracecar/requests'] };

/** Values of the field that an application has got. */
function told({ received }: RawOrigin): string[] {
  return [...received.matchAll(/^x-forwarded-client-cert: (.*)\r$/gim)].map((each) => each[1]!);
}

function provedOf(id: string): string {
  return `By=${webId};Hash=[0-9a-f]{64};Subject="";URI=${id}`;
}

/** A cluster of one endpoint with a sidecar, `web`. */
function webAt(port: number) {
  const endpoint = { address: '127.0.0.1', port, labels: {}, zone: '' };
  return clusterOf([], { endpoints: [{ ...endpoint, identity: webId }] });
}

const shop = 'shop.example.com';

async function startMutualGateway(
  t: TestContext,
  port: number,
  clientCertMode: ClientCertMode = 'append',
) {
  const authority = new CertificateAuthority(mkdtempSync(join(folder, 'ca-')));
  const files = filesOf(folder, authority.issue(shop));
  const { certificateFile: caFile } = filesOf(folder, { cert: authority.cert, key: '' });
  const tls = { ...files, mode: 'optional-mutual' as const, caFile };
  const gateway = await startProxy(t, {
    table: tableOf([gatewayOf([serverOf([shop], { tls })])], [webAt(port)]),
    mesh: makeIdentity(root, { serviceAccount: 'ingress' }),
    clientCertMode,
  });
  const phone = authority.issue('phone.example.com');
  const call = async (certificate: object, fields = '') => {
    const { downstream } = await connectSecure(t, gateway.port, authority, shop, certificate);
    await downstream.send(`GET / HTTP/1.1\r\nHost: ${shop}\r\n${fields}\r\n`);
    assert.equal((await downstream.response()).status, 200);
  };
  return { phone, call };
}

const ingressId = idOf({ serviceAccount: 'ingress' });
const phoneShown = 'Hash=[0-9a-f]{64};Subject="CN=phone.example.com";DNS=phone.example.com';

test('behind MUTUAL an application hears of the certificate shown to the gateway, then of the gateway', async (t) => {
  const web = await startBound(t, { mode: 'strict' });
  const { phone, call } = await startMutualGateway(t, web.port);
  await call(phone, forged + forged);
  await call({}, forged);
  const [shown, none] = told(web.origin);
  assert.match(shown!, new RegExp(`^${phoneShown},${provedOf(ingressId)}$`));
  assert.match(none!, new RegExp(`^${provedOf(ingressId)}$`), 'nothing was shown');
  assert.equal(told(web.origin).length, 2);
});

test('a gateway that is to tell nothing of certificates does not', async (t) => {
  const web = await startBound(t);
  const { phone, call } = await startMutualGateway(t, web.port, 'off');
  await call(phone, forged);
  assert.match(told(web.origin).join(), new RegExp(`^${provedOf(ingressId)}$`));
});

for (const [mode, line] of [
  ['set', new RegExp(`^${provedOf(ingressId)}$`)],
  ['off', /^$/],
] as const) {
  test(`a workload in mode ${mode} passes nothing on of what a gateway says`, async (t) => {
    const web = await startBound(t, { clientCertMode: mode });
    const { phone, call } = await startMutualGateway(t, web.port);
    await call(phone);
    assert.match(told(web.origin).join(), line);
  });
}

interface Sidecar {
  readonly near: ProxyFixture;
  readonly http: number;
  /** Captured connections, all of which are relayed unread. */
  readonly opaque: number;
}

/** Before an application that calls `web`. */
async function startCartSidecar(
  t: TestContext,
  port: number,
  options: Partial<FixtureOptions> = {},
): Promise<Sidecar> {
  const virtual = { address: '192.0.2.10', port: 5432 };
  const destination = destinationOf({
    ...virtual,
    protocol: 'tcp',
    connectionRules: [connectionRuleOf()],
  });
  const near = await startProxy(t, {
    table: {
      ...tableOf([listenerOf([ruleOf()])], [webAt(port)]),
      capture: capturePlanOf({ destinations: [destination] }),
    },
    mesh: makeIdentity(root, { namespace: 'shop', serviceAccount: 'cart' }),
    capture: {
      originalDestination: { read: () => virtual },
      ownAddresses: ['10.0.0.1'],
      ports: { outbound: 0, inbound: 0 },
    },
    ...options,
  });
  const portOf = (part: string) =>
    near.proxy.addresses().find(({ name }) => name.startsWith(part))!.port;
  return { near, http: portOf('outbound|'), opaque: portOf('capture|outbound') };
}

for (const [about, options] of [
  ['', {}],
  [', where names have no ids any more', { namesMax: 0 }],
] as const) {
  test(`an application cannot say by its sidecar who was before it${about}`, async (t) => {
    const web = await startBound(t);
    const { near, http } = await startCartSidecar(t, web.port, options);
    const downstream = await near.connect(http);
    for (const fields of [forged, `${forged}x-forwarded-client-cert: URI=a\r\n`]) {
      await downstream.send(getOf('/', fields));
      await downstream.response();
    }
    for (const line of told(web.origin)) assert.match(line, new RegExp(`^${provedOf(cartId)}$`));
    assert.equal(told(web.origin).length, 2);
  });
}

test('nor by a connection that its sidecar relays unread, and nobody parses but the other one', async (t) => {
  const web = await startBound(t);
  const { near, opaque } = await startCartSidecar(t, web.port);
  const downstream = await near.connect(opaque);
  await downstream.send(getOf('/', forged));
  await downstream.response();
  const [line, ...others] = told(web.origin);
  assert.match(line!, new RegExp(`^${provedOf(cartId)}$`));
  assert.equal(others.length, 0);
});

test('to who has no sidecar an application says in that field what it likes', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('plain')));
  t.after(() => origin.close());
  const near = await startProxy(t, {
    table: tableOf([listenerOf([ruleOf()])], [clusterOf([origin.port])]),
    mesh: makeIdentity(root, { namespace: 'shop', serviceAccount: 'cart' }),
  });
  const downstream = await near.connect();
  await downstream.send(getOf('/', forged));
  await downstream.response();
  assert.deepEqual(told(origin), ['Hash=f0;URI=spiffe://cluster.local/ns/bank/sa/admin']);
});

/** What `web` tells its application when a peer of the mesh says `fields`. */
async function toldBehind(t: TestContext, fields: string, options: InboundOptions = {}) {
  const web = await startBound(t, options);
  const { downstream } = await web.speakMesh(writing);
  await downstream.send(getOf('/', fields));
  await downstream.response();
  return told(web.origin);
}

function fieldOf(value: string): string {
  return `X-Forwarded-Client-Cert: ${value}\r\n`;
}

test('several fields of a peer that writes its requests are one, in their order', async (t) => {
  const lines = await toldBehind(t, fieldOf('Hash=0') + fieldOf('Hash=1;URI=b, Hash=2'));
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, new RegExp(`^Hash=0,Hash=1;URI=b, Hash=2,${provedOf(cartId)}$`));
});

const { clientCertBytesMax, clientCertElementsMax } = trafficLimits;
const long = 'x'.repeat(clientCertBytesMax - 'URI='.length);
const many = Array.from({ length: clientCertElementsMax }, () => 'Hash=0').join(',');

for (const [what, value] of [
  ['as long as they may be', `URI=${long}`],
  ['as many as they may be', many],
] as const) {
  test(`elements that are ${what} are passed on`, async (t) => {
    const lines = await toldBehind(t, fieldOf(value));
    assert.ok(lines[0]!.startsWith(`${value},By=${webId};`));
  });
}

for (const [what, fields] of [
  ['too long', fieldOf(`URI=${long}x`)],
  ['too long together', fieldOf(`URI=${long.slice(9)}`) + fieldOf('Hash=00000')],
  ['too many', fieldOf(`${many},Hash=0`)],
  ['malformed', fieldOf('URI=spiffe://evil') + fieldOf('By')],
  ['without an end of a quote', fieldOf('Subject="CN=a')],
  ['of this hop alone', `Connection: x-forwarded-client-cert\r\n${fieldOf('Hash=0')}`],
] as const) {
  test(`elements that are ${what} are left out, and who calls is told`, async (t) => {
    const lines = await toldBehind(t, fields);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, new RegExp(`^${provedOf(cartId)}$`));
  });
}
