/**
 * An authority that is away, with whole programs: who is somebody stays so.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthorityProcess,
  copyMesh,
  identityUntil,
  SteadyLoad,
  startSidecarOf,
} from './meshed-pair.ts';
import { application, temporaryFolder } from './sidecar-process.ts';

test('an authority may be away for most of a certificate, and a sidecar start again meanwhile', async (t) => {
  const port = await application(t, (_request, response) => response.end('ok'));
  const authority = await AuthorityProcess.start(t, 20);
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
  // Nearly half of a life is over: both have asked for the next one.
  const states = await Promise.all(
    both.map((each) =>
      identityUntil(each, ({ problem, secondsLeft }) => problem !== '' && secondsLeft <= 11),
    ),
  );
  for (const { problem } of states) {
    assert.match(problem, /refuses connections; does `tracecar ca` run there\?/);
  }
  await authority.start();
  await Promise.all(
    both.map((each, index) =>
      identityUntil(each, ({ generation }) => generation > states[index]!.generation),
    ),
  );
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.answered > 20, `${load.answered}`);
});
