/**
 * Gateways: which server a name leads to, what each does with a connection, and who is turned away.
 */

import assert from 'node:assert/strict';
import { constants } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { after, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { Listener, ListenerTls } from '../../src/model/routing-table.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  servedName,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';
import { ManualTime } from '../support/manual-time.ts';
import { startProxy } from '../support/proxy-fixture.ts';
import { clusterOf, connectionRuleOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const caFile = join(folder, 'ca.crt');
const shop = filesOf(folder, authority.issue('shop.example.com'));
const wild = filesOf(folder, authority.issue('*.example.com'));
const any = filesOf(folder, authority.issue('any'));

/** A GET with this Host. */
function getAt(host: string, path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
}

const threeServers = gatewayOf([
  serverOf(['*.example.com'], { tls: wild }),
  serverOf(['shop.example.com'], { tls: shop }),
  serverOf(['*.deep.example.com'], { tls: any }),
]);

const chosen: readonly (readonly [asked: string, served: string])[] = [
  ['shop.example.com', 'shop.example.com'],
  ['SHOP.Example.COM', 'shop.example.com'],
  ['shop.example.com.', 'shop.example.com'],
  ['other.example.com', '*.example.com'],
  ['a.b.example.com', '*.example.com'],
  ['a.deep.example.com', 'any'],
];

for (const [asked, served] of chosen) {
  test(`${asked} is served the certificate of ${served}`, async (t) => {
    const gateway = await startGateway(t, threeServers);
    const { peer, downstream } = await connectSecure(t, gateway.port, authority, asked);
    assert.equal(servedName(peer), served);
    await downstream.send(getAt(asked));
    assert.equal((await downstream.response()).body, 'application');
  });
}

for (const name of ['elsewhere.example.org', 'example.com', '']) {
  test(`a name that nobody serves (${name || 'none'}) is refused by unrecognized_name`, async (t) => {
    const gateway = await startGateway(t, threeServers);
    const refused = connectSecure(t, gateway.port, authority, name);
    await assert.rejects(refused, /unrecognized name/i);
    assert.match(gateway.log.join('\n'), /which nobody serves/);
    assert.equal(gateway.proxy.counts.failedHandshakes, 1);
  });
}

test('a server of every name takes connections that ask for none', async (t) => {
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls: any })]));
  const { downstream } = await connectSecure(t, gateway.port, authority, '');
  await downstream.send(getAt('whatever.example.org'));
  assert.equal((await downstream.response()).body, 'application');
});

test('one of a thousand names is found', async (t) => {
  const hosts = Array.from({ length: 1_000 }, (_none, index) => `host-${index}.example.com`);
  const servers = hosts.map((host) => serverOf([host], { tls: any }));
  const gateway = await startGateway(t, gatewayOf(servers));
  for (const host of [hosts[0]!, hosts[499]!, hosts[999]!]) {
    const { downstream } = await connectSecure(t, gateway.port, authority, host);
    await downstream.send(getAt(host));
    assert.equal((await downstream.response()).body, 'application');
  }
  await assert.rejects(connectSecure(t, gateway.port, authority, 'host-1000.example.com'));
});

test('a Host of another certificate is answered 421, and nothing is asked upstream', async (t) => {
  const gateway = await startGateway(t, threeServers);
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop.example.com');
  await downstream.send(getAt('a.deep.example.com'));
  const refused = await downstream.response();
  assert.equal(refused.status, 421);
  assert.match(refused.head, /x-tracecar-cause: misdirected/);
  await downstream.send(getAt('shop.example.com:8443'));
  assert.equal((await downstream.response()).status, 200);
  assert.doesNotMatch(gateway.origin.received, /deep/);
});

test('names that share one certificate share connections', async (t) => {
  const both = [
    serverOf(['a.example.org'], { tls: any }),
    serverOf(['b.example.org'], { tls: any }),
  ];
  const gateway = await startGateway(t, gatewayOf(both));
  const { downstream } = await connectSecure(t, gateway.port, authority, 'a.example.org');
  await downstream.send(getAt('b.example.org'));
  assert.equal((await downstream.response()).status, 200);
});

test('a server without its certificate serves nobody, and the others go on', async (t) => {
  const closed = serverOf(['closed.example.org'], { action: 'closed' });
  const gateway = await startGateway(t, gatewayOf([closed, serverOf(['*'], { tls: any })]));
  await assert.rejects(connectSecure(t, gateway.port, authority, 'closed.example.org'));
  const { peer } = await connectSecure(t, gateway.port, authority, 'open.example.org');
  assert.equal(servedName(peer), 'any');
});

