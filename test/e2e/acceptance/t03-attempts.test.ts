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
import { after, before, type TestContext, test } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { connectRaw } from '../../support/raw-connection.ts';
import type { SinkSpan } from '../../telemetry/otlp-sink.ts';

import { attributeIn, hostOf, startEndpoint, startPair } from './traced-pair.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';

interface Attempt {
  readonly resends: unknown;
  readonly reason: unknown;
  readonly errorType: unknown;
  readonly statusCode: unknown;
  readonly status: number;
}

/** The CLIENT spans of one request, in the order of attempts, after checks that hold for all. */
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
const reset = onHead((socket) => socket.resetAndDestroy());

/** Of `slow`: how long its one endpoint may take. */
const slowRoute = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: slow
  namespace: default
spec:
  hosts:
    - ${hostOf('slow')}
  http:
    - timeout: 0.2s
      route:
        - destination:
            host: ${hostOf('slow')}
`;

interface Asked {
  readonly status: number;
  /** The span that the request names as its parent. */
  readonly callerId: string;
}

const spans: SinkSpan[] = [];
const asked = new Map<string, Asked>();
const stops: (() => unknown)[] = [];

/** Requests whose service has an endpoint that fails and one that answers: either is asked first. */
const tries = Array.from({ length: 16 }, (_, index) => index);

before(async () => {
  const t = { after: (stop: () => unknown) => stops.push(stop) } as unknown as TestContext;
  const [refused, refusedToo, ...alsoRefused] = await freePorts(4);
  const answering = await startEndpoint(t, reply(200));
  const pair = await startPair(t, {
    services: {
      origin: alsoRefused,
      refusing: [refused!, answering],
      dead: [refused!, refusedToo!],
      resetting: [await startEndpoint(t, reset), answering],
      cutting: [await startEndpoint(t, reset), await startEndpoint(t, reset)],
      slow: [await startEndpoint(t, (socket) => void socket.resume())],
      busy: [await startEndpoint(t, reply(503))],
    },
    args: ['--drain-seconds=0.2'],
    yaml: slowRoute,
  });
  const ask = (service: string, path = `/${service}`) => send(pair.outbound, service, path);
  for (const index of tries) await ask('refusing', `/refusing/${index}`);
  for (const index of tries) await ask('resetting', `/resetting/${index}`);
  for (const service of ['dead', 'cutting', 'slow']) await ask(service);
  for (const path of ['/busy/1', '/busy/2']) await ask('busy', path);
  await send(pair.inbound, 'app', '/through');
  // The end of the sidecar is when its collector has everything.
  pair.sidecar.child.kill('SIGTERM');
  await pair.sidecar.ended;
  spans.push(...pair.sink.spans);
});

after(async () => {
  for (const stop of stops.toReversed()) await stop();
});

/** Sends one request with a trace context of its own caller. */
async function send(port: number, service: string, path: string): Promise<void> {
  const callerId = (0x100 + asked.size).toString(16).padStart(16, '0');
  const caller = await connectRaw(port);
  await caller.send(
    `GET ${path} HTTP/1.1\r\nHost: ${hostOf(service)}:9080\r\nConnection: close\r\n` +
      `traceparent: 00-${traceId}-${callerId}-01\r\n\r\n`,
  );
  await caller.until(() => caller.ending !== 'open', 'the end');
  caller.finish();
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(caller.received)?.[1]);
  asked.set(path, { status, callerId });
}

/** The status that the caller of `path` got, and the attempts that were made for it. */
function outcomeOf(path: string): { status: number; attempts: Attempt[] } {
  const { status, callerId } = asked.get(path)!;
  const own = spans.filter((span) => {
    const url = attributeIn(span, 'url.full');
    return typeof url === 'string' && new URL(url).pathname === path;
  });
  return { status, attempts: attemptsIn(own, callerId) };
}

/** Checks that each request was answered, by one attempt or by the second after `cause`. */
function checkResends(service: string, cause: string): void {
  const direct = [{ ...first, ...good }];
  const resent = [
    { ...first, errorType: cause, statusCode: undefined, status: 2 },
    { resends: 1, reason: cause, ...good },
  ];
  const outcomes = tries.map((index) => outcomeOf(`/${service}/${index}`));
  for (const { status, attempts } of outcomes) {
    assert.equal(status, 200);
    assert.deepEqual(attempts, attempts.length === 1 ? direct : resent);
  }
  assert.ok(outcomes.some(({ attempts }) => attempts.length === 2));
}

/** Checks that both attempts failed in the same way. */
function checkBoth(path: string, status: number, cause: string): void {
  const failed = { errorType: cause, statusCode: undefined, status: 2 };
  assert.deepEqual(outcomeOf(path), {
    status,
    attempts: [
      { ...first, ...failed },
      { resends: 1, reason: cause, ...failed },
    ],
  });
}

test('T3: a refused connection is a span, and the attempt after it another', () => {
  checkResends('refusing', 'connect-refused');
});

test('T3: a reset before an answer is a span, and the attempt after it another', () => {
  checkResends('resetting', 'upstream-reset');
});

test('T3: two endpoints that refuse are two spans', () => {
  checkBoth('/dead', 502, 'connect-refused');
});

test('T3: two endpoints that reset are two spans', () => {
  checkBoth('/cutting', 502, 'upstream-reset');
});

test('T3: an endpoint that never answers is a span when the time is over', () => {
  const attempt = { ...first, errorType: 'request-timeout', statusCode: undefined, status: 2 };
  assert.deepEqual(outcomeOf('/slow'), { status: 504, attempts: [attempt] });
});

test('T3: an endpoint that answers 503 twice has two spans, each of an answer', () => {
  const attempt = { ...first, errorType: '503', statusCode: 503, status: 2 };
  for (const path of ['/busy/1', '/busy/2']) {
    assert.deepEqual(outcomeOf(path), { status: 503, attempts: [attempt] });
  }
});

test('T3: a SERVER span is one, however many attempts were made for it', () => {
  const { callerId } = asked.get('/through')!;
  const servers = spans.filter((span) => attributeIn(span, 'url.path') === '/through');
  assert.deepEqual(
    servers.map(({ kind, parentSpanId }) => [kind, parentSpanId]),
    [[2, callerId]],
  );
  const clients = spans.filter(({ parentSpanId }) => parentSpanId === servers[0]!.spanId);
  assert.deepEqual(
    attemptsIn(clients, servers[0]!.spanId).map(({ resends }) => resends),
    [undefined, 1],
  );
});
