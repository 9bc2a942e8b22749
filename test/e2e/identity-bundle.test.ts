/**
 * Trust bundles that are wrong, with whole programs: who is nobody says why, and no secret is shown.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AuthorityProcess, copyMesh, spawnSidecar } from './meshed-pair.ts';
import { application, get, temporaryFolder } from './sidecar-process.ts';

test('a sidecar with a wrong trust bundle is not ready and says why, until it has the right one', async (t) => {
  const port = await application(t, (_request, response) => response.end('ok'));
  const authority = await AuthorityProcess.start(t, 3_600);
  const other = await AuthorityProcess.start(t, 3_600);
  const { folder } = await copyMesh(t, port);
  const bundleFile = join(temporaryFolder(t), 'roots.pem');
  writeFileSync(bundleFile, readFileSync(other.bundleFile));
  const tokenFile = await authority.token('payments');
  const sidecar = spawnSidecar(t, 'payments', {
    ...{ config: folder, authority, tokenFile, bundleFile },
  });
  const { health, reason } = await sidecar.logged(/"message":"not ready"/);
  assert.match(String(reason), /no root of the trust bundle has signed/);
  const answer = await get(String(health), '/healthz/ready');
  assert.equal(answer.status, 503);
  assert.match(
    answer.body,
    /no certificate yet: the authority at 127\.0\.0\.1:\d+ has a certificate/,
  );
  writeFileSync(bundleFile, readFileSync(authority.bundleFile));
  const { admin, metrics } = await sidecar.logged(/"message":"ready"/);
  assert.equal((await get(String(health), '/healthz/ready')).status, 200);
  const config = (await get(String(admin), '/config')).body;
  assert.match(config, /"id": "spiffe:\/\/cluster\.local\/ns\/default\/sa\/payments"/);
  const page = (await get(String(metrics), '/metrics')).body;
  assert.match(page, /^tracecar_cert_seconds_left 3[56]\d\d$/m);
  assert.match(page, /^tracecar_identity_renewals_total\{result="granted"\} 1$/m);
  const token = readFileSync(tokenFile, 'utf8').trim();
  for (const text of [config, page, ...sidecar.lines]) {
    assert.ok(!text.includes('PRIVATE KEY') && !text.includes(token), text);
  }
  writeFileSync(bundleFile, '');
  await sidecar.logged(/holds no certificate; the bundle read before stays in use/);
  assert.equal((await get(String(health), '/healthz/ready')).status, 200);
});
