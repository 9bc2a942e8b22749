/**
 * The proof of the redirection rules, with a loopback address in place of the sentinel: what stands
 * there in place of the kernel's rules is the test. With real rules: test/e2e/namespaces/start.test.ts.
 */

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';
import type { Direction } from '../../src/model/routing-table.ts';
import { type Family, hasRoute, Sentinel, sentinels } from '../../src/proxy/capture/sentinel.ts';

import { startCapture } from '../support/capture-fixture.ts';

const addresses = { v4: '127.0.0.1', v6: '::1' };
const enoughMs = 20_000;
const portInPod = (direction: Direction) => (direction === 'outbound' ? 15_001 : 15_006);
const outbound = (...families: Family[]) =>
  families.map((family) => ({ direction: 'outbound', family }) as const);
const inbound = (...families: Family[]) =>
  families.map((family) => ({ direction: 'inbound', family }) as const);

type OnAccepted = (sentinel: Sentinel, port: number, accepted: Socket) => void;

/** A sentinel at which `onAccepted` decides what becomes of a dial. */
async function sentinelWith(t: TestContext, onAccepted: OnAccepted, wakeUps = systemWakeUps) {
  const server = createServer((accepted) => {
    accepted.on('error', () => undefined);
    t.after(() => accepted.destroy());
    onAccepted(sentinel, port(), accepted);
  });
  const port = () => (server.address() as AddressInfo).port;
  const sentinel = new Sentinel(wakeUps, port, { addresses });
  await new Promise<void>((settle) => server.listen(0, '::', settle));
  t.after(() => server.close());
  return { sentinel, port: port() };
}

const takes: OnAccepted = (sentinel, port, accepted) => {
  const address = accepted.localAddress === '::1' ? '::1' : '127.0.0.1';
  for (const direction of ['outbound', 'inbound'] as const) {
    assert.ok(sentinel.takes({ address, port }, direction));
  }
  accepted.destroy();
};

test('dials of both families and directions that come back are the proof', async (t) => {
  const { sentinel } = await sentinelWith(t, takes);
  const all = [...outbound('v4', 'v6'), ...inbound('v4', 'v6')];
  assert.equal(await sentinel.prove(all, enoughMs), '');
  assert.equal(await sentinel.prove(inbound('v6'), enoughMs), '');
});

test('a direction whose dial does not come back is named, and the other proves nothing for it', async (t) => {
  for (const missing of ['outbound', 'inbound'] as const) {
    const server = createServer((accepted) => {
      const address = '127.0.0.1';
      const there = missing === 'outbound' ? 'inbound' : 'outbound';
      sentinel.takes({ address, port: accepted.localPort! }, there);
      accepted.destroy();
    });
    const port = () => (server.address() as AddressInfo).port;
    const [closed] = (await freePorts(1)) as [number];
    const sentinel = new Sentinel(
      systemWakeUps,
      (direction) => (direction === missing ? closed : port()),
      { addresses },
    );
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    t.after(() => server.close());
    const problem = await sentinel.prove([...outbound('v4'), ...inbound('v4')], enoughMs);
    const expected = `^the ${missing} redirection rules of this pod are not in force .*: ECONNREFUSED, .* 127\\.0\\.0\\.1:${closed}$`;
    assert.match(problem!, new RegExp(expected));
  }
});

test('a dial of the sentinel that came by the rules of the other direction is no proof', async (t) => {
  const { sentinel } = await sentinelWith(t, (sentinel, port, accepted) => {
    assert.ok(sentinel.takes({ address: '127.0.0.1', port }, 'outbound'));
    accepted.destroy();
  });
  const problem = await sentinel.prove(inbound('v4'), enoughMs);
  assert.match(problem!, /^the inbound redirection rules .* another host answers/);
});

test('one family that does not come back is no proof', async (t) => {
  const { sentinel, port } = await sentinelWith(t, (sentinel, port, accepted) => {
    if (accepted.localAddress === '::1') accepted.destroy();
    else takes(sentinel, port, accepted);
  });
  const problem = (await sentinel.prove(outbound('v4', 'v6'), enoughMs)) ?? '';
  assert.match(problem, /not in force .*another host answers/);
  assert.ok(problem.endsWith(`for a dial of the sentinel [::1]:${port}`), problem);
});

test('a pod without an address of any family that we listen for has no proof', async () => {
  const sentinel = new Sentinel(systemWakeUps, portInPod);
  const problem = await sentinel.prove([], 1);
  assert.match(
    problem!,
    /^this pod has no address .* nothing proves its redirection rules .*POD_IPS/,
  );
});

test('a proxy in a pod that has loopback alone is not proven', async (t) => {
  const { proxy } = await startCapture(t, { ownAddresses: [] });
  assert.match((await proxy.proveRedirection(enoughMs))!, /^this pod has no address/);
});

