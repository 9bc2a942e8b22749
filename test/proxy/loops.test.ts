/**
 * Requests that go round, and requests that only go far (row 166): the hop count in tracestate.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { getOf, type ProxyFixture, startPair, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const rules = [ruleOf()];
const parent = 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n';

/** Proxies each of which leads to the next one, the last one to `port`; 0: to the first. */
async function startWay(
  t: TestContext,
  count: number,
  port: number,
): Promise<readonly ProxyFixture[]> {
  const proxies: ProxyFixture[] = [];
  for (let index = 0; index < count; index++) {
    const table = tableOf([listenerOf(rules)], [clusterOf([1])]);
    proxies.push(await startProxy(t, { table, random: seededRandom(100 + index) }));
  }
  for (const [index, { proxy }] of proxies.entries()) {
    const next = proxies[index + 1]?.port ?? (port === 0 ? proxies[0]!.port : port);
    await proxy.apply(tableOf([listenerOf(rules)], [clusterOf([next])], 2));
  }
  return proxies;
}

async function startOrigin(t: TestContext): Promise<RawOrigin> {
  const origin = await RawOrigin.start(answering(() => okWith('arrived')));
  t.after(() => origin.close());
  return origin;
}

for (const [count, hops] of [
  [1, 8],
  [2, 8],
  [3, 13],
] as const) {
  test(`a loop of ${count} ends at hop ${hops} with 508`, async (t) => {
    const proxies = await startWay(t, count, 0);
    const downstream = await proxies[0]!.connect();
    await downstream.send(getOf('/'));
    const response = await downstream.response();
    assert.equal(response.status, 508);
    assert.match(response.body, /^loop: /);
    assert.equal(
      proxies.reduce((sum, { telemetry }) => sum + telemetry.records.length, 0),
      hops,
    );
  });
}

test('a way through 60 sidecars arrives', async (t) => {
  const origin = await startOrigin(t);
  const proxies = await startWay(t, 60, origin.port);
  const downstream = await proxies[0]!.connect();
  await downstream.send(getOf('/', parent));
  assert.equal((await downstream.response()).body, 'arrived');
  assert.match(origin.received, /^tracestate: tracecar=3c[0-9a-f]{9}\r$/m);
});

async function forwarded(t: TestContext, fields: string): Promise<string> {
  const { connect, origin } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  await downstream.send(getOf('/', fields));
  assert.equal((await downstream.response()).status, 200);
  return origin.received;
}

test('our member is the first one, the others follow as they came', async (t) => {
  const received = await forwarded(t, `${parent}tracestate: rojo=1, tracecar=0100010,congo=2\r\n`);
  assert.match(received, /^tracestate: tracecar=02[0-9a-f]{9},rojo=1,congo=2\r$/m);
  assert.equal(received.match(/^tracestate:/gim)?.length, 1);
});

test('without a valid traceparent our member goes on and the others do not', async (t) => {
  const received = await forwarded(t, 'tracestate: rojo=1\r\ntracestate: tracecar=0500010\r\n');
  assert.match(received, /^tracestate: tracecar=06[0-9a-f]{9}\r$/m);
});

test('a nominated tracestate does not hide the hops', async (t) => {
  const fields = `${parent}Connection: tracestate\r\ntracestate: tracecar=0500010,rojo=1\r\n`;
  const received = await forwarded(t, fields);
  assert.match(received, /^tracestate: tracecar=06[0-9a-f]{9}\r$/m);
});

test('a member that only looks like ours counts nothing and goes no further', async (t) => {
  const received = await forwarded(t, `${parent}tracestate: tracecar=zzz,rojo=1\r\n`);
  assert.match(received, /^tracestate: tracecar=01[0-9a-f]{9},rojo=1\r$/m);
});

test('32 members of others leave room for ours', async (t) => {
  const members = Array.from({ length: 32 }, (_, index) => `k${index}=v`);
  const received = await forwarded(t, `${parent}tracestate: ${members.join(',')}\r\n`);
  const line = /^tracestate: (.*)\r$/m.exec(received)![1]!;
  assert.deepEqual(line.split(',').slice(1), members.slice(0, 31));
});

test('the count of earlier sidecars is read and not passed on', async (t) => {
  const received = await forwarded(t, 'X-Tracecar-Hops: 7\r\n');
  assert.match(received, /^tracestate: tracecar=08[0-9a-f]{9}\r$/m);
  assert.doesNotMatch(received, /x-tracecar-hops/i);
});