test('each downstream gets the certificate of the kind of key that it can check', async (t) => {
  const rsa = filesOf(folder, authority.issue('shop.example.com', 'rsa'));
  const tls = { ...shop, otherPairs: [rsa] };
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
  for (const [sigalgs, kind] of [
    ['ECDSA+SHA256', 'ec'],
    ['RSA-PSS+SHA256', 'rsa'],
  ] as const) {
    const { peer } = await connectSecure(t, gateway.port, authority, 'shop.example.com', {
      sigalgs,
    });
    assert.equal(peer.getPeerX509Certificate()?.publicKey.asymmetricKeyType, kind);
  }
});

const weak: readonly (readonly [what: string, options: object])[] = [
  ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }],
  ['a CBC suite', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }],
  ['a suite without forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }],
  ['HTTP/2 alone', { ALPNProtocols: ['h2'] }],
];

for (const [what, options] of weak) {
  test(`${what} is refused`, async (t) => {
    const gateway = await startGateway(t, threeServers);
    const refused = connectSecure(t, gateway.port, authority, 'shop.example.com', options);
    await assert.rejects(refused);
  });
}

test('TLS 1.2 is not negotiated again', async (t) => {
  const gateway = await startGateway(t, threeServers);
  const options = { maxVersion: 'TLSv1.2' as const, secureOptions: constants.SSL_OP_ALL };
  const { peer } = await connectSecure(t, gateway.port, authority, 'shop.example.com', options);
  const again = new Promise((_resolve, reject) => {
    peer.renegotiate({ rejectUnauthorized: false }, (error) => reject(error ?? new Error('done')));
    peer.once('error', reject);
  });
  await assert.rejects(again, /no renegotiation|NO_RENEGOTIATION/i);
});

test('ciphers of TLS 1.2 can be chosen', async (t) => {
  const ciphers = 'ECDHE-ECDSA-CHACHA20-POLY1305';
  const tls = { ...shop, ciphers };
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
  const twelve = { maxVersion: 'TLSv1.2' as const };
  const { peer } = await connectSecure(t, gateway.port, authority, 'a', twelve);
  assert.equal(peer.getCipher().name, ciphers);
  const other = { ...twelve, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' };
  await assert.rejects(connectSecure(t, gateway.port, authority, 'a', other));
});

test('OPTIONAL_MUTUAL serves who shows no certificate, tells of a good one, refuses a bad one', async (t) => {
  const tls = { ...shop, mode: 'optional-mutual' as const, caFile };
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
  const plain = await connectSecure(t, gateway.port, authority, 'a');
  await plain.downstream.send(
    'GET /plain HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: Hash=forged\r\n\r\n',
  );
  assert.equal((await plain.downstream.response()).status, 200);
  assert.doesNotMatch(gateway.origin.received, /client-cert/i);
  const { cert, key } = authority.issue('caller.example.com');
  const shown = await connectSecure(t, gateway.port, authority, 'a', { cert, key });
  await shown.downstream.send(getAt('a', '/shown'));
  assert.equal((await shown.downstream.response()).status, 200);
  const value = /x-forwarded-client-cert: (.*)\r\n/.exec(gateway.origin.received)?.[1];
  assert.match(
    value ?? '',
    /^Hash=[0-9a-f]{64};Subject="CN=caller.example.com";DNS=caller.example.com$/,
  );
  await gateway.telemetry.recorded(2);
  const subjects = gateway.telemetry.records
    .filter(({ kind }) => kind === RecordKind.Server)
    .map(({ target, extra }) => [target, readExtra(extra).subject]);
  assert.deepEqual(subjects, [
    ['/plain', ''],
    ['/shown', 'CN=caller.example.com'],
  ]);
  const strangers = new CertificateAuthority(mkdtempSync(join(folder, 'other-')), 'strangers');
  const stranger = strangers.issue('caller.example.com');
  const bad = await connectSecure(t, gateway.port, authority, 'a', stranger);
  await bad.downstream.closed();
  assert.match(gateway.log.join('\n'), /its certificate: /);
});

test('MUTUAL lets in who has one of the names that are asked for, and nobody else', async (t) => {
  const subjectAltNames = ['caller.example.com', 'spiffe://partner/one'];
  const tls = { ...shop, mode: 'mutual' as const, caFile, subjectAltNames };
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
  const { downstream } = await connectSecure(
    t,
    gateway.port,
    authority,
    'a',
    authority.issue('caller.example.com'),
  );
  await downstream.send(getAt('a'));
  assert.equal((await downstream.response()).status, 200);
  const other = authority.issue('other.example.com');
  const refused = await connectSecure(t, gateway.port, authority, 'a', other);
  await refused.downstream.closed();
  assert.match(gateway.log.join('\n'), /is not for caller\.example\.com or spiffe:\/\/partner/);
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`whose certificate MUTUAL refuses is in the log, with its address and why (${maxVersion})`, async (t) => {
    const tls = { ...shop, mode: 'mutual' as const, caFile };
    const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
    const strangers = new CertificateAuthority(mkdtempSync(join(folder, 'other-')), 'strangers');
    const peer = connectTls({
      ...{ port: gateway.port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], maxVersion },
      ...strangers.issue('caller.example.com'),
    });
    peer.on('error', () => undefined);
    await new Promise((settle) => peer.once('close', settle));
    const why = 'its certificate: UNABLE_TO_VERIFY_LEAF_SIGNATURE';
    assert.deepEqual(gateway.log, [`warn TLS handshake with 127.0.0.1 failed: ${why}`]);
    assert.equal(gateway.proxy.counts.failedHandshakes, 1);
    assert.equal(gateway.origin.connections.length, 0);
  });
}

