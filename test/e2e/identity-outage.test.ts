/**
 * An authority that is away, and trust bundles that are wrong: who is somebody stays so, who is nobody
 * says why.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AuthorityProcess,
  copyMesh,
  identityUntil,
  SteadyLoad,
  spawnSidecar,
  startSidecarOf,
} from './meshed-pair.ts';
import { application, get, temporaryFolder } from './sidecar-process.ts';

test('an authority may be away for most of a certificate, and a sidecar start again meanwhile', async (t) => {
  const port = await application(t, (_request, response) => response.end('ok'));
  const authority = await AuthorityProcess.start(t, 15);
  const { folder: config, orders } = await copyMesh(t, port);
  const folder = temporaryFolder(t);
  const plans = {
    orders: { config, authority, tokenFile: await authority.token('orders') },
    payments: { config, authority, tokenFile: await authority.token('payments'), folder },
  };
  const caller = await startSidecarOf(t, 'orders', plans.orders);
  const first = await startSidecarOf(t, 'payments', plans.payments);
  await authority.stop();
  first.child.kill('SIGKILL');
  await first.ended;
  const again = await startSidecarOf(t, 'payments', plans.payments);
  const load = new SteadyLoad(t, orders);
  const both = [caller, again];
  // Half of a life is over: both have asked for the next one.
  const states = await Promise.all(
    both.map((each) =>
      identityUntil(each, ({ problem, secondsLeft }) => problem !== '' && secondsLeft <= 7),
    ),
  );
  for (const { generation, problem } of states) {
    assert.equal(generation, 1);
    assert.match(problem, /refuses connections; does `tracecar ca` run there\?/);
  }
  await authority.start();
  await Promise.all(both.map((each) => identityUntil(each, (state) => state.generation === 2)));
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.answered > 100, `${load.answered}`);
});

test('a sidecar with a wrong trust bundle is not ready and says why, until it has the right one', async (t) => {
  const port = await application(t, (_request, response) => response.end('ok'));
  const authority = await AuthorityProcess.start(t, 3_600);
  const other = await AuthorityProcess.start(t, 3_600);
  const { folder: config } = await copyMesh(t, port);
  const bundleFile = join(temporaryFolder(t), 'roots.pem');
  writeFileSync(bundleFile, readFileSync(other.bundleFile));
  const tokenFile = await authority.token('payments');
  const sidecar = spawnSidecar(t, 'payments', { config, authority, tokenFile, bundleFile });
  const { health, reason } = await sidecar.logged(/"message":"not ready"/);
  assert.match(String(reason), /no root of the trust bundle has signed/);
  const answer = await get(String(health), '/healthz/ready');
  assert.equal(answer.status, 503);
  assert.match(
    answer.body,
    /no certificate yet: the authority at 127\.0\.0\.1:\d+ has a certificate/,
  );
  writeFileSync(bundleFile, readFileSync(authority.bundleFile));
  await sidecar.logged(/"message":"ready"/);
  assert.equal((await get(String(health), '/healthz/ready')).status, 200);
  writeFileSync(bundleFile, '');
  await sidecar.logged(/holds no certificate; the bundle read before stays in use/);
  assert.equal((await get(String(health), '/healthz/ready')).status, 200);
});
