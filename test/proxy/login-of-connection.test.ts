/**
 * A login that holds for its connection (NTLM, Negotiate) stays with the downstream that made it; and
 * an upstream that is still being dialled ends at once when nobody wants it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { ProxyScope } from '../../src/proxy/scope/proxy-scope.ts';
import { EndpointPool } from '../../src/proxy/upstream/endpoint-pool.ts';
import {
  UpstreamConnection,
  type UpstreamUser,
} from '../../src/proxy/upstream/upstream-connection.ts';
import { MemoryTelemetry } from '../support/memory-telemetry.ts';
import { getOf, startPair } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';

for (const scheme of ['NTLM', 'Negotiate', 'negotiate']) {
  test(`who logs in by ${scheme} keeps the upstream connection, and nobody else gets it`, async (t) => {
    const { connect, origin } = await startPair(t, (upstream, index) =>
      answering(() => okWith(`connection ${index}`))(upstream, index),
    );
    const first = await connect();
    const second = await connect();
    const ask = async (downstream: typeof first, fields = ''): Promise<string> => {
      await downstream.send(getOf('/', fields));
      return (await downstream.response()).body;
    };
    assert.equal(await ask(first, `Authorization: ${scheme} TlRMTVNTUAAB\r\n`), 'connection 0');
    assert.equal(await ask(second), 'connection 1');
    assert.equal(await ask(first), 'connection 0');
    assert.equal(await ask(second), 'connection 1');
    first.finish();
    assert.equal(await first.ended(), 'fin');
    assert.equal(await (await origin.connection(0)).ended(), 'fin');
    assert.equal(await ask(second), 'connection 1');
  });
}

test('a login of the request alone leaves the connection to everybody', async (t) => {
  const { connect } = await startPair(t, (upstream, index) =>
    answering(() => okWith(`connection ${index}`))(upstream, index),
  );
  for (let count = 0; count < 2; count++) {
    const downstream = await connect();
    await downstream.send(getOf('/', 'Authorization: Basic bnRsbTpudGxt\r\n'));
    assert.equal((await downstream.response()).body, 'connection 0');
  }
});

test('an upstream that is still connecting is closed at once by a reset', async () => {
  const nobody: UpstreamUser = {
    onUpstreamConnected: () => assert.fail('connected'),
    onUpstreamBytes() {},
    onUpstreamDrained() {},
    onUpstreamEnded() {},
    onUpstreamLost() {},
    onConnectTimeout() {},
    destroy() {},
  };
  const scope = new ProxyScope({
    clock: systemClock,
    random: seededRandom(7),
    wakeUps: systemWakeUps,
    limits: trafficLimits,
    telemetry: new MemoryTelemetry(),
    log: (level, text) => assert.fail(`${level} ${text}`),
  });
  const pool = new EndpointPool(scope, '127.0.0.1', 9);
  const upstream = new UpstreamConnection(scope, pool, scope.countsOf('outbound'), nobody, 1000);
  assert.ok(upstream.socket.connecting);
  upstream.destroy(true);
  assert.ok(upstream.socket.destroyed);
});
