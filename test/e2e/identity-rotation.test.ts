/**
 * Certificates and roots change under load: nobody's request fails, and what is under way goes on.
 *
 * The leaves live fourteen seconds, so that a renewal comes after six or seven and a slow machine has as
 * long again; test/soak has the long form, with all three phases.
 */

import assert from 'node:assert/strict';
import { request, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import {
  AuthorityProcess,
  copyMesh,
  identityUntil,
  rotateWhenAllowed,
  SteadyLoad,
  startSidecarOf,
} from './meshed-pair.ts';
import { application } from './sidecar-process.ts';

test('new certificates from a new root come under load: no request fails, and what is under way goes on', async (t) => {
  let held: ServerResponse | undefined;
  const port = await application(t, ({ headers, url }, response) => {
    if (url === '/long') {
      held = response;
      response.write(`${headers['x-forwarded-client-cert']}\n`);
    } else response.end('ok');
  });
  const authority = await AuthorityProcess.start(t, 14);
  const { folder: config, orders } = await copyMesh(t, port);
  const [ordersToken, paymentsToken] = await Promise.all([
    authority.token('orders'),
    authority.token('payments'),
  ]);
  const sidecars = await Promise.all([
    startSidecarOf(t, 'orders', { config, authority, tokenFile: ordersToken }),
    startSidecarOf(t, 'payments', { config, authority, tokenFile: paymentsToken }),
  ]);
  const load = new SteadyLoad(t, orders);
  const long = openLong(orders);
  // The second phase may begin when both sidecars have told that they believe both roots.
  await rotateWhenAllowed(authority);
  const [state] = await Promise.all(
    sidecars.map((each) => identityUntil(each, ({ roots }) => roots.length === 2)),
  );
  await rotateWhenAllowed(authority);
  const next = state!.roots.find((root) => root !== state!.ownRoot);
  await Promise.all(sidecars.map((each) => identityUntil(each, ({ ownRoot }) => ownRoot === next)));
  const answered = load.answered;
  while (load.answered < answered + 50 && load.failures.length === 0) {
    await new Promise((settle) => setTimeout(settle, 20));
  }
  held!.end('and it has ended well');
  assert.match(await long, /^.*URI=spiffe:.*\/sa\/orders\nand it has ended well$/);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.answered > 20, `${load.answered}`);
});

/** The whole answer of a request that the test ends. */
function openLong(port: number): Promise<string> {
  return new Promise((settle, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: '/long', agent: false });
    sent.on('error', reject).on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => settle(body)).on('error', reject);
    });
    sent.end();
  });
}
