/**
 * T3 of reference/tracing.md: every attempt is a CLIENT span of its own, also one that is refused, reset,
 * times out or is answered 503; all of one request are siblings under one parent.
 *
 * Real sidecars, an origin of two endpoints that fail as they are told. What is sent again is what this
 * proxy sends again (docs/causes.md): once, when nothing was sent yet or the method allows it; an answer
 * is never asked for again, so two 503 are two requests.
 */

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connectRaw } from '../../support/raw-connection.ts';
import type { SinkSpan } from '../../telemetry/otlp-sink.ts';
import { freePorts } from '../sidecar-process.ts';
import { attributeIn, originHost, startEndpoint, startPair } from './traced-pair.ts';

const timeout = 60_000;
const traceId = '0af7651916cd43dd8448eb211c80319c';

interface Attempt {
  readonly resends: unknown;
  readonly reason: unknown;
  readonly errorType: unknown;
  readonly statusCode: unknown;
  readonly status: number;
}

/** The CLIENT spans of `/path`, in the order of attempts, after checks that hold for all. */
function attemptsIn(spans: readonly SinkSpan[], callerId: string): Attempt[] {
  const clients = spans.toSorted((left, right) => resendsOf(left) - resendsOf(right));
  for (const span of clients) {
    assert.equal(span.kind, 3);
    assert.equal(span.traceId, traceId);
    assert.equal(span.parentSpanId, callerId, 'one parent, and no CLIENT span around them');
  }
  assert.equal(new Set(clients.map(({ spanId }) => spanId)).size, clients.length);
  return clients.map((span) => ({
    resends: attributeIn(span, 'http.request.resend_count'),
    reason: attributeIn(span, 'tracecar.attempt.reason'),
    errorType: attributeIn(span, 'error.type'),
    statusCode: attributeIn(span, 'http.response.status_code'),
    status: span.status.code,
  }));
}

function resendsOf(span: SinkSpan): number {
  return Number(attributeIn(span, 'http.request.resend_count') ?? 0);
}

const first = { resends: undefined, reason: undefined };
const good = { errorType: undefined, statusCode: 200, status: 0 };

/** Sends one request with a trace context through the sidecar's outbound listener; the status. */
async function ask(port: number, path: string, callerId: string, head = ''): Promise<number> {
  const caller = await connectRaw(port);
  await caller.send(
    `GET ${path} HTTP/1.1\r\nHost: ${originHost}:9080\r\nConnection: close\r\n` +
      `traceparent: 00-${traceId}-${callerId}-01\r\n${head}\r\n`,
  );
  await caller.until(() => caller.ending !== 'open', 'the end');
  caller.finish();
  return Number(/^HTTP\/1\.1 (\d+)/.exec(caller.received)?.[1]);
}

/** Reads a head, then calls `act`. */
const onHead = (act: (socket: Socket) => void) => (socket: Socket) => {
  let head = '';
  socket.on('data', (part: Buffer) => {
    head += part.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    head = '';
    act(socket);
  });
};

const reply = (status: number) =>
  onHead((socket) => void socket.end(`HTTP/1.1 ${status} x\r\ncontent-length: 2\r\n\r\nok`));

/** Asks until the endpoint that fails was the first choice once; round robin begins anywhere. */
async function askTwice(
  t: TestContext,
  endpoints: readonly number[],
  yaml?: string,
): Promise<Attempt[][]> {
  const pair = await startPair(t, { endpoints, ...(yaml === undefined ? {} : { yaml }) });
  const found: Attempt[][] = [];
  for (const [index, path] of ['/one', '/two'].entries()) {
    const callerId = `00f067aa0ba902b${index}`;
    const status = await ask(pair.outbound, path, callerId);
    assert.equal(status, 200);
    await pair.spansOf(path, 1);
    found.push([]);
  }
  // What belongs to a request is in the collector before the flush of the end is over.
  pair.sidecar.child.kill('SIGTERM');
  await pair.sidecar.ended;
  for (const [index, path] of ['/one', '/two'].entries()) {
    found[index] = attemptsIn(await pair.spansOf(path, 1), `00f067aa0ba902b${index}`);
  }
  return found.toSorted((left, right) => left.length - right.length);
}

test('T3: a refused connection is a span, and the attempt after it another', {
  timeout,
}, async (t) => {
  const [refused] = await freePorts(1);
  const answering = await startEndpoint(t, reply(200));
  const [direct, resent] = await askTwice(t, [refused!, answering]);
  assert.deepEqual(direct, [{ ...first, ...good }]);
  assert.deepEqual(resent, [
    { ...first, errorType: 'connect-refused', statusCode: undefined, status: 2 },
    { resends: 1, reason: 'connect-refused', ...good },
  ]);
});

