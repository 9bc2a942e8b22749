/**
 * testssl.sh against a Gateway: what a stranger who knows every weakness of TLS finds.
 *
 * Needs `npm run peers testssl`; skipped with that command where it is missing.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { accessSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { CertificateAuthority } from '../support/certificates.ts';
import { filesOf, gatewayOf, serverOf, startGateway } from '../support/gateway-fixture.ts';
import { skipWithout } from '../support/skip-without.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-testssl-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/**
 * About testssl.sh's own openssl, and a check of it that asks for no name, which nobody serves; the test
 * below it asks with one.
 */
const notOurs = ['engine_problem', 'secure_renego'];

function isThere(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((path) => {
    try {
      accessSync(join(path, program));
      return true;
    } catch {
      return false;
    }
  });
}

const reason = isThere('testssl') ? undefined : 'needs testssl.sh: npm run peers testssl';
const skip = skipWithout(import.meta.filename, reason);

/** Output of a program; its status is not looked at. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((settle) => {
    const options = { timeout: 300_000, maxBuffer: 16 * 1024 * 1024 };
    const child = execFile(program, [...args], options, (_error, output) => settle(output));
    child.stdin?.end();
  });
}

test('testssl.sh finds no weakness at a gateway with both kinds of key', { skip }, async (t) => {
  const authority = new CertificateAuthority(folder);
  const name = 'shop.example.com';
  const rsa = filesOf(folder, authority.issue(name, 'rsa'));
  const tls = { ...filesOf(folder, authority.issue(name)), otherPairs: [rsa] };
  const gateway = await startGateway(t, gatewayOf([serverOf([name], { tls })]));
  const file = join(folder, 'findings.json');
  const checks = ['-p', '-s', '-f', '-U', '--quiet', '--color', '0', '--warnings', 'off'];
  const where = ['--ip', '127.0.0.1', `${name}:${gateway.port}`];
  const output = await run('testssl', [...checks, '--jsonfile', file, ...where]);
  const findings = JSON.parse(readFileSync(file, 'utf8')) as Finding[];
  const of = (id: string) => findings.find((each) => each.id === id)?.finding ?? `none\n${output}`;
  const weak = findings.filter(
    ({ id, severity }) => !['OK', 'INFO'].includes(severity) && !notOurs.includes(id),
  );
  assert.deepEqual(weak, []);
  for (const version of ['SSLv2', 'SSLv3', 'TLS1', 'TLS1_1']) {
    assert.match(of(version), /^not offered/);
  }
  assert.match(of('TLS1_2'), /^offered/);
  assert.match(of('TLS1_3'), /^offered/);
  assert.equal(of('cipherlist_AVERAGE'), 'not offered');
  assert.match(of('secure_client_renego'), /not vulnerable/);
  assert.ok(findings.length > 35, `${findings.length} findings`);
  const address = `127.0.0.1:${gateway.port}`;
  const client = ['s_client', '-connect', address, '-servername', name, '-tls1_2'];
  assert.match(await run('openssl', client), /Secure Renegotiation IS supported/);
});
