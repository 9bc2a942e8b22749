/**
 * The verdict about a trace in `server-timing`: between sidecars only, never seen by an application,
 * believed from peers about the trace that was asked in; and what an edge tells outsiders.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ProxyTracing } from '../../src/proxy/scope/proxy-scope.ts';
import { RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { usualChoices, usualPeers } from '../../src/telemetry/settings/tracing-choices.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { getOf, startPair } from '../support/proxy-fixture.ts';
import { answering, RawOrigin } from '../support/raw-origin.ts';

const trace = '0af7651916cd43dd8448eb211c80319c';
const context = `traceparent: 00-${trace}-b7ad6b7169203331-00\r\n`;
/** Of a sidecar whose inbound half answers at port 9080, of one without an inbound half, of none. */
const meshed = `${context}tracestate: tracecar=01000002378\r\n`;
const halfMeshed = `${context}tracestate: tracecar=01000000001\r\n`;
const unmeshed = `${context}tracestate: tracecar=01000000000\r\n`;
const verdict = (id: string, flags: string) =>
  `server-timing: trace;desc=00-${id}-00f067aa0ba902b7-${flags}\r\n`;
const ours = /^server-timing: trace;desc=00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]\r\n/m;

const nobody: ProxyTracing = { ...usualChoices, peers: [] };

function answerWith(lines: string, status = '200 OK') {
  return answering(() => `HTTP/1.1 ${status}\r\n${lines}Content-Length: 2\r\n\r\nok`);
}

/** The head that a downstream of an inbound half gets. */
async function askInbound(
  t: TestContext,
  fields: string,
  { tracing = usualChoices as ProxyTracing, isSampling = false, lines = '' } = {},
): Promise<string> {
  const { connect, telemetry } = await startPair(t, answerWith(lines), {
    direction: 'inbound',
    tracing,
  });
  telemetry.isSampling = isSampling;
  const downstream = await connect();
  await downstream.send(getOf('/', fields));
  const { head } = await downstream.response();
  return `${head}\r\n`;
}

for (const [title, fields] of [
  ['with an inbound half', meshed],
  ['without one', halfMeshed],
] as const) {
  test(`a sidecar ${title} is told of the trace that it asked in, in the last field`, async (t) => {
    const head = await askInbound(t, fields);
    const lines = head.trimEnd().split('\r\n');
    assert.match(lines.at(-1)!, new RegExp(`^server-timing: trace;desc=00-${trace}-.{16}-00$`));
    const sampled = await askInbound(t, fields, { isSampling: true });
    assert.match(sampled, new RegExp(`server-timing: trace;desc=00-${trace}-.{16}-01\r\n`));
  });
}

test('an application, an older sidecar and who is no peer are told nothing', async (t) => {
  for (const fields of [context, unmeshed, `${context}tracestate: tracecar=0100000\r\n`, '']) {
    assert.doesNotMatch(await askInbound(t, fields), /server-timing/i, fields);
  }
  assert.doesNotMatch(await askInbound(t, meshed, { tracing: nobody }), /server-timing/i);
});

test("a sidecar's own answer tells it too", async (t) => {
  const { connect, origin } = await startPair(t, () => undefined, { direction: 'inbound' });
  await origin.close();
  const downstream = await connect();
  await downstream.send(getOf('/', meshed));
  const { status, head } = await downstream.response();
  assert.equal(status, 502);
  assert.match(head, new RegExp(`\r\nserver-timing: trace;desc=00-${trace}-.{16}-01$`));
});

test('an answer that switches protocols tells it too', async (t) => {
  const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
  const { connect } = await startPair(
    t,
    answering(() => switching),
    { direction: 'inbound' },
  );
  const downstream = await connect();
  await downstream.send(getOf('/', `${meshed}Connection: upgrade\r\nUpgrade: x\r\n`));
  await downstream.until(() => downstream.received.includes('\r\n\r\n'), 'the head');
  assert.match(downstream.received, ours);
});

/** What a caller of the outbound half gets, and what was learned. */
async function askOutbound(t: TestContext, lines: string, tracing: ProxyTracing = usualChoices) {
  const { connect, telemetry } = await startPair(t, answerWith(lines), { tracing });
  telemetry.isSampling = false;
  const downstream = await connect();
  await downstream.send(getOf('/', context));
  const { head } = await downstream.response();
  const fields = head.split('\r\n').slice(1);
  return {
    fields: fields.filter((field) => !field.startsWith('Content-Length')),
    learned: telemetry.learned,
  };
}

test('what a peer says of the trace is learned, and the application does not see it', async (t) => {
  for (const [flags, keeps] of [
    ['00', false],
    ['01', true],
    ['02', false],
    ['03', true],
  ] as const) {
    const lines = `Server-Timing: db;dur=5\r\n${verdict(trace, flags)}`;
    const { fields, learned } = await askOutbound(t, lines);
    assert.deepEqual(learned, [keeps]);
    assert.deepEqual(fields, ['Server-Timing: db;dur=5']);
  }
});