test('plain text is told to come by https, and the rest of the port goes on', async (t) => {
  const servers = [
    serverOf(['shop.example.com'], { action: 'redirect' }),
    serverOf(['open.example.com']),
  ];
  const gateway = await startGateway(t, gatewayOf(servers, false));
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop.example.com', '/a?b=c'));
  const redirect = await downstream.response();
  assert.equal(redirect.status, 301);
  assert.match(redirect.head, /location: https:\/\/shop\.example\.com\/a\?b=c\r\n/);
  await downstream.send(getAt('open.example.com'));
  assert.equal((await downstream.response()).status, 200);
  await gateway.telemetry.recorded(3);
  const served = gateway.telemetry.records.filter(({ kind }) => kind === RecordKind.Server);
  assert.deepEqual(
    served.map(({ status, causeCode }) => [status, causeCode]),
    [
      [301, 0],
      [200, 0],
    ],
  );
});

test('who came by https to a trusted proxy before us is not told to; a client that says so is', async (t) => {
  const redirecting = gatewayOf([serverOf(['*'], { action: 'redirect' })], false);
  for (const [trustedHops, said, status] of [
    [1, 'https', 200],
    [1, 'HTTPS', 200],
    [1, 'http', 301],
    [1, 'wss', 301],
    [0, 'https', 301],
  ] as const) {
    const outside = { trustedHops, takesProxyHeader: false };
    const gateway = await startGateway(t, redirecting, { outside });
    const downstream = await gateway.connect();
    await downstream.send(`GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: ${said}\r\n\r\n`);
    assert.equal((await downstream.response()).status, status, `${trustedHops} hops, ${said}`);
  }
});

test('who named a port is led to the port of TLS', async (t) => {
  const http = gatewayOf([serverOf(['*'], { action: 'redirect' })], false);
  const https = {
    ...gatewayOf([serverOf(['*'], { tls: any })]),
    name: 'gateway|127.0.0.1|18443',
    port: 18_443,
  };
  const proxy = await startProxy(t, { table: tableOf([http, https], [clusterOf([1])]) });
  const downstream = await proxy.connect();
  await downstream.send(getAt('shop.example.com:8080', '/x'));
  const { head } = await downstream.response();
  assert.match(head, /location: https:\/\/shop\.example\.com:18443\/x\r\n/);
});

test('TLS that is passed through ends at the application, chosen by name', async (t) => {
  const own = authority.issue('inside.example.com');
  const application = createServer(own, (_request, response) => response.end('inside'));
  application.listen(0, '127.0.0.1');
  t.after(() => application.close());
  await new Promise((resolve) => application.once('listening', resolve));
  const { port } = application.address() as AddressInfo;
  const servers = [
    serverOf(['inside.example.com'], { action: 'relay' }),
    serverOf(['*'], { tls: any }),
  ];
  const matches = [{ sniHosts: ['inside.example.com'], subnets: [] }];
  const listener = gatewayOf(servers, true, [connectionRuleOf({ matches })]);
  const table = tableOf([listener], [clusterOf([port])]);
  const gateway = await startProxy(t, { table });
  const { peer, downstream } = await connectSecure(
    t,
    gateway.port,
    authority,
    'inside.example.com',
  );
  assert.equal(servedName(peer), 'inside.example.com');
  const [shown] = gateway.proxy.connections();
  assert.equal(shown?.relayed?.serverName, 'inside.example.com');
  await downstream.send('GET / HTTP/1.1\r\nHost: inside.example.com\r\nConnection: close\r\n\r\n');
  await downstream.untilReceived('inside');
  await downstream.ended();
  await gateway.telemetry.recorded(1);
  assert.equal(gateway.telemetry.records[0]!.target, 'inside.example.com');
  const other = await connectSecure(t, gateway.port, authority, 'a.example.org');
  assert.equal(servedName(other.peer), 'any');
});

