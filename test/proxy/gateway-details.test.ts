/**
 * What a sidecar behind a Gateway says of inside does not reach the outside, and what applications say does.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import type { AuthorizationPlan } from '../../src/model/security.ts';
import { usualSecurity } from '../../src/model/security.ts';
import { gatewayOf, serverOf, startGateway } from '../support/gateway-fixture.ts';
import { idOf, makeIdentity, makeRoot } from '../support/mesh-material.ts';
import { planOf, policyText } from '../support/policies.ts';
import { startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

/** Its sentence in the table goes on with what the detail has: outside there is none. */
const denied = 'denied: An AuthorizationPolicy denies the call, or none allows it.';

const root = makeRoot();
const ingress = { serviceAccount: 'ingress' };
const shop = { serviceAccount: 'shop' };
const plain = gatewayOf([serverOf(['*'])], false);
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** A gateway, a sidecar behind it, and an application that nobody has to be. */
async function startMesh(t: TestContext, authorization: AuthorizationPlan, port: number) {
  const far = await startProxy(t, {
    table: {
      ...tableOf([listenerOf([ruleOf()], { direction: 'inbound' })], [clusterOf([port])]),
      security: { ...usualSecurity, mode: 'strict', authorization },
    },
    mesh: makeIdentity(root, shop),
  });
  const endpoint = { address: '127.0.0.1', port: far.port, labels: {}, zone: '' };
  const cluster = clusterOf([], { endpoints: [{ ...endpoint, identity: idOf(shop) }] });
  const table = tableOf([plain], [cluster]);
  const gateway = await startProxy(t, { table, mesh: makeIdentity(root, ingress) });
  return { far, gateway };
}

const denying = planOf(
  policyText('internal-only', '{action: DENY, rules: [{to: [{operation: {paths: ["/admin"]}}]}]}'),
);

test('the name of a policy and of an account stay inside, and the connections are kept', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('shop')));
  t.after(() => origin.close());
  const { far, gateway } = await startMesh(t, denying, origin.port);
  const downstream = await gateway.connect();
  for (let request = 0; request < 2; request++) {
    await downstream.send('GET /admin HTTP/1.1\r\nHost: a\r\n\r\n');
    const { status, head, body } = await downstream.response();
    assert.equal(status, 403);
    assert.match(head, /^x-tracecar-cause: denied\r$/m);
    assert.equal(body, `${denied}\n`);
  }
  await downstream.send(get);
  assert.equal((await downstream.response()).body, 'shop');
  assert.equal(far.telemetry.metrics.connectionGauge('inbound').downstreamTotal, 1);
});

test('the address of an application that is away stays inside', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('shop')));
  await origin.close();
  const { gateway } = await startMesh(t, usualSecurity.authorization, origin.port);
  const downstream = await gateway.connect();
  await downstream.send(get);
  const { head, body } = await downstream.response();
  assert.match(head, /^x-tracecar-cause: connect-refused\r$/m);
  assert.equal(body, `connect-refused: ${failure['connect-refused'].sentence}\n`);
});

const inside = 'denied: No. (default/internal-only denies spiffe://cluster.local/ns/a/sa/b)\n';
const ours = 'Content-Type: text/plain; charset=iso-8859-1\r\nX-Tracecar-Cause: ';

const replies: readonly (readonly [what: string, reply: string, body: string])[] = [
  [
    'of a newer sidecar, only the word goes on',
    `HTTP/1.1 418 I\r\n${ours}brand-new\r\nContent-Length: ${inside.length}\r\n\r\n${inside}`,
    'brand-new\n',
  ],
  [
    'passed on in chunks, with a trailer, the sentence goes on',
    `HTTP/1.1 403 F\r\n${ours}denied\r\nTransfer-Encoding: chunked\r\nTrailer: X-In\r\n\r\n` +
      `a\r\n${inside.slice(0, 10)}\r\n${(inside.length - 10).toString(16)}\r\n${inside.slice(10)}\r\n` +
      '0\r\nX-In: default/internal-only\r\n\r\n',
    `${denied}\n`,
  ],
  [
    'about the message of the caller, all goes on',
    `HTTP/1.1 400 B\r\n${ours}protocol-error\r\nContent-Length: 9\r\n\r\n(byte 7)\n`,
    '(byte 7)\n',
  ],
  [
    'of an application that has words of its own, all goes on',
    'HTTP/1.1 403 F\r\nX-Tracecar-Cause: denied\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<p>no</p>',
    '<p>no</p>',
  ],
];

for (const [what, reply, expected] of replies) {
  test(`of a reply ${what}`, async (t) => {
    const gateway = await startGateway(t, plain, { script: answering(() => reply) });
    const downstream = await gateway.connect();
    for (let request = 0; request < 2; request++) {
      await downstream.send(get);
      const { head, body } = await downstream.response();
      assert.equal(body, expected);
      assert.doesNotMatch(head, /internal-only/);
    }
    assert.doesNotMatch(downstream.rest, /internal-only/);
    assert.equal(gateway.origin.connections.length, 1);
  });
}

test('HTTP/1.0 gets the sentence too, to the end of the connection', async (t) => {
  const reply = replies[1]![1];
  const gateway = await startGateway(t, plain, { script: answering(() => reply) });
  const downstream = await gateway.connect();
  await downstream.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  await downstream.ended();
  assert.ok(downstream.received.endsWith(`\r\n\r\n${denied}\n`));
});

test('to HEAD nothing but the word is said', async (t) => {
  const reply = `HTTP/1.1 403 F\r\n${ours}denied\r\nContent-Length: ${inside.length}\r\n\r\n`;
  const gateway = await startGateway(t, plain, { script: answering(() => reply) });
  const downstream = await gateway.connect();
  await downstream.send(get.replace('GET', 'HEAD'));
  await downstream.until(() => downstream.received.includes('\r\n\r\n'), 'the head');
  assert.match(downstream.received, /^x-tracecar-cause: denied\r$/im);
});
