/**
 * What a captured connection is found to speak: in records, in counts, and in what is remembered.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import { Detected, DetectedBy, detectionPlace } from '../../src/telemetry/record/detection.ts';
import { RecordFlag, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { type CaptureFixture, startCapture } from '../support/capture-fixture.ts';
import { alpn, helloMessage, inRecords, serverName } from '../support/client-hello.ts';
import { ManualTime } from '../support/manual-time.ts';
import { getOf } from '../support/proxy-fixture.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, destinationOf, listenerOf, ruleOf } from '../support/tables.ts';
import { untilSo } from '../support/turns.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

async function origin(t: TestContext, script?: OriginScript): Promise<RawOrigin> {
  const started = await RawOrigin.start(script);
  t.after(() => started.close());
  return started;
}

/** A capture for which `port` of the origin's address is declared to be HTTP. */
function declaredHttp(port: number) {
  const listener = listenerOf([ruleOf()], { name: 'reviews', address: '', port, defaultHost: -1 });
  const web = destinationOf({ address: '127.0.0.1', port, protocol: 'http', listener: 'reviews' });
  return {
    capture: { outbound: [listener], inbound: [], destinations: [web] },
    clusters: [clusterOf([1])],
    limits: { detectSilenceMs: 20 },
  };
}

function count(proxy: CaptureFixture, detected: number, by: number): number {
  const { detections } = proxy.telemetry.metrics.connectionGauge('outbound');
  return detections[detectionPlace(detected, by)]!;
}

function wrong(proxy: CaptureFixture): number {
  return proxy.telemetry.metrics.connectionGauge('outbound').wrongProtocol;
}

/** One connection on which `text` is said, until `seen` has come upstream. */
async function say(proxy: CaptureFixture, to: RawOrigin, text: string, seen = text) {
  const index = to.connections.length;
  const downstream = await proxy.outbound(to.port);
  await downstream.send(text);
  const upstream = await to.connection(index);
  await upstream.untilReceived(seen);
  downstream.reset();
  await upstream.closed();
}

/** One connection to a server that greets. */
async function beGreeted(proxy: CaptureFixture, port: number): Promise<void> {
  const downstream = await proxy.outbound(port);
  await downstream.untilReceived('220 ');
  downstream.reset();
}

/** One connection with one request. */
async function ask(proxy: CaptureFixture, port: number): Promise<void> {
  const downstream = await proxy.outbound(port);
  await downstream.send(getOf('/'));
  await downstream.response();
  downstream.finish();
  await downstream.closed();
}

test('HTTP/2, TLS and others are told apart in the record and counted, not changed', async (t) => {
  const original = await origin(t);
  const proxy = await startCapture(t);
  const hello = inRecords(helloMessage()).toString('latin1');
  for (const text of [`${preface}\x00\x00`, hello, '*1\r\n$4\r\nPING\r\n']) {
    await say(proxy, original, text);
  }
  await proxy.telemetry.recorded(3);
  const { records } = proxy.telemetry;
  const verdicts = [Detected.Http2, Detected.Tls, Detected.Other];
  assert.deepEqual(
    records.map(({ method }) => method),
    verdicts,
  );
  for (const { kind, join, flags, traceId0 } of records) {
    assert.equal(kind, RecordKind.Connection);
    assert.equal(join, DetectedBy.Sniffed);
    assert.equal(flags & RecordFlag.HasParent, 0, 'a span of its own');
    assert.notEqual(traceId0, 0);
  }
  for (const verdict of verdicts) assert.equal(count(proxy, verdict, DetectedBy.Sniffed), 1);
  const sent = records.reduce((sum, { requestBytes }) => sum + requestBytes, 0);
  assert.ok(sent > 0);
  assert.equal(proxy.telemetry.metrics.zones.outbound('').requestBytes, sent);
  const page = renderPrometheus(proxy.telemetry.metrics);
  const line = 'tracecar_detections_total{direction="outbound",verdict="http2",by="sniffed"} 1';
  assert.ok(page.includes(`${line}\n`), page);
});

