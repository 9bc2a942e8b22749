/**
 * The end of a certificate that nobody renewed, with whole programs: calls fail, none is made in plain,
 * and all is well again as soon as the authority is.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuthorityProcess, copyMesh, identityUntil, startSidecarOf } from './meshed-pair.ts';
import { application, get } from './sidecar-process.ts';

test('calls fail closed when the certificates have ended, and go on when there are new ones', async (t) => {
  let heard = 0;
  const port = await application(t, (_request, response) => {
    heard += 1;
    response.end('ok');
  });
  const authority = await AuthorityProcess.start(t, 10);
  const { folder: config, orders } = await copyMesh(t, port);
  const [ordersToken, paymentsToken] = await Promise.all([
    authority.token('orders'),
    authority.token('payments'),
  ]);
  const sidecars = await Promise.all([
    startSidecarOf(t, 'orders', { config, authority, tokenFile: ordersToken }),
    startSidecarOf(t, 'payments', { config, authority, tokenFile: paymentsToken }),
  ]);
  const caller = `127.0.0.1:${orders}`;
  assert.equal((await get(caller, '/')).status, 200);
  await authority.stop();
  const [ended] = await Promise.all(
    sidecars.map((each) => each.logged(/"level":"error".*the certificate has ended/)),
  );
  assert.match(ended!.message, /nobody of the mesh is reached: .* refuses connections/);
  const before = heard;
  const refused = await get(caller, '/');
  assert.equal(refused.status, 502);
  assert.match(refused.body, /^tls-/);
  assert.equal(heard, before, 'nothing of it reached the application');
  await authority.start();
  await Promise.all(
    sidecars.map((each) => identityUntil(each, ({ secondsLeft }) => secondsLeft > 0)),
  );
  assert.equal((await get(caller, '/')).status, 200);
});
