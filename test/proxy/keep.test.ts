/** Keep messages: who may send them, what they say, and that no application ever sees one. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { KEEP_PORT } from '../../src/model/known-ports.ts';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import {
  type EdgePolicy,
  usualChoices,
  usualPeers,
} from '../../src/telemetry/settings/tracing-choices.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { getOf, startPair } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';

const id = (index: number) => (index + 1).toString(16).padStart(32, '0');
const message = (ids: string, fields = 'content-length: 0\r\n', target = '/.tracecar/keep') =>
  `POST ${target} HTTP/1.1\r\nhost: 10.0.0.1:9080\r\nx-tracecar-keep: ${ids}\r\n${fields}\r\n`;

function startInbound(
  t: TestContext,
  peers: readonly string[] = usualPeers,
  edge: EdgePolicy = undefined,
) {
  return startPair(
    t,
    answering(() => okWith('the application')),
    { direction: 'inbound', tracing: { ...usualChoices, peers, edge } },
  );
}

/** Status of the answer to each of the messages, on one connection. */
async function statusesOf(
  t: TestContext,
  messages: readonly string[],
  peers?: readonly string[],
  edge?: EdgePolicy,
) {
  const fixture = await startInbound(t, peers, edge);
  const downstream = await fixture.connect();
  const statuses: number[] = [];
  for (const each of messages) {
    await downstream.send(each);
    statuses.push((await downstream.response()).status);
  }
  return { ...fixture, downstream, statuses };
}

test('a message of a peer marks its traces; the connection goes on', async (t) => {
  const { telemetry, statuses, downstream, origin, proxy } = await statusesOf(t, [
    message(id(0)),
    message(`${id(1)},${id(2)}`),
  ]);
  assert.deepEqual(statuses, [204, 204]);
  assert.deepEqual(
    telemetry.asked,
    [0, 1, 2].map((index) => `${id(index)} 127.0.0.1`),
  );
  assert.equal(origin.connections.length, 0);
  assert.deepEqual(telemetry.records, []);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'the application');
  const { keepMessages, keepRefused } = proxy.snapshot().counts;
  assert.deepEqual([keepMessages, keepRefused], [2, 0]);
});

test('a hundred ids are taken at once, in one field or several; no more', async (t) => {
  const list = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => id(from + index)).join(',');
  const { messageIdsMax } = keepLimits;
  const { telemetry, statuses } = await statusesOf(t, [
    message(list(0, messageIdsMax)),
    message(list(0, 50), `x-tracecar-keep: ${list(50, 50)}\r\n`),
    message(list(0, messageIdsMax + 1)),
  ]);
  assert.deepEqual(statuses, [204, 204, 400]);
  assert.equal(telemetry.asked.length, 2 * messageIdsMax);
});

for (const [title, ids, fields] of [
  ['no id', '', ''],
  ['a short id', id(1).slice(1), ''],
  ['a long id', `${id(1)}0`, ''],
  ['capitals', id(0xabcdef).toUpperCase(), ''],
  ['something else', 'g'.repeat(32), ''],
  ['zeros', '0'.repeat(32), ''],
  ['a blank between two ids', `${id(1)}, ${id(2)}`, ''],
  ['a comma at the end', `${id(1)},`, ''],
  ['a body', id(1), 'content-length: 2\r\n'],
] as const) {
  test(`a message with ${title} is refused`, async (t) => {
    const { telemetry, statuses, proxy } = await statusesOf(t, [message(ids, fields)]);
    assert.deepEqual(statuses, [400]);
    assert.deepEqual(telemetry.asked, []);
    assert.equal(proxy.snapshot().counts.keepRefused, 1);
  });
}

for (const [title, framing, body] of [
  ['a length', 'content-length: 70\r\n', getOf('/smuggled')],
  ['chunks', 'transfer-encoding: chunked\r\n', `2b\r\n${getOf('/smuggled')}\r\n0\r\n\r\n`],
] as const) {
  test(`a body with ${title} is never taken for a request: the connection ends`, async (t) => {
    const { connect, origin, telemetry } = await startInbound(t);
    const downstream = await connect();
    await downstream.send(message(id(1), framing) + body);
    const { status, head } = await downstream.response();
    assert.equal(status, 400);
    assert.match(head, /\r\nconnection: close\r\n/i);
    await downstream.until(() => downstream.ending !== 'open', 'the end');
    assert.equal(origin.connections.length, 0);
    assert.deepEqual(telemetry.asked, []);
  });
}

test('who is no peer is refused, whatever it sends', async (t) => {
  const { telemetry, statuses } = await statusesOf(
    t,
    [message(id(1)), message('odd')],
    ['10.0.0.0/8'],
  );
  assert.deepEqual(statuses, [403, 403]);
  assert.deepEqual(telemetry.asked, []);
});

test('more than the rate allows is refused with 429', async (t) => {
  const { telemetry, connect } = await startInbound(t);
  telemetry.askedMax = 1;
  const downstream = await connect();
  await downstream.send(message(`${id(0)},${id(1)}`));
  assert.equal((await downstream.response()).status, 429);
});