test('a name that is passed through to nobody is closed, and the log says why', async (t) => {
  const servers = [serverOf(['*.example.com'], { action: 'relay' })];
  const gateway = await startGateway(t, gatewayOf(servers));
  await assert.rejects(connectSecure(t, gateway.port, authority, 'a.example.com'));
  assert.match(gateway.log.join('\n'), /`a\.example\.com` leads nowhere/);
});

test('a relayed connection whose endpoint refuses tries another one', async (t) => {
  const own = authority.issue('inside.example.com');
  const application = createServer(own, (_request, response) => response.end('inside'));
  application.listen(0, '127.0.0.1');
  t.after(() => application.close());
  await new Promise((resolve) => application.once('listening', resolve));
  const { port } = application.address() as AddressInfo;
  const matches = [{ sniHosts: ['inside.example.com'], subnets: [] }];
  const listener = gatewayOf([serverOf(['inside.example.com'], { action: 'relay' })], true, [
    connectionRuleOf({ matches }),
  ]);
  const gateway = await startProxy(t, { table: tableOf([listener], [clusterOf([1, port])]) });
  for (let round = 0; round < 2; round++) {
    const { peer } = await connectSecure(t, gateway.port, authority, 'inside.example.com');
    assert.equal(servedName(peer), 'inside.example.com');
    peer.destroy();
  }
});

test('a ClientHello that does not end is closed in the time of a handshake', async (t) => {
  const gateway = await startGateway(t, threeServers, { limits: { tlsHandshakeMs: 30 } });
  for (const said of ['', '\x16\x03\x01\x02\x00\x01\x00']) {
    const downstream = await gateway.connect();
    if (said !== '') await downstream.send(Buffer.from(said, 'latin1'));
    assert.equal(await downstream.ended(), 'fin');
  }
  assert.equal(gateway.proxy.counts.failedHandshakes, 2);
});

test('plain text at a port of TLS is closed', async (t) => {
  const gateway = await startGateway(t, threeServers);
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop.example.com'));
  await downstream.ended();
  assert.equal(gateway.origin.connections.length, 0);
});

test('a new table that takes a server away ends its requests by 421, and new names are served', async (t) => {
  const first = gatewayOf([
    serverOf(['old.example.org'], { tls: shop }),
    serverOf(['*'], { tls: any }),
  ]);
  const gateway = await startGateway(t, first);
  const { downstream } = await connectSecure(t, gateway.port, authority, 'old.example.org');
  await downstream.send(getAt('old.example.org'));
  assert.equal((await downstream.response()).status, 200);
  const next = gatewayOf([serverOf(['*'], { tls: any })]);
  await gateway.proxy.apply(tableOf([next], [clusterOf([gateway.origin.port])], 2));
  await downstream.send(getAt('old.example.org'));
  assert.equal((await downstream.response()).status, 421);
  const again = await connectSecure(t, gateway.port, authority, 'old.example.org');
  assert.equal(servedName(again.peer), 'any');
});

test('a renewed certificate is served to new connections, and old ones go on', async (t) => {
  const tls = filesOf(folder, authority.issue('before.example.org'));
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
  const old = await connectSecure(t, gateway.port, authority, 'a');
  const { cert, key } = authority.issue('after.example.org');
  writeFileSync(tls.certificateFile, cert);
  writeFileSync(tls.keyFile, key);
  for (let name = ''; name !== 'after.example.org'; ) {
    const { peer } = await connectSecure(t, gateway.port, authority, 'a');
    name = servedName(peer) ?? '';
    peer.destroy();
  }
  await old.downstream.send(getAt('a'));
  assert.equal((await old.downstream.response()).status, 200);
});