test('HTTP is HTTP whatever its method is, behind an empty line, and in pieces', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('x')),
  );
  const proxy = await startCapture(t, { time: new ManualTime() });
  const rest = ' /folder HTTP/1.1\r\nHost: a\r\n\r\n';
  const pieces = [
    [`PROPFIND${rest}`],
    [`M-SEARCH${rest}`],
    [`frob${rest}`],
    [`\r\nGET${rest}`],
    ['MKCOL', rest],
    [...`\r\nREPORT${rest}`],
  ];
  for (const parts of pieces) {
    const downstream = await proxy.outbound(original.port);
    for (const part of parts) await downstream.send(part);
    assert.equal((await downstream.response()).body, 'x');
    downstream.finish();
    await downstream.closed();
    const passed = `${parts.join('').trimEnd()}\r\ntraceparent: `;
    assert.ok(original.received.includes(passed), original.received);
  }
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Sniffed), 3);
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Remembered), 3);
});

test('what is no request line is relayed when that is known, or as good as known', async (t) => {
  const original = await origin(t);
  const time = new ManualTime();
  const proxy = await startCapture(t, { time });
  const noRequests = ['PING\r\n', 'EHLO a.example\r\n', 'SET a b\r\n', 'SSH-2.0-OpenSSH\r\n'];
  for (const text of [...noRequests, 'ruok', 'JDWP-Handshake']) await say(proxy, original, text);
  const index = original.connections.length;
  const downstream = await proxy.outbound(original.port);
  await downstream.send('PIN');
  await downstream.send('G');
  await untilSo(() => proxy.proxy.connections()[0]?.requestHeldBytes === 4, 'the word');
  await time.advance(trafficLimits.detectSilenceMs + 10);
  await (await original.connection(index)).untilReceived('PING');
  assert.equal(count(proxy, Detected.Other, DetectedBy.Sniffed), noRequests.length + 3);
});

test('name and protocols of a ClientHello that comes in many packets are in the record', async (t) => {
  const original = await origin(t);
  const time = new ManualTime();
  const proxy = await startCapture(t, { time });
  const hello = inRecords(helloMessage(serverName('db.example'), alpn('h2', 'x')), 40);
  const downstream = await proxy.outbound(original.port);
  for (let at = 0; at < hello.length; at += 30) await downstream.send(hello.subarray(at, at + 30));
  const upstream = await original.connection(0);
  await upstream.untilReceived(hello.toString('latin1'));
  await time.advance(1_234);
  const [connection] = proxy.proxy.connections();
  assert.deepEqual(connection!.relayed, {
    protocol: 'tls',
    to: `127.0.0.1:${original.port}`,
    serverName: 'db.example',
    ageMs: 1_234,
    sentBytes: hello.length,
    receivedBytes: 0,
  });
  downstream.reset();
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.target, 'db.example');
  assert.equal(record!.userAgent, 'h2,x');
});

test('of the open connections the relayed ones are listed first, at most as many as asked for', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('ok')),
  );
  const proxy = await startCapture(t);
  const http = await proxy.outbound(original.port);
  await http.send(getOf('/'));
  await http.response();
  const before = original.connections.length;
  const relayed = await proxy.outbound(original.port);
  await relayed.send('\x00');
  const upstream = await original.connection(before);
  await upstream.untilReceived('\x00');
  const listed = (most?: number) =>
    proxy.proxy.connections(most).map(({ relayed }) => relayed?.protocol ?? 'http');
  assert.deepEqual(listed(), ['other', 'http']);
  assert.deepEqual(listed(1), ['other']);
  relayed.reset();
});

test('a ClientHello is read along for a while and relayed as it comes', async (t) => {
  const original = await origin(t);
  const whole = inRecords(helloMessage(serverName('db.example'))).toString('latin1');
  for (const [lateByMs, name] of [
    [-1, 'db.example'],
    [0, ''],
  ] as const) {
    const time = new ManualTime();
    const proxy = await startCapture(t, { time });
    const downstream = await proxy.outbound(original.port);
    const upstream = await original.connection(original.connections.length);
    await downstream.send(whole.slice(0, 60));
    await upstream.untilReceived(whole.slice(0, 60));
    await time.advance(trafficLimits.headTimeoutMs + lateByMs);
    await downstream.send(whole.slice(60));
    await upstream.untilReceived(whole);
    downstream.reset();
    await proxy.telemetry.recorded(1);
    assert.equal(proxy.telemetry.records[0]!.method, Detected.Tls);
    assert.equal(proxy.telemetry.records[0]!.target, name);
  }
});

