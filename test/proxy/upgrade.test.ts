/**
 * Upgrades are not relayed yet: the request is an ordinary one, and the operator is told.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCapture } from '../support/capture-fixture.ts';
import { getOf } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';

const webSocket =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

test('a WebSocket upgrade goes on as an ordinary request, told once for each listener', async (t) => {
  const [web, other] = await Promise.all(
    ['web', 'other'].map((name) => RawOrigin.start(answering(() => okWith(name)))),
  );
  t.after(() => Promise.all([web!.close(), other!.close()]));
  const proxy = await startCapture(t);
  for (const { port } of [web!, web!, other!]) {
    const downstream = await proxy.inbound(port);
    for (let request = 0; request < 2; request++) {
      await downstream.send(getOf('/chat', webSocket));
      assert.equal((await downstream.response()).status, 200);
    }
  }
  assert.doesNotMatch(web!.received, /^upgrade:/im);
  const told = proxy.log.filter((line) => /upgrade to websocket is not relayed yet/.test(line));
  assert.deepEqual(
    told.map((line) => /skip-inbound-ports: "(\d+)"/.exec(line)?.[1]),
    [String(web!.port), String(other!.port)],
  );
  assert.equal(proxy.proxy.counts.strippedUpgrades, 6);
});

test('nothing is said of an offer of h2c', async (t) => {
  const web = await RawOrigin.start(answering(() => okWith('web')));
  t.after(() => web.close());
  const proxy = await startCapture(t);
  const downstream = await proxy.inbound(web.port);
  const offer =
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  await downstream.send(getOf('/', offer));
  assert.equal((await downstream.response()).status, 200);
  assert.doesNotMatch(proxy.log.join('\n'), /upgrade/);
  assert.equal(proxy.proxy.counts.strippedUpgrades, 0);
});
