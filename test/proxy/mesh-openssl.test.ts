/** The dialling half of the mesh's mutual TLS against another program: `openssl s_server`. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import {
  idOf,
  type MeshSigner,
  makeIdentity,
  makeLeaf,
  makeRoot,
} from '../support/mesh-material.ts';
import { getOf, startProxy } from '../support/proxy-fixture.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-openssl-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const root = makeRoot();
const web = { serviceAccount: 'web' };
const shop = { serviceAccount: 'shop' };

/** One that answers every request with a page about its TLS; resolves with its port. */
async function startServer(
  t: TestContext,
  trusted: MeshSigner,
  more: readonly string[] = [],
  terms: Parameters<typeof makeLeaf>[1] = shop,
): Promise<number> {
  const place = mkdtempSync(join(folder, 'server-'));
  const leaf = makeLeaf(root, terms);
  writeFileSync(join(place, 'cert.pem'), leaf.certificates);
  writeFileSync(join(place, 'key.pem'), leaf.privateKey);
  writeFileSync(join(place, 'roots.pem'), trusted.roots);
  const files = ['-cert', 'cert.pem', '-key', 'key.pem', '-CAfile', 'roots.pem'];
  const asks = ['-Verify', '2', '-verify_return_error', '-alpn', 'tracecar/1', '-www'];
  const args = ['s_server', '-accept', '127.0.0.1:0', ...files, ...asks, ...more];
  const child = spawn('openssl', args, { cwd: place, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  child.stderr.resume();
  let said = '';
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`openssl s_server ended: ${said}`)));
    child.stdout.on('data', (chunk) => {
      said += String(chunk);
      const port = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
}

async function ask(t: TestContext, port: number) {
  const endpoint = { address: '127.0.0.1', port, labels: {}, zone: '', identity: idOf(shop) };
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([], { endpoints: [endpoint] })]);
  const { connect } = await startProxy(t, { table, mesh: makeIdentity(root, web) });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const { status, head, body } = await downstream.response();
  return { status, cause: /^x-tracecar-cause: (.*)$/im.exec(head)?.[1] ?? '', body };
}

test('openssl takes our handshake, and finds TLS 1.3 and our certificate', async (t) => {
  const { status, body } = await ask(t, await startServer(t, root));
  assert.equal(status, 200);
  assert.match(body, /New, TLSv1\.3, Cipher is TLS_AES_128_GCM_SHA256/);
  assert.match(body, /Client certificate/);
  assert.match(body, /spiffe:\/\/cluster\.local\/ns\/default\/sa\/web/);
});

test('a peer that does not trust our root says so by an alert: tls-unknown-ca', async (t) => {
  const { status, cause } = await ask(t, await startServer(t, makeRoot()));
  assert.equal(status, 502);
  assert.equal(cause, 'tls-unknown-ca');
});

test('without TLS 1.3 there is no handshake: tls-failed', async (t) => {
  const { cause, body } = await ask(t, await startServer(t, root, ['-tls1_2']));
  assert.equal(cause, 'tls-failed');
  assert.match(body, /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/);
});

test('the certificate of another workload: tls-wrong-identity', async (t) => {
  const { cause } = await ask(t, await startServer(t, root, [], { serviceAccount: 'thief' }));
  assert.equal(cause, 'tls-wrong-identity');
});
