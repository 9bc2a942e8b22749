/**
 * The proof of the redirection rules, with a loopback address in place of the sentinel: what stands
 * there in place of the kernel's rules is the test. With real rules: test/e2e/namespaces/start.test.ts.
 */

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';
import { Sentinel, sentinels } from '../../src/proxy/sentinel.ts';
import { freePorts } from '../e2e/sidecar-process.ts';
import { startCapture } from '../support/capture-fixture.ts';

const addresses = { v4: '127.0.0.1', v6: '::1' };
const enoughMs = 5_000;

type OnAccepted = (sentinel: Sentinel, port: number, accepted: Socket) => void;

/** A sentinel at which `onAccepted` decides what becomes of a dial. */
async function sentinelWith(t: TestContext, onAccepted: OnAccepted, wakeUps = systemWakeUps) {
  const server = createServer((accepted) => {
    accepted.on('error', () => undefined);
    t.after(() => accepted.destroy());
    onAccepted(sentinel, port(), accepted);
  });
  const port = () => (server.address() as AddressInfo).port;
  const sentinel = new Sentinel(wakeUps, port, addresses);
  await new Promise<void>((settle) => server.listen(0, '::', settle));
  t.after(() => server.close());
  return { sentinel, port: port() };
}

const takes: OnAccepted = (sentinel, port, accepted) => {
  const address = accepted.localAddress === '::1' ? '::1' : '127.0.0.1';
  assert.ok(sentinel.takes({ address, port }));
  accepted.destroy();
};

test('dials of both families that come back are the proof', async (t) => {
  const { sentinel } = await sentinelWith(t, takes);
  assert.equal(await sentinel.prove(['v4', 'v6'], enoughMs), '');
  assert.equal(await sentinel.prove(['v6'], enoughMs), '');
});

test('one family that does not come back is no proof', async (t) => {
  const { sentinel, port } = await sentinelWith(t, (sentinel, port, accepted) => {
    if (accepted.localAddress === '::1') accepted.destroy();
    else takes(sentinel, port, accepted);
  });
  const problem = (await sentinel.prove(['v4', 'v6'], enoughMs)) ?? '';
  assert.match(problem, /not in force .*another host answers/);
  assert.ok(problem.endsWith(`for a dial of the sentinel [::1]:${port}`), problem);
});

test('no family proves nothing and finds nothing wrong', async () => {
  const sentinel = new Sentinel(systemWakeUps, () => 1);
  assert.equal(await sentinel.prove([], 1), '');
});

test('without rules the reason is named, with how to look', async () => {
  const [port] = (await freePorts(1)) as [number];
  const sentinel = new Sentinel(systemWakeUps, () => port, addresses);
  const problem = await sentinel.prove(['v4'], enoughMs);
  assert.match(
    problem!,
    /^the redirection rules of this pod are not in force \(did `tracecar init` run here\? `nft list table inet tracecar` shows them\): ECONNREFUSED, for a dial of the sentinel 127\.0\.0\.1:\d+$/,
  );
});

test('only the sentinel on the outbound port is one', () => {
  const sentinel = new Sentinel(systemWakeUps, () => 15_001);
  for (const address of Object.values(sentinels)) {
    assert.equal(sentinel.takes({ address, port: 15_001 }), true);
    assert.equal(sentinel.takes({ address, port: 15_006 }), false);
  }
  assert.equal(sentinel.takes({ address: '192.0.2.2', port: 15_001 }), false);
});

test('a dial that is not answered in its time is no proof', async (t) => {
  const { sentinel } = await sentinelWith(t, () => undefined);
  const problem = await sentinel.prove(['v4'], 20);
  assert.match(problem!, /not in force .*another host answers/);
});

test('a dial that came back while our own thread stood still is a proof', async (t) => {
  // The time is over before any socket is heard.
  const late: WakeUps = { after: (_delayMs, call) => systemWakeUps.after(0, call) };
  const { sentinel } = await sentinelWith(t, takes, late);
  assert.equal(await sentinel.prove(['v4'], 1), '');
});

test('an original destination that cannot be read is named instead of the rules', async (t) => {
  const misread: OnAccepted = (sentinel, _port, accepted) => {
    sentinel.misread(undefined);
    accepted.destroy();
  };
  const { sentinel } = await sentinelWith(t, misread);
  const problem = await sentinel.prove(['v4'], enoughMs);
  assert.match(problem!, /^the original destination reads as nothing, for a dial of the sentinel/);
});

test('a connection to the sentinel ends here, whoever dialled it, and is never passed on', async (t) => {
  const proxy = await startCapture(t);
  for (const address of [sentinels.v4, sentinels.v6]) {
    const downstream = await proxy.outbound({ address, port: proxy.outboundPort });
    assert.equal(await downstream.ended(), 'fin');
    downstream.finish();
    assert.equal(downstream.received, '');
  }
  assert.equal(proxy.proxy.counts.refusedCaptures, 0);
  assert.equal(proxy.proxy.snapshot().connections.upstreamOpen, 0);
  assert.deepEqual(proxy.telemetry.records, []);
});

test('a proxy without room for a connection still sees its own proof', async (t) => {
  const proxy = await startCapture(t, { limits: { connectionsMax: 0 } });
  // Resolves when its destination is asked for.
  const taken = await proxy.outbound({ address: sentinels.v4, port: proxy.outboundPort });
  assert.notEqual(await taken.ended(), 'open');
  taken.finish();
  assert.equal(proxy.proxy.counts.refusedConnections, 1);
});