test('who speaks first, and who never speaks, is counted', async (t) => {
  const greeting = await origin(t, (connection) => connection.send('220 mail\r\n'));
  const silent = await origin(t);
  const proxy = await startCapture(t);
  await beGreeted(proxy, greeting.port);
  const downstream = await proxy.outbound(silent.port);
  const upstream = await silent.connection(0);
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  upstream.finish();
  await downstream.closed();
  await proxy.telemetry.recorded(2);
  assert.equal(count(proxy, Detected.ServerFirst, DetectedBy.Sniffed), 1);
  assert.equal(count(proxy, Detected.Silent, DetectedBy.Sniffed), 1);
});

test('after three greetings on a port declared HTTP the fourth is heard without a silence', async (t) => {
  const original = await origin(t, (connection) => connection.send('220 mail\r\n'));
  const options = declaredHttp(original.port);
  const proxy = await startCapture(t, options);
  for (let round = 0; round < 3; round++) await beGreeted(proxy, original.port);
  assert.equal(count(proxy, Detected.ServerFirst, DetectedBy.Sniffed), 3);
  await beGreeted(proxy, original.port);
  assert.equal(count(proxy, Detected.ServerFirst, DetectedBy.Remembered), 1);
  await proxy.telemetry.recorded(4);
  assert.equal(wrong(proxy), 4);
  const warnings = proxy.log.filter((line) => line.startsWith('warn '));
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0]!, /is no HTTP \(server-first\), which port \d+ is declared to be/);
});

test('HTTP on a port declared HTTP is as declared, and HTTP/2 there is nothing to warn of', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('ok')),
  );
  const proxy = await startCapture(t, declaredHttp(original.port));
  await ask(proxy, original.port);
  await say(proxy, original, preface);
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Declared), 1);
  assert.equal(count(proxy, Detected.Http2, DetectedBy.Sniffed), 1);
  assert.equal(wrong(proxy), 0);
  assert.deepEqual(proxy.log, []);
});

test('after three times HTTP on an unknown port nothing is dialled before the request', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('ok')),
  );
  const proxy = await startCapture(t, { limits: { poolIdlePerEndpointMax: 0 } });
  for (let round = 0; round < 3; round++) await ask(proxy, original.port);
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Sniffed), 3);
  const before = original.connections.length;
  await ask(proxy, original.port);
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Remembered), 1);
  assert.equal(original.connections.length, before + 1, 'one connection for one request');
});

test('where HTTP is expected by the port alone a greeting is not waited for', async (t) => {
  const original = await origin(t, (connection) => connection.send('220 mail\r\n'));
  const { capture, clusters } = declaredHttp(original.port);
  // No time passes in this test.
  const time = new ManualTime();
  const proxy = await startCapture(t, {
    capture: { ...capture, destinations: [] },
    clusters,
    time,
  });
  await beGreeted(proxy, original.port);
  await proxy.telemetry.recorded(1);
  assert.equal(count(proxy, Detected.ServerFirst, DetectedBy.Sniffed), 1);
  assert.equal(time.clock.now(), new ManualTime().clock.now());
});

test('where HTTP is expected by the port alone, three times HTTP end the early dials', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('ok')),
  );
  const capture = { ...declaredHttp(original.port).capture, destinations: [] };
  const limits = { poolIdlePerEndpointMax: 0 };
  const clusters = [clusterOf([original.port])];
  const proxy = await startCapture(t, { capture, clusters, limits });
  for (let round = 0; round < 3; round++) await ask(proxy, original.port);
  const before = original.connections.length;
  await ask(proxy, original.port);
  assert.equal(original.connections.length, before + 1, 'one connection for one request');
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Declared), 4);
});

test('one contrary verdict makes the next connection be raced again', async (t) => {
  const original = await origin(
    t,
    answering(() => okWith('ok')),
  );
  const proxy = await startCapture(t, { limits: { detectSilenceMs: 20 } });
  for (let round = 0; round < 3; round++) await ask(proxy, original.port);
  await say(proxy, original, '\x00');
  await ask(proxy, original.port);
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Sniffed), 4);
  assert.equal(count(proxy, Detected.Http1, DetectedBy.Remembered), 0);
});
