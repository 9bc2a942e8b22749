/**
 * Targets in absolute form at a Gateway (RFC 9112 section 3.2.2): taken where scheme and host are served
 * there, 421 where they are not, 400 where the Host says something else.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';
import { startPair } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-targets-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const caFile = join(folder, 'ca.crt');
const shop = filesOf(folder, authority.issue('shop.example.com'));
const admin = filesOf(folder, authority.issue('admin.example.com'));

/** Who the client is known to have called by https comes by a trusted proxy that says so. */
type By = 'tls' | 'plain' | 'https before us';

const cases: readonly (readonly [By, target: string, host: string, status: number])[] = [
  ['tls', 'https://shop.example.com/a?b', 'shop.example.com', 200],
  ['tls', 'HTTPS://Shop.Example.COM/a?b', 'shop.example.com', 200],
  ['tls', 'https://shop.example.com:443/a?b', 'shop.example.com', 200],
  ['tls', 'https://shop.example.com:8443/a?b', 'shop.example.com:8443', 200],
  ['tls', 'https://shop.example.com/x/../a?b', 'shop.example.com', 200],
  ['tls', 'https://shop.example.com:80/a?b', 'shop.example.com', 400],
  ['tls', 'https://shop.example.com/a', 'other.example.com', 400],
  ['tls', 'https://user@shop.example.com/a', 'shop.example.com', 400],
  ['tls', 'https:///a', 'shop.example.com', 400],
  ['tls', 'https:/a', 'shop.example.com', 400],
  ['tls', 'httpss://shop.example.com/a', 'shop.example.com', 400],
  ['tls', 'wss://shop.example.com/a', 'shop.example.com', 400],
  ['tls', 'http://shop.example.com/a', 'shop.example.com', 421],
  ['tls', 'https://admin.example.com/a', 'admin.example.com', 421],
  ['tls', 'https://nobody.example.org/a', 'nobody.example.org', 421],
  ['plain', 'http://shop.example.com/a?b', 'shop.example.com', 200],
  ['plain', 'https://shop.example.com/a', 'shop.example.com', 421],
  ['plain', 'http://nobody.example.org/a', 'nobody.example.org', 421],
  ['https before us', 'https://shop.example.com/a?b', 'shop.example.com', 200],
  ['https before us', 'http://shop.example.com/a?b', 'shop.example.com', 200],
];

for (const [by, target, host, status] of cases) {
  test(`${target} with Host ${host} by ${by} is answered ${status}`, async (t) => {
    const isSecure = by === 'tls';
    const servers = [
      serverOf(['shop.example.com'], isSecure ? { tls: shop } : {}),
      serverOf(['admin.example.com'], isSecure ? { tls: admin } : {}),
    ];
    const trustedHops = by === 'https before us' ? 1 : 0;
    const gateway = await startGateway(t, gatewayOf(servers, isSecure), {
      outside: { trustedHops, takesProxyHeader: false },
    });
    const downstream = isSecure
      ? (await connectSecure(t, gateway.port, authority, 'shop.example.com')).downstream
      : await gateway.connect();
    await downstream.send(
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-Proto: https\r\n\r\n`,
    );
    const answer = await downstream.response();
    assert.equal(answer.status, status, answer.body);
    if (status === 421) assert.match(answer.head, /x-tracecar-cause: misdirected/);
    const went = /^(GET .*)\r\n/.exec(gateway.origin.received)?.[1] ?? '';
    assert.equal(went, status === 200 ? 'GET /a?b HTTP/1.1' : '', 'in origin form');
  });
}

test('plain text is told to come by https in absolute form too, unless it asks for that already', async (t) => {
  const redirecting = gatewayOf([serverOf(['*'], { action: 'redirect' })], false);
  const gateway = await startGateway(t, redirecting);
  const downstream = await gateway.connect();
  await downstream.send('GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n');
  const redirect = await downstream.response();
  assert.equal(redirect.status, 301);
  assert.match(redirect.head, /location: https:\/\/a\/x\?y\r\n/);
  await downstream.send('GET https://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await downstream.response()).status, 421);
});

test('who is no gateway takes no https in a target', async (t) => {
  const sidecar = await startPair(
    t,
    answering(() => okWith('application')),
  );
  const downstream = await sidecar.connect();
  await downstream.send('GET https://service/ HTTP/1.1\r\nHost: service\r\n\r\n');
  assert.equal((await downstream.response()).status, 400);
  assert.equal(sidecar.origin.connections.length, 0);
});

/** What openssl shows of a handshake with `args`, and of its end. */
function clientShows(port: number, args: readonly string[]): Promise<string> {
  const to = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'shop.example.com'];
  const client = spawn('openssl', [...to, '-ign_eof', ...args]);
  client.stdin.end('GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n');
  let shown = '';
  client.stdout.on('data', (chunk) => {
    shown += chunk;
  });
  client.stderr.on('data', (chunk) => {
    shown += chunk;
  });
  return new Promise((resolve) => client.once('close', () => resolve(shown)));
}

test('MUTUAL tells who shows no certificate that one is required, by an alert', async (t) => {
  const tls = { ...shop, mode: 'mutual' as const, caFile };
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]));
  for (const [version, alert] of [
    ['-tls1_3', /certificate required/],
    ['-tls1_2', /handshake failure/],
  ] as const) {
    const shown = await clientShows(gateway.port, [version]);
    assert.match(shown, alert);
    assert.doesNotMatch(shown, /200 OK/);
  }
  assert.equal(gateway.origin.connections.length, 0);
});
