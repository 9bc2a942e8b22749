/**
 * Context headers that are not as they must be, through a real proxy (reliability.md O10 to O12): each
 * request is answered, and what goes on is as it must be.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { getOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const parent = `traceparent: 00-${TRACE}-b7ad6b7169203331-01\r\n`;
/** A head of 64 KiB is all that is taken: this is near it. */
const HUGE = 60_000;

async function pass(t: TestContext, fields: readonly string[]): Promise<string[]> {
  const { connect, origin, proxy } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  const passed: string[] = [];
  let before = 0;
  for (const lines of fields) {
    await downstream.send(getOf('/', lines));
    assert.equal((await downstream.response()).status, 200);
    passed.push(origin.received.slice(before));
    before = origin.received.length;
  }
  assert.equal(proxy.snapshot().counts.bugs, 0);
  return passed;
}

const stateOf = (head: string) => /^tracestate: tracecar=.{11}(.*)\r$/m.exec(head)![1];

test('O10: a traceparent of 60 KB begins a trace, and takes the tracestate with it', async (t) => {
  const odd = ['0', '00-', `00-${TRACE}-b7ad6b7169203331-01`, ' x', 'ff-'].map(
    (piece) => `traceparent: ${piece.repeat(HUGE / piece.length)}\r\ntracestate: rojo=1\r\n`,
  );
  for (const head of await pass(t, odd)) {
    assert.match(head, /^traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]\r$/m);
    assert.doesNotMatch(head, new RegExp(TRACE));
    assert.equal(stateOf(head), '');
  }
});

test('O11: a tracestate of 60 KB goes on in part or not at all, and never with a part of a member', async (t) => {
  const member = `rojo=${'v'.repeat(250)}`;
  const [long, many, commas, spaces, several] = await pass(
    t,
    [
      `rojo=${'v'.repeat(HUGE)}`,
      Array.from({ length: 4_000 }, (_, index) => `k${index}=v`).join(','),
      ','.repeat(HUGE),
      `a=1${' '.repeat(HUGE)},b=2`,
      Array.from({ length: 31 }, (_, index) => `k${index}${member}`).join(','),
    ].map((value) => `${parent}tracestate: ${value}\r\n`),
  );
  assert.equal(stateOf(long!), '');
  assert.equal(stateOf(many!), '');
  assert.equal(stateOf(commas!), '');
  assert.equal(stateOf(spaces!), ',a=1,b=2');
  const members = stateOf(several!)!.split(',').slice(1);
  assert.ok(members.length >= 2 && members.length < 31, `${members.length} members`);
  for (const kept of members) assert.match(kept, /^k\d+rojo=v{250}$/);
});

test('O12: baggage of 60 KB or 1000 members is dropped whole and counted, a bad percent passes', async (t) => {
  const { connect, origin, telemetry } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  const many = Array.from({ length: 1_000 }, (_, index) => `k${index}=v`).join(',');
  for (const value of [`k=${'v'.repeat(HUGE)}`, many, 'k=%zz%,b=%', 'k=v;p=%']) {
    await downstream.send(getOf('/', `baggage: ${value}\r\n`));
    assert.equal((await downstream.response()).status, 200);
  }
  const passed = [...origin.received.matchAll(/^baggage: (.*)\r$/gm)].map(([, value]) => value);
  assert.deepEqual(passed, ['k=%zz%,b=%', 'k=v;p=%']);
  assert.equal(telemetry.metrics.connectionGauge('outbound').baggageDropped, 2);
});

test('values of 60 KB in every other field of tracing are answered and go on as they came or not at all', async (t) => {
  const names = [
    'b3',
    'x-b3-traceid',
    'x-b3-sampled',
    'uber-trace-id',
    'x-request-id',
    'x-correlation-id',
  ];
  const value = 'f'.repeat(HUGE);
  const heads = await pass(
    t,
    names.map((name) => `${name}: ${value}\r\n`),
  );
  for (const [index, head] of heads.entries()) {
    const isPassed = head.includes(value);
    assert.equal(isPassed, /^x-(request|correlation)/.test(names[index]!), names[index]!);
  }
});

test('a request id of our making is the same for every attempt', async (t) => {
  const origin = await RawOrigin.start(async (connection, index) => {
    if (index > 0) {
      await answering(() => okWith('y'))(connection, index);
      return;
    }
    await connection.until(() => connection.received.includes('\r\n\r\n'), 'a head');
    await connection.send(okWith('x'));
    await connection.until(() => connection.received.split('\r\n\r\n').length > 2, 'another');
    connection.socket.resetAndDestroy();
  });
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([origin.port])]);
  const { connect } = await startProxy(t, { table });
  const downstream = await connect();
  for (let request = 0; request < 2; request++) {
    await downstream.send(getOf('/'));
    await downstream.response();
  }
  const [first, second, again] = [...origin.received.matchAll(/^x-request-id: (.*)\r$/gm)].map(
    ([, value]) => value,
  );
  assert.notEqual(first, second);
  assert.equal(second, again);
});
