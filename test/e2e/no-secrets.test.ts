/**
 * No port and no log line of a sidecar with an identity shows its key or its token, and no other host
 * is answered on the admin port.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { AuthorityProcess, copyMesh, startSidecarOf } from './meshed-pair.ts';
import { application, get, temporaryFolder } from './sidecar-process.ts';

function statusFor(address: string, host: string): Promise<number | undefined> {
  return new Promise((settle, reject) => {
    const asked = request(`http://${address}/config`, { headers: { host }, agent: false });
    asked.on('error', reject);
    asked.on('response', (response) => {
      response.resume();
      response.on('end', () => settle(response.statusCode));
    });
    asked.end();
  });
}

test('no page and no line of the log holds the key or the token', {
  timeout: 60_000,
}, async (t) => {
  const authority = await AuthorityProcess.start(t, 3_600);
  const port = await application(t, (_request, response) => response.end('paid'));
  const { folder: config, payments } = await copyMesh(t, port);
  const tokenFile = await authority.token('payments');
  const folder = temporaryFolder(t);
  const sidecar = await startSidecarOf(t, 'payments', { config, authority, tokenFile, folder });
  await get(`127.0.0.1:${payments}`, '/pay');

  const kept = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  const keys = kept.join('\n').match(/-----BEGIN PRIVATE KEY-----[^-]+/g) ?? [];
  assert.equal(keys.length, 1, 'the folder of the identity has the key');
  // The second line of the key is of the private half, as its first begins with names of algorithms.
  const [, , secret] = keys[0]!.split(/\\n|\n/);
  const token = readFileSync(tokenFile, 'utf8').trim();
  assert.ok(secret!.length > 20 && token.length > 20);

  const { admin, health, metrics } = sidecar;
  const list = (await get(admin, '/')).body;
  const pages = [...list.matchAll(/^ {2}(\/\S+)/gm)].map(([, path]) => `${admin}${path}`);
  assert.ok(pages.length > 6, list);
  const shown = [...pages, `${metrics}/metrics`, `${health}/healthz/ready`];
  for (const page of shown) {
    const [address = '', ...path] = page.split('/');
    const { status, body } = await get(address, `/${path.join('/')}`);
    assert.equal(status, 200, page);
    for (const hidden of [secret!, token, 'PRIVATE KEY']) {
      assert.ok(!body.includes(hidden), `${page} shows a secret`);
    }
  }
  const log = sidecar.lines.join('\n');
  for (const hidden of [secret!, token, 'PRIVATE KEY']) assert.ok(!log.includes(hidden));
  assert.match((await get(admin, '/config')).body, /"id": "spiffe:\/\/cluster\.local\/ns\/default/);

  assert.equal(await statusFor(admin, 'mesh.example'), 403);
  assert.equal(await statusFor(admin, admin), 200);
});