test('without rules the reason is named, with how to look', async () => {
  const [port] = (await freePorts(1)) as [number];
  const sentinel = new Sentinel(systemWakeUps, () => port, { addresses });
  const problem = await sentinel.prove([...outbound('v4'), ...inbound('v4')], enoughMs);
  assert.match(
    problem!,
    /^the redirection rules of this pod are not in force \(did `tracecar init` run here\? `nft list table inet tracecar` shows them\): ECONNREFUSED, for a dial of the sentinel 127\.0\.0\.1:\d+$/,
  );
});

test('only the sentinel on the ports of the captures is one', () => {
  const sentinel = new Sentinel(systemWakeUps, portInPod);
  for (const direction of ['outbound', 'inbound'] as const) {
    for (const address of Object.values(sentinels)) {
      assert.equal(sentinel.takes({ address, port: 15_001 }, direction), true);
      assert.equal(sentinel.takes({ address, port: 15_006 }, direction), true);
      assert.equal(sentinel.takes({ address, port: 15_021 }, direction), false);
    }
    assert.equal(sentinel.takes({ address: '192.0.2.2', port: 15_001 }, direction), false);
  }
});

/** A dial of it ends at once with ENETUNREACH, whatever the routes are: TCP has no groups. */
const group = '224.0.0.1';

/** The sentinel of IPv4 is out of reach, and that of IPv6 comes back unless `v6` says otherwise. */
async function outOfReach(t: TestContext, isRouted: () => boolean, v6 = '::1') {
  const server = createServer((accepted) => {
    for (const direction of ['outbound', 'inbound'] as const) {
      sentinel.takes({ address: '::1', port: accepted.localPort! }, direction);
    }
    accepted.destroy();
  });
  const told: string[] = [];
  const sentinel = new Sentinel(systemWakeUps, () => (server.address() as AddressInfo).port, {
    addresses: { v4: group, v6 },
    hasRoute: async (address) => {
      assert.notEqual(address, '::1');
      return isRouted();
    },
    tell: (text) => told.push(text),
  });
  await new Promise<void>((settle) => server.listen(0, '::1', settle));
  t.after(() => server.close());
  return { sentinel, told };
}

test('a family without a route is left out where the other one is proven, and told once', async (t) => {
  const { sentinel, told } = await outOfReach(t, () => false);
  const all = [...outbound('v4', 'v6'), ...inbound('v4', 'v6')];
  for (let times = 0; times < 2; times++) assert.equal(await sentinel.prove(all, enoughMs), '');
  assert.deepEqual(told, [
    `the redirection rules of IPv4 are not proven, only those of the other family: this pod has no route of it to the sentinel ${group}`,
  ]);
  assert.equal(await sentinel.prove(outbound('v6'), enoughMs), '');
  assert.deepEqual(told.slice(1), ['the redirection rules of both families are proven again']);
});

test('where a route is, a router that has none further on says that the rules are not in force', async (t) => {
  const { sentinel, told } = await outOfReach(t, () => true);
  const problem = await sentinel.prove(outbound('v4', 'v6'), enoughMs);
  assert.match(
    problem!,
    /^the outbound redirection rules .* not in force .*: ENETUNREACH, .* 224\.0\.0\.1:/,
  );
  assert.deepEqual(told, []);
});

test('a pod without a route of any family has no proof, and hears what would do', async (t) => {
  const { sentinel, told } = await outOfReach(t, () => false);
  const problem = await sentinel.prove([...outbound('v4'), ...inbound('v4')], enoughMs);
  assert.match(
    problem!,
    /^nothing proves .* no route to the sentinel 224\.0\.0\.1 \(.*ip route add/,
  );
  assert.deepEqual(told, []);
});

test('the rules of the family that has a route must hold', async (t) => {
  // Nobody takes what is dialled there.
  const { sentinel } = await outOfReach(t, () => false, '127.0.0.1');
  const problem = await sentinel.prove(outbound('v4', 'v6'), enoughMs);
  assert.match(problem!, /^the outbound redirection rules .* not in force .* 127\.0\.0\.1:/);
});

test('there is a route where nobody listens', async () => {
  const [port] = (await freePorts(1)) as [number];
  for (const address of Object.values(addresses)) assert.equal(await hasRoute(address, port), true);
});

test('a dial that is not answered in its time is no proof', async (t) => {
  const { sentinel } = await sentinelWith(t, () => undefined);
  const problem = await sentinel.prove(outbound('v4'), 20);
  assert.match(problem!, /not in force .*another host answers/);
});

test('a dial that came back while our own thread stood still is a proof', async (t) => {
  // The time is over before any socket is heard.
  const late: WakeUps = { after: (_delayMs, call) => systemWakeUps.after(0, call) };
  const { sentinel } = await sentinelWith(t, takes, late);
  assert.equal(await sentinel.prove(outbound('v4'), 1), '');
});

test('an original destination that cannot be read is named instead of the rules', async (t) => {
  const misread: OnAccepted = (sentinel, _port, accepted) => {
    sentinel.misread({ address: '10.0.0.1', port: 15_006 }, 'inbound');
    sentinel.misread(undefined, 'outbound');
    accepted.destroy();
  };
  const { sentinel } = await sentinelWith(t, misread);
  const problem = await sentinel.prove(outbound('v4'), enoughMs);
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
