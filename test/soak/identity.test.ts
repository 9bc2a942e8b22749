/**
 * Identities in their long forms: leaves of a minute renewed under load for five, all three phases of a
 * root's rotation, and an authority that is away for a whole leaf less 5 %. The shorter forms are
 * test/e2e/identity-rotation and identity-outage.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  AuthorityProcess,
  copyMesh,
  identityUntil,
  rotateWhenAllowed,
  SteadyLoad,
  startSidecarOf,
} from '../e2e/meshed-pair.ts';
import { application, temporaryFolder } from '../e2e/sidecar-process.ts';

const timeout = 500_000;

async function startPair(t: TestContext, leafSeconds: number) {
  const port = await application(t, (_request, response) => response.end('ok'));
  const authority = await AuthorityProcess.start(t, leafSeconds);
  const { folder: config, orders } = await copyMesh(t, port);
  const planOf = async (account: string) => ({
    ...{ config, authority, folder: temporaryFolder(t) },
    tokenFile: await authority.token(account),
  });
  const plans = { orders: await planOf('orders'), payments: await planOf('payments') };
  const sidecars = await Promise.all([
    startSidecarOf(t, 'orders', plans.orders),
    startSidecarOf(t, 'payments', plans.payments),
  ]);
  return { authority, orders, plans, sidecars, load: new SteadyLoad(t, orders) };
}

test('leaves of a minute are renewed for five minutes of load', { timeout }, async (t) => {
  const { load, sidecars } = await startPair(t, 60);
  // A renewal comes after 24 to 30 s.
  await Promise.all(sidecars.map((each) => identityUntil(each, (state) => state.generation >= 12)));
  await load.stop();
  t.diagnostic(`${load.answered} answered, ${load.failures.length} failed`);
  assert.deepEqual(load.failures, []);
});

test('a root is replaced in three phases under load', { timeout }, async (t) => {
  const { authority, load, sidecars } = await startPair(t, 60);
  const old = (await identityUntil(sidecars[0]!, () => true)).ownRoot;
  const all = (isSo: (state: { roots: readonly string[]; ownRoot: string }) => boolean) =>
    Promise.all(sidecars.map((each) => identityUntil(each, isSo)));
  await rotateWhenAllowed(authority);
  await all(({ roots }) => roots.length === 2);
  await rotateWhenAllowed(authority);
  await all(({ ownRoot }) => ownRoot !== old);
  await rotateWhenAllowed(authority);
  await all(({ roots }) => roots.length === 1 && !roots.includes(old));
  await load.stop();
  t.diagnostic(`${load.answered} answered, ${load.failures.length} failed`);
  assert.deepEqual(load.failures, []);
});

test('an authority is away for a leaf less 5 %, and a sidecar starts again', {
  timeout,
}, async (t) => {
  const { authority, load, orders, plans, sidecars } = await startPair(t, 200);
  const [caller, payments] = sidecars;
  await authority.stop();
  await identityUntil(payments!, ({ secondsLeft }) => secondsLeft <= 100);
  await load.stop();
  assert.deepEqual(load.failures, []);
  payments!.child.kill('SIGKILL');
  await payments!.ended;
  const again = await startSidecarOf(t, 'payments', plans.payments);
  const after = new SteadyLoad(t, orders);
  await identityUntil(again, ({ secondsLeft }) => secondsLeft <= 10);
  await authority.start();
  await Promise.all(
    [caller!, again].map((each) => identityUntil(each, (state) => state.generation >= 2)),
  );
  await after.stop();
  t.diagnostic(`${load.answered + after.answered} answered`);
  assert.deepEqual(after.failures, []);
});