test('a host that no VirtualService binds has no route, whatever another wildcard says', async (t) => {
  const listener = listenerOf([], {
    name: 'gateway|127.0.0.1|0',
    virtualHosts: [
      { name: '*.example.com', domains: ['*.example.com'], rules: [ruleOf()] },
      { name: 'shop.example.com', domains: ['shop.example.com'], rules: [] },
    ],
    defaultHost: -1,
    gateway: {
      isSecure: true,
      servers: [
        serverOf(['*.example.com'], { tls: wild }),
        serverOf(['shop.example.com'], { tls: shop }),
      ],
      connectionRules: [],
    },
  });
  const gateway = await startGateway(t, listener);
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop.example.com');
  await downstream.send(getAt('shop.example.com'));
  assert.equal((await downstream.response()).status, 404);
});

test('at an edge that begins traces those of callers from outside are not continued', async (t) => {
  const trace = '0123456789abcdef0123456789abcdef';
  const context = `traceparent: 00-${trace}-0123456789abcdef-01\r\n`;
  for (const [edge, isContinued] of [
    ['honour', true],
    ['ignore', false],
  ] as const) {
    const gateway = await startGateway(t, gatewayOf([serverOf(['*'])], false), {
      tracing: { peers: [], edge, edgeResponseHeader: 'off' },
    });
    const downstream = await gateway.connect();
    await downstream.send(`GET / HTTP/1.1\r\nHost: shop\r\n${context}\r\n`);
    assert.equal((await downstream.response()).status, 200);
    assert.equal(gateway.origin.received.includes(trace), isContinued, edge);
  }
});

test('a gateway that is leaving tells its callers to go, and serves until they have', async (t) => {
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'])], false));
  const downstream = await gateway.connect();
  await downstream.send(getAt('shop'));
  assert.doesNotMatch((await downstream.response()).head, /connection: close/i);
  gateway.proxy.leave();
  await downstream.send(getAt('shop'));
  const last = await downstream.response();
  assert.equal(last.status, 200);
  assert.match(last.head, /connection: close/i);
  const next = await gateway.connect();
  await next.send(getAt('shop'));
  assert.equal((await next.response()).status, 200);
});

test('a gateway that drains listens on for callers with an old list', async (t) => {
  const time = new ManualTime();
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'])], false), { time });
  const drained = gateway.proxy.drain(20_000);
  const late = await gateway.connect();
  await late.send(getAt('shop'));
  assert.equal((await late.response()).status, 200);
  await time.advanceUntil(drained);
  assert.equal((await drained).cut, 0);
});

/** A connection to `port` whose writes are held after the first, until `release`. */
function holdingSocket(t: TestContext, port: number) {
  const raw = connect(port, '127.0.0.1');
  t.after(() => raw.destroy());
  let waiting: (() => void)[] | undefined = [];
  let writes = 0;
  const socket = new Duplex({
    read: () => undefined,
    write: (chunk, _encoding, done) => {
      const send = () => raw.write(chunk, done);
      if (writes++ === 0 || waiting === undefined) send();
      else waiting.push(send);
    },
  });
  raw.on('data', (chunk) => socket.push(chunk));
  const release = () => {
    for (const send of waiting ?? []) send();
    waiting = undefined;
  };
  return { socket, release, answered: new Promise((settle) => raw.once('data', settle)) };
}

test('a Secret renewed during a handshake does not cut it, and its connection goes on', async (t) => {
  const texts = new Map<string, string>();
  const secretOf = (digest: string): ListenerTls => {
    const { cert, key } = authority.issue('shop.example.com');
    const name = (part: string) => `secret:default/shop/${part}#${digest}`;
    texts.set(name('tls.crt'), cert).set(name('tls.key'), key);
    return { ...shop, certificateFile: name('tls.crt'), keyFile: name('tls.key') };
  };
  const [before, later] = ['aaaa', 'bbbb'].map((digest) =>
    gatewayOf([serverOf(['shop.example.com'], { tls: secretOf(digest) })]),
  ) as [Listener, Listener];
  const gateway = await startGateway(t, before, { credentials: texts });
  const { socket, release, answered } = holdingSocket(t, gateway.port);
  const name = 'shop.example.com';
  const connected = connectSecure(t, gateway.port, authority, name, { socket });
  await answered;
  for (const generation of [2, 3]) {
    const listener = generation === 2 ? later : { ...later, defaultHost: -1 };
    await gateway.proxy.apply(tableOf([listener], [clusterOf([gateway.origin.port])], generation));
  }
  release();
  const { downstream } = await connected;
  await downstream.send(getAt(name));
  assert.equal((await downstream.response()).status, 200);
});