test('T3: a reset before an answer is a span, and the attempt after it another', {
  timeout,
}, async (t) => {
  const resetting = await startEndpoint(
    t,
    onHead((socket) => socket.resetAndDestroy()),
  );
  const answering = await startEndpoint(t, reply(200));
  const [direct, resent] = await askTwice(t, [resetting, answering]);
  assert.deepEqual(direct, [{ ...first, ...good }]);
  assert.deepEqual(resent, [
    { ...first, errorType: 'upstream-reset', statusCode: undefined, status: 2 },
    { resends: 1, reason: 'upstream-reset', ...good },
  ]);
});

/** One request of which every attempt fails; the status that the caller gets, and the attempts. */
async function askOnce(
  t: TestContext,
  endpoints: readonly number[],
  yaml?: string,
): Promise<{ status: number; attempts: Attempt[] }> {
  const pair = await startPair(t, { endpoints, ...(yaml === undefined ? {} : { yaml }) });
  const callerId = '00f067aa0ba902b7';
  const status = await ask(pair.outbound, '/failing', callerId);
  pair.sidecar.child.kill('SIGTERM');
  await pair.sidecar.ended;
  return { status, attempts: attemptsIn(await pair.spansOf('/failing', 1), callerId) };
}

test('T3: two endpoints that refuse are two spans', { timeout }, async (t) => {
  const { status, attempts } = await askOnce(t, await freePorts(2));
  assert.equal(status, 502);
  const refused = { errorType: 'connect-refused', statusCode: undefined, status: 2 };
  assert.deepEqual(attempts, [
    { ...first, ...refused },
    { resends: 1, reason: 'connect-refused', ...refused },
  ]);
});

test('T3: two endpoints that reset are two spans', { timeout }, async (t) => {
  const resetting = () =>
    startEndpoint(
      t,
      onHead((socket) => socket.resetAndDestroy()),
    );
  const { status, attempts } = await askOnce(t, [await resetting(), await resetting()]);
  assert.equal(status, 502);
  const reset = { errorType: 'upstream-reset', statusCode: undefined, status: 2 };
  assert.deepEqual(attempts, [
    { ...first, ...reset },
    { resends: 1, reason: 'upstream-reset', ...reset },
  ]);
});

test('T3: an endpoint that never answers is a span when the time is over', {
  timeout,
}, async (t) => {
  const silent = await startEndpoint(t, (socket) => void socket.resume());
  const { status, attempts } = await askOnce(
    t,
    [silent],
    `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: origin
  namespace: default
spec:
  hosts:
    - ${originHost}
  http:
    - timeout: 0.2s
      route:
        - destination:
            host: ${originHost}
`,
  );
  assert.equal(status, 504);
  assert.deepEqual(attempts, [
    { ...first, errorType: 'request-timeout', statusCode: undefined, status: 2 },
  ]);
});

test('T3: an endpoint that answers 503 twice has two spans, each an answer', {
  timeout,
}, async (t) => {
  const unavailable = await startEndpoint(t, reply(503));
  const pair = await startPair(t, { endpoints: [unavailable] });
  const callers = ['00f067aa0ba902b1', '00f067aa0ba902b2'];
  for (const callerId of callers) {
    assert.equal(await ask(pair.outbound, `/busy/${callerId}`, callerId), 503);
  }
  pair.sidecar.child.kill('SIGTERM');
  await pair.sidecar.ended;
  for (const callerId of callers) {
    const spans = await pair.spansOf(`/busy/${callerId}`, 1);
    assert.deepEqual(attemptsIn(spans, callerId), [
      { ...first, errorType: '503', statusCode: 503, status: 2 },
    ]);
  }
});

test('T3: a SERVER span is one, however many attempts were made for it', { timeout }, async (t) => {
  const pair = await startPair(t, { endpoints: await freePorts(2) });
  const callerId = '00f067aa0ba902b9';
  assert.equal(await ask(pair.inbound, '/through', callerId), 502);
  pair.sidecar.child.kill('SIGTERM');
  await pair.sidecar.ended;
  const spans = await pair.spansOf('/through', 3);
  const server = spans.find(({ kind }) => kind === 2);
  assert.equal(server?.parentSpanId, callerId);
  const clients = spans.filter(({ kind }) => kind === 3);
  assert.deepEqual(attemptsIn(clients, server!.spanId).length, 2);
  assert.equal(spans.length, 3);
});