for (const [title, lines] of [
  ['of another trace', verdict('1af7651916cd43dd8448eb211c80319c', '01')],
  ['with flags that we do not write', verdict(trace, '05')],
  ['with another version', verdict(trace, '01').replace('=00-', '=01-')],
  ['with something behind it', `server-timing: trace;desc=00-${trace}-00f067aa0ba902b7-01;a\r\n`],
  ['in capitals', verdict(trace, '01').replace(trace, trace.toUpperCase())],
  ['that is not the last field of its name', `${verdict(trace, '01')}server-timing: db\r\n`],
] as const) {
  test(`a peer's word ${title} is not believed`, async (t) => {
    const { fields, learned } = await askOutbound(t, lines);
    assert.deepEqual(learned, []);
    assert.equal(fields.length, lines.split('\r\n').length - 1);
  });
}

test("an outsider's word is not believed and goes no further; its other metrics do", async (t) => {
  const lines = `Server-Timing: db;dur=5, trace;desc=00-${trace}-00f067aa0ba902b7-01 ,x;desc="a,trace;b"\r\nServer-Timing: cache\r\n${verdict(trace, '01')}Server-Timing: Traceparent;desc="x"\r\n`;
  const { fields, learned } = await askOutbound(t, lines, nobody);
  assert.deepEqual(learned, []);
  assert.deepEqual(fields.toSorted(), [
    'Server-Timing: cache',
    'Server-Timing: db;dur=5,x;desc="a,trace;b"',
  ]);
});

test('an upstream that has proved to be a sidecar is known as one when it does not answer', async (t) => {
  const { connect, telemetry } = await startPair(t, async (upstream, index) => {
    await upstream.until(() => upstream.received.endsWith('\r\n\r\n'), 'a request');
    const answer = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n${verdict(trace, '00')}\r\n`;
    if (index === 0) await upstream.send(answer);
    upstream.socket.destroy();
  });
  telemetry.isSampling = false;
  const downstream = await connect();
  for (const status of [200, 502]) {
    await downstream.send(
      `POST / HTTP/1.1\r\nHost: service\r\n${context}Content-Length: 0\r\n\r\n`,
    );
    assert.equal((await downstream.response()).status, status);
  }
  const flags = telemetry.records.map((record) => record.flags & RecordFlag.PeerMeshed);
  assert.deepEqual(flags, [RecordFlag.PeerMeshed, RecordFlag.PeerMeshed]);
});

/** Both halves, as a captured pod has them, with nothing decided about the service. */
async function passBoth(t: TestContext, lines: string): Promise<string> {
  const origin = await RawOrigin.start(answerWith(lines));
  t.after(() => origin.close());
  const callee = await startCapture(t);
  // The callee's inbound half is where the caller's outbound half takes the request to.
  const hop = await RawOrigin.start(async (upstream) => {
    await upstream.until(() => upstream.received.endsWith('\r\n\r\n'), 'the request');
    const inbound = await callee.inbound(origin.port);
    await inbound.send(upstream.received);
    await inbound.response();
    await upstream.send(inbound.received);
  });
  t.after(() => hop.close());
  const caller = await startCapture(t);
  const downstream = await caller.outbound(hop.port);
  await downstream.send(getOf('/', context));
  const answer = await downstream.response();
  assert.deepEqual(caller.telemetry.learned, [true], 'the halves did speak');
  return `${answer.head}\r\n\r\n${answer.body}`;
}

for (const lines of ['', 'server-timing: db;dur=1\r\n', verdict(trace, '00'), 'X:  odd \r\n']) {
  test(`as sent, an application gets what one sent: ${JSON.stringify(lines)}`, async (t) => {
    const sent = `HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`;
    assert.equal(await passBoth(t, lines), sent);
  });
}

test('as sent, the word of who is no sidecar stays where it is', async (t) => {
  const origin = await RawOrigin.start(answerWith('Server-Timing: trace;desc=00-ab\r\n'));
  t.after(() => origin.close());
  const caller = await startCapture(t);
  const downstream = await caller.outbound(origin.port);
  await downstream.send(getOf('/', context));
  const { head } = await downstream.response();
  assert.match(head, /\r\nServer-Timing: trace;desc=00-ab\r\n/);
  assert.deepEqual(caller.telemetry.learned, []);
});

test('an edge tells outsiders of the trace by its mode, and sidecars as ever', async (t) => {
  const edge = (edgeResponseHeader: ProxyTracing['edgeResponseHeader']): ProxyTracing => ({
    ...usualChoices,
    edge: 'honour',
    edgeResponseHeader,
  });
  const ask = (fields: string, mode: ProxyTracing['edgeResponseHeader'], peers = usualPeers) =>
    askInbound(t, fields, { tracing: { ...edge(mode), peers }, isSampling: true });
  assert.doesNotMatch(await ask(context, 'off'), /server-timing/i);
  assert.match(await ask(context, 'trace'), new RegExp(`trace;desc=00-${trace}-.{16}-01\r\n`));
  assert.match(
    await ask(context, 'traceparent'),
    new RegExp(`server-timing: traceparent;desc="00-${trace}-.{16}-01"\r\n`),
  );
  assert.match(await ask(meshed, 'traceparent', ['127.0.0.0/8']), ours);
  // From where a load balancer may be as well, who says that it is a sidecar is not believed.
  assert.doesNotMatch(await ask(meshed, 'off'), /server-timing/i);
});