for (const [title, sent] of [
  ['with a query', message(id(1), undefined, '/.tracecar/keep?x')],
  ['with a query, without a field', getOf('/.tracecar/keep?x')],
  ['by GET', getOf('/.tracecar/keep', `x-tracecar-keep: ${id(1)}\r\n`)],
  ['by PUT', message(id(1)).replace('POST', 'PUT')],
  ['with two slashes', message(id(1), undefined, '//.tracecar/keep')],
  ['in absolute form', message(id(1), undefined, 'http://10.0.0.1:9080/.tracecar/keep')],
  ['percent-encoded', message(id(1), undefined, '/%2etracecar/keep')],
  ['with dots', message(id(1), undefined, '/a/../.tracecar/keep')],
  ['with a slash at the end', message(id(1), undefined, '/.tracecar/keep/')],
  ['in capitals', message(id(1), undefined, '/.TRACECAR/keep')],
  ['with a longer name', message(id(1), undefined, '/.tracecar/keeper')],
  ['at another path', message(id(1), undefined, '/orders')],
  ['nominated', message(id(1), 'content-length: 0\r\nconnection: x-tracecar-keep\r\n')],
] as const) {
  test(`a message spelt otherwise is refused and not for the application: ${title}`, async (t) => {
    const { telemetry, origin, statuses } = await statusesOf(t, [sent]);
    assert.deepEqual(statuses, [400]);
    assert.deepEqual(telemetry.asked, []);
    assert.equal(origin.connections.length, 0);
  });
}

test('a refused HEAD ends the connection, so that its answer cannot be taken for two', async (t) => {
  const { connect, origin } = await startInbound(t);
  const downstream = await connect();
  await downstream.send(getOf('/.tracecar/keep').replace('GET', 'HEAD'));
  await downstream.until(() => downstream.ending !== 'open', 'the end');
  assert.match(downstream.received, /^HTTP\/1.1 400 [\s\S]*\r\nconnection: close\r\n/);
  assert.equal(origin.connections.length, 0);
});

test('paths that only begin like it are for the application', async (t) => {
  const { connect, telemetry } = await startInbound(t);
  const downstream = await connect();
  for (const path of ['/.tracecar/keeper', '/.tracecar', '/']) {
    await downstream.send(getOf(path));
    assert.equal((await downstream.response()).body, 'the application');
  }
  assert.deepEqual(telemetry.asked, []);
});

for (const edge of ['honour', 'ignore', 'link'] as const) {
  test(`--edge ${edge}: nobody may ask, but for those whom --peer names`, async (t) => {
    for (const [peers, status] of [
      [usualPeers, 403],
      [[], 403],
      [['10.0.0.0/8'], 403],
      [['127.0.0.0/8'], 204],
    ] as const) {
      const { telemetry, statuses, origin } = await statusesOf(t, [message(id(1))], peers, edge);
      assert.deepEqual(statuses, [status], peers.join());
      assert.equal(telemetry.asked.length, status === 204 ? 1 : 0);
      assert.equal(origin.connections.length, 0);
    }
  });
}

for (const field of [
  'x-forwarded-for: 8.8.8.8',
  'forwarded: for=8.8.8.8',
  'via: 1.1 lb',
  'x-real-ip: 8.8.8.8',
]) {
  test(`a message that a proxy forwards for somebody is refused: ${field}`, async (t) => {
    const { telemetry, statuses } = await statusesOf(t, [
      message(id(1), `content-length: 0\r\n${field}\r\n`),
    ]);
    assert.deepEqual(statuses, [403]);
    assert.deepEqual(telemetry.asked, []);
  });
}

test('the outbound half takes no message: an application cannot have traces kept', async (t) => {
  const { connect, telemetry } = await startPair(
    t,
    answering(() => okWith('the service')),
  );
  const downstream = await connect();
  await downstream.send(message(id(1)));
  assert.equal((await downstream.response()).body, 'the service');
  assert.deepEqual(telemetry.asked, []);
});

test('a captured pod answers at any port, and at one where nobody listens', async (t) => {
  const proxy = await startCapture(t);
  const sent = await proxy.inbound({ address: '127.0.0.1', port: KEEP_PORT });
  await sent.send(message(id(1)));
  assert.equal((await sent.response()).status, 204);
  assert.deepEqual(proxy.telemetry.asked, [`${id(1)} 127.0.0.1`]);
  await sent.send(getOf('/'));
  assert.equal((await sent.response()).status, 502);
});

test('a downstream that never reads its answers makes nothing grow', async (t) => {
  const { connect, proxy } = await startInbound(t);
  const downstream = await connect();
  downstream.socket.pause();
  const many = message('odd').repeat(2_000);
  for (let round = 0; round < 20; round++) {
    const isTaken = downstream.socket.write(many, 'latin1');
    if (!isTaken) break;
  }
  // Other connections are served meanwhile, and what is held of this one stays in its bounds.
  const other = await connect();
  for (let round = 0; round < 5; round++) {
    await other.send(message(id(round)));
    assert.equal((await other.response()).status, 204);
  }
  assert.ok(proxy.snapshot().connections.downstreamOpen === 2);
});
