/**
 * Gateways as curl and openssl s_client see them.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CertificateAuthority } from '../support/certificates.ts';
import { filesOf, gatewayOf, serverOf, startGateway } from '../support/gateway-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-gateway-peers-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const caFile = join(folder, 'ca.crt');
const shop = filesOf(folder, authority.issue('shop.example.com'));
const wild = filesOf(folder, authority.issue('*.example.com'));
const own = filesOf(folder, authority.issue('caller.example.com'));
const listener = gatewayOf([
  serverOf(['shop.example.com'], { tls: { ...shop, mode: 'mutual', caFile } }),
  serverOf(['*.example.com'], { tls: wild }),
]);

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly problem: string;
}

function run(program: string, args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((settle) => {
    const child = execFile(program, [...args], { timeout: 20_000 }, (error, output, problem) => {
      const status = error === null ? 0 : Number(error.code ?? -1);
      settle({ status, output, problem });
    });
    child.stdin?.end(input);
  });
}

/** What curl says of a URL whose host is our gateway. */
function curl(port: number, host: string, ...more: readonly string[]): Promise<Ended> {
  const where = ['--cacert', caFile, '--resolve', `${host}:${port}:127.0.0.1`];
  const how = ['--silent', '--show-error', '--write-out', ' %{http_code} %{http_version}'];
  return run('curl', [...how, ...where, ...more, `https://${host}:${port}/`]);
}

test('curl is served by name, checks the certificate, and speaks HTTP/1.1', async (t) => {
  const gateway = await startGateway(t, listener);
  const { output } = await curl(gateway.port, 'blog.example.com');
  assert.equal(output, 'application 200 1.1');
});

test('curl without a certificate is refused where one is asked for, and with one is served', async (t) => {
  const gateway = await startGateway(t, listener);
  const refused = await curl(gateway.port, 'shop.example.com');
  assert.notEqual(refused.status, 0);
  assert.match(refused.problem, /certificate required/i);
  const pair = ['--cert', own.certificateFile, '--key', own.keyFile];
  const { output } = await curl(gateway.port, 'shop.example.com', ...pair);
  assert.equal(output, 'application 200 1.1');
});

test('curl for a name that nobody serves hears unrecognized_name', async (t) => {
  const gateway = await startGateway(t, listener);
  const { status, problem } = await curl(gateway.port, 'shop.example.org');
  assert.equal(status, 35);
  assert.match(problem, /unrecognized name/i);
});

const clients: readonly (readonly [what: string, args: readonly string[], said: RegExp])[] = [
  ['with the wildcard’s name', ['-servername', 'a.example.com'], /subject=CN ?= ?\*\.example\.com/],
  ['in upper case', ['-servername', 'A.EXAMPLE.COM'], /subject=CN ?= ?\*\.example\.com/],
  ['without a name', ['-noservername'], /no peer certificate available/],
  ['of TLS 1.1', ['-servername', 'a.example.com', '-tls1_1'], /no peer certificate available/],
  ['that wants HTTP/2', ['-servername', 'a.example.com', '-alpn', 'h2'], /no peer certificate/],
  ['of TLS 1.2', ['-servername', 'a.example.com', '-tls1_2'], /Compression: NONE[\s\S]*TLSv1\.2/],
];

for (const [what, args, said] of clients) {
  test(`openssl s_client ${what} sees ${said.source}`, async (t) => {
    const gateway = await startGateway(t, listener);
    const to = ['s_client', '-connect', `127.0.0.1:${gateway.port}`, '-CAfile', caFile];
    const { output } = await run('openssl', [...to, ...args]);
    assert.match(output, said);
  });
}
