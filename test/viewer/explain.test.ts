/**
 * `tracecar explain`: the text in golden/explain.txt (UPDATE_GOLDEN=1 writes it anew), the JSON, and
 * the program against a viewer.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { readExplainSettings } from '../../src/main/explain-settings.ts';
import { explainAsJson, explainAsText } from '../../src/viewer/explain-trace.ts';
import { readStoredTrace, type StoredTrace } from '../../src/viewer/stored-trace.ts';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const program = resolve(import.meta.dirname, '../../src/cli/tracecar.ts');
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const startMs = 1_795_627_913_000;
const options = { width: 100, color: false, ascii: false };

function traceOf(spans: readonly SpanFixture[]): StoredTrace {
  return readStoredTrace(traceId, exportBody(spans))!;
}

/** A trace of everything that has a reason: a rule, a retry, a denial, a failure three hops deep. */
function reasonedTrace(): SpanFixture[] {
  const [web, call, reviews, ask, ratings] = demoTrace(traceId, startMs) as [
    SpanFixture,
    SpanFixture,
    SpanFixture,
    SpanFixture,
    SpanFixture,
  ];
  const routed = {
    'tracecar.route': 'reviews-route',
    'tracecar.rule': 0,
    'tracecar.rule.origin': 'reviews-route.yaml:12:7',
    'tracecar.subset': 'v2',
    'tracecar.weight': 40,
    'tracecar.generation': 3,
    'tracecar.cluster': 'outbound|9080|v2|reviews.default.svc.cluster.local',
    'tracecar.lb.policy': 'least-request',
    'tracecar.lb.candidates': 2,
    'tracecar.join': 'preload',
  };
  const failed = { ...call.attributes, ...routed, 'tracecar.endpoint': '10.0.0.7:9080' };
  const { 'http.response.status_code': _, ...refused } = failed as Record<string, string | number>;
  return [
    {
      ...web,
      isError: true,
      attributes: {
        ...web.attributes,
        'http.response.status_code': 502,
        'tracecar.sampled_by': 'error',
      },
    },
    {
      ...call,
      spanId: '00000000000000b1',
      startMs: startMs + 0.06,
      durationMs: 0.05,
      isError: true,
      attributes: {
        ...refused,
        'tracecar.cause': 'connect-refused',
        'error.type': 'connect-refused',
        'tracecar.conn.reused': false,
      },
    },
    {
      ...call,
      isError: true,
      attributes: {
        ...failed,
        'tracecar.endpoint': '10.0.0.8:9080',
        'http.request.resend_count': 1,
        'http.response.status_code': 502,
        'tracecar.conn.reused': true,
        'tracecar.conn.requests': 12,
      },
    },
    {
      ...reviews,
      isError: true,
      attributes: { ...reviews.attributes, 'http.response.status_code': 502 },
    },
    {
      ...ask,
      attributes: {
        ...ask.attributes,
        'tracecar.original_destination': '10.0.0.9:9080',
        'tracecar.join': 'correlation:x-request-id',
        'tracecar.generation': 3,
      },
    },
    {
      ...ratings,
      isError: true,
      attributes: {
        ...ratings.attributes,
        'tracecar.peer.identity': 'spiffe://cluster.local/ns/default/sa/reviews',
        'tls.protocol.version': '1.3',
        'http.response.status_code': 500,
        'tracecar.sampled_by': 'retro',
      },
    },
    {
      ...ask,
      spanId: '00000000000000b2',
      startMs: startMs + 1.5,
      durationMs: 0.02,
      isError: true,
      attributes: {
        'tracecar.direction': 'outbound',
        'server.address': 'api.example.com',
        'http.response.status_code': 502,
        'tracecar.cause': 'egress-denied',
        'tracecar.join': 'app',
      },
    },
    {
      ...ratings,
      spanId: '00000000000000b3',
      kind: 1,
      name: 'SELECT stars',
      durationMs: 0.2,
      parentSpanId: '00000000000000a5',
      attributes: {},
    },
  ];
}

test('each hop says why it was routed, tried again, denied, joined and sampled', () => {
  const text = explainAsText(traceOf(reasonedTrace()), options);
  const file = new URL('golden/explain.txt', import.meta.url);
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text);
  assert.equal(text, readFileSync(file, 'utf8'));
});

test('what a dry run would have denied, and what is audited, is told though it went on', () => {
  const [web] = demoTrace(traceId, startMs) as [SpanFixture];
  const sentenceOf = (policy: Readonly<Record<string, string>>) => {
    const place = { 'tracecar.policy.origin': 'policies.yaml:3:1' };
    const attributes = { ...web.attributes, ...policy, ...place };
    const { why } = explainAsJson(traceOf([{ ...web, attributes }])).spans[0]!;
    return why.find(({ topic }) => topic === 'judged')?.text;
  };
  assert.equal(
    sentenceOf({ 'tracecar.policy.would': 'shop/try' }),
    'Policy shop/try (policies.yaml:3:1), a dry run, would have denied it.',
  );
  assert.equal(
    sentenceOf({ 'tracecar.policy.audit': 'shop/watch' }),
    'Policy shop/watch (policies.yaml:3:1) asks for an audit of it.',
  );
  assert.equal(sentenceOf({}), undefined);
});

test('a denial says whether a rule denied or none let in, and what it was about', () => {
  const [web] = demoTrace(traceId, startMs) as [SpanFixture];
  const failedOf = (of: Readonly<Record<string, string>>) => {
    const attributes = { 'tracecar.cause': 'denied', 'tracecar.policy': 'shop/callers', ...of };
    const { why } = explainAsJson(traceOf([{ ...web, isError: true, attributes }])).spans[0]!;
    return why.find(({ topic }) => topic === 'failed')!.text;
  };
  assert.match(
    failedOf({
      'tracecar.policy.reason': 'deny',
      'tracecar.detail': 'shop/callers denies x: GET /',
    }),
    /^Denied: denied, by shop\/callers\. .* \(shop\/callers denies x: GET \/\)$/,
  );
  assert.match(
    failedOf({ 'tracecar.policy.reason': 'none-allows' }),
    /^Denied: denied, for no ALLOW policy lets it in: shop\/callers could have\. /,
  );
});

test('a peer that is somebody else is told with the one that it had to be', () => {
  const [web] = demoTrace(traceId, startMs) as [SpanFixture];
  const attributes = {
    'tracecar.peer.identity': 'spiffe://b',
    'tracecar.peer.expected': 'spiffe://a',
  };
  const { why } = explainAsJson(traceOf([{ ...web, kind: 3, attributes }])).spans[0]!;
  const proved = why.find(({ topic }) => topic === 'proved')!.text;
  assert.equal(proved, 'The endpoint proved to be spiffe://b, and had to be spiffe://a.');
});

test('a connection that was denied is not said to have gone on', () => {
  const [web] = demoTrace(traceId, startMs) as [SpanFixture];
  const routedOf = (cause: string) => {
    const attributes = {
      'tracecar.direction': 'outbound',
      'tracecar.original_destination': '192.0.2.1:443',
      ...(cause === '' ? {} : { 'tracecar.cause': cause }),
    };
    const { why } = explainAsJson(traceOf([{ ...web, attributes }])).spans[0]!;
    return why.find(({ topic }) => topic === 'routed')!.text;
  };
  const nothing = 'No rule was about it: it';
  assert.equal(routedOf('denied'), `${nothing} was going to 192.0.2.1:443.`);
  assert.equal(routedOf(''), `${nothing} went on to 192.0.2.1:443, where it was going.`);
});

test('a denial names the policy, and who the caller proved to be', () => {
  const [web] = demoTrace(traceId, startMs) as [SpanFixture];
  const attributes = {
    ...web.attributes,
    'http.response.status_code': 403,
    'tracecar.cause': 'denied',
    'tracecar.policy': 'shop/callers',
    'tracecar.policy.origin': 'policies.yaml:3:1',
    'tracecar.peer.identity': 'spiffe://cluster.local/ns/shop/sa/cart',
  };
  const trace = traceOf([{ ...web, isError: true, attributes }]);
  const [span] = explainAsJson(trace).spans;
  const texts = new Map(span!.why.map(({ topic, text }) => [topic, text]));
  assert.match(texts.get('failed')!, /^Denied: denied, by shop\/callers \(policies\.yaml:3:1\)\. /);
  const id = 'spiffe://cluster.local/ns/shop/sa/cart';
  assert.equal(texts.get('proved'), `The caller proved to be ${id}.`);
  assert.deepEqual(
    [span!.decided.policy, span!.decided['policy.origin'], span!.decided['peer.identity']],
    ['shop/callers', 'policies.yaml:3:1', id],
  );
});

test('the error began where no span below has one, in each branch', () => {
  const { errorsBegan } = explainAsJson(traceOf(reasonedTrace()));
  assert.deepEqual(errorsBegan, ['00000000000000b1', '00000000000000a5', '00000000000000b2']);
});

test('as JSON a tool gets what decided, and times that add up', () => {
  const explained = explainAsJson(traceOf(reasonedTrace()));
  const call = explained.spans.find(({ spanId }) => spanId === '00000000000000a2')!;
  assert.deepEqual(call.decided, {
    route: 'reviews-route',
    rule: '0',
    'rule.origin': 'reviews-route.yaml:12:7',
    subset: 'v2',
    weight: '40',
    cluster: 'outbound|9080|v2|reviews.default.svc.cluster.local',
    endpoint: '10.0.0.8:9080',
    generation: '3',
    join: 'preload',
  });
  assert.deepEqual(
    call.why.map(({ topic }) => topic),
    ['routed', 'sent to', 'tried again', 'failed', 'joined', 'time'],
  );
  assert.equal(call.networkGapNs, 310_000);
  const path = explained.spans.reduce((sum, { criticalPathNs }) => sum + criticalPathNs, 0);
  assert.equal(path, explained.durationNs);
  assert.equal(explained.startUnixNano, `${startMs}000000`);
});

test('a gap says when clocks differ, or the callee was late to note its end', () => {
  const call = (at: number, took: number): string => {
    const [, client, server] = demoTrace(traceId, startMs);
    const callee = { ...server!, startMs: client!.startMs + at, durationMs: took };
    const { spans } = explainAsJson(traceOf([client!, callee]));
    return spans[0]!.why.find(({ topic }) => topic === 'time')!.text;
  };
  assert.match(
    call(0.2, 1.7),
    /Network and waiting: 310 µs \(this call minus [^)]*\)\. The sidecar/,
  );
  assert.match(call(-0.2, 1.7), /310 µs .* The callee began before it was called: clocks differ\./);
  assert.match(call(0.5, 1.7), /310 µs .* noted its end after the answer was here, or clocks/);
  assert.match(call(0.1, 2.5), /The callee says it took 490 µs longer than this call: it noted/);
});

const failedSentence = (spans: readonly SpanFixture[], spanId: string): string | undefined =>
  explainAsJson(traceOf(spans))
    .spans.find((span) => span.spanId === spanId)!
    .why.find(({ topic }) => topic === 'failed')?.text;

/** The caller's CLIENT span and the callee's SERVER span, both with status 502. */
function failedCall(
  callee: Readonly<Record<string, string | number>>,
  calleeService = 'reviews',
): SpanFixture[] {
  const [, client, server] = demoTrace(traceId, startMs) as [SpanFixture, SpanFixture, SpanFixture];
  return [
    {
      ...client,
      isError: true,
      attributes: { ...client.attributes, 'http.response.status_code': 502 },
    },
    { ...server, service: calleeService, isError: true, attributes: callee },
  ];
}

const client = '00000000000000a2';
const server = '00000000000000a3';
const inbound = { 'tracecar.direction': 'inbound', 'http.response.status_code': 502 };

test('an answer is called the application’s only where its sidecar passed it on', () => {
  const own = failedCall(inbound);
  assert.equal(
    failedSentence(own, client),
    "The callee answered 502: it is the application's own answer.",
  );
  assert.equal(failedSentence(own, server), "It answered 502: it is the application's own answer.");
  const refused = failedCall({ ...inbound, 'tracecar.cause': 'connect-refused' });
  assert.equal(
    failedSentence(refused, client),
    'The callee answered 502: its sidecar did, not the application (connect-refused).',
  );
  const late = failedCall({ ...inbound, 'tracecar.cause': 'response-head-timeout' });
  assert.equal(
    failedSentence(late, client),
    'The callee answered 502; its sidecar says why: response-head-timeout.',
  );
  assert.match(
    failedSentence(own.slice(0, 1), client)!,
    /^The callee answered 502; it has no span in this trace, so whose answer .* not known\.$/,
  );
  const stranger = failedCall({ 'http.response.status_code': 502 });
  assert.match(failedSentence(stranger, client)!, /502; its span does not say why\.$/);
  const changed = failedCall({ ...inbound, 'http.response.status_code': 200 });
  assert.match(
    failedSentence([changed[0]!, { ...changed[1]!, isError: false }], client)!,
    /502; its own span has 200: it was changed on the way\.$/,
  );
});

test('an answer after a call that failed is not called the application’s own', () => {
  const below: SpanFixture = {
    ...demoTrace(traceId, startMs)[3]!,
    isError: true,
    attributes: { ...inbound, 'tracecar.direction': 'outbound', 'service.peer.name': 'ratings' },
  };
  const spans = [...failedCall(inbound), below];
  for (const [spanId, who] of [
    [client, 'The callee'],
    [server, 'It'],
  ] as const) {
    const wanted = `${who} answered 502 after something below it had failed: reviews GET -> ratings (502).`;
    assert.equal(failedSentence(spans, spanId), wanted);
  }
});

/** What the text says that the answer waited for. */
function waitedFor(spans: readonly SpanFixture[]): string | undefined {
  const text = explainAsText(traceOf(spans), { ...options, width: 500 });
  return /^The answer waited for (.+)\.$/m.exec(text)?.[1];
}

test('time is given to sidecars, applications and networks, and adds up', () => {
  assert.equal(
    waitedFor(demoTrace(traceId, startMs)),
    'reviews 791 µs (34 %), networks 690 µs (30 %), ratings 492 µs (21 %), web 286 µs (12 %), ' +
      'sidecars 51.0 µs (2 %)',
  );
});

test('an application that never ran gets no time: its sidecar does', () => {
  const refused = failedCall({
    ...inbound,
    'tracecar.cause': 'connect-refused',
    'tracecar.time.proxy_us': 100,
  });
  assert.equal(waitedFor(refused), 'sidecars 1.71 ms (85 %), networks 299 µs (15 %)');
  // A call that its own sidecar refused went nowhere.
  const denied = { ...refused[0]!, attributes: { 'tracecar.cause': 'egress-denied' } };
  assert.equal(waitedFor([denied]), 'sidecars 2.01 ms (100 %)');
  assert.match(waitedFor(failedCall(inbound).slice(0, 1))!, /^calls without a callee's span \(web/);
});

test('an hour between two clocks stretches nothing, and is said', () => {
  const spans = demoTrace(traceId, startMs).map((each) =>
    each.service === 'web' ? each : { ...each, startMs: each.startMs + 3_600_000 },
  );
  const text = explainAsText(traceOf(spans), { ...options, width: 200 });
  assert.match(text, /^trace \w+ {2}2\.31 ms \(spread over 60 min 00 s\) /);
  assert.match(
    text,
    /^Clocks differ, or it was taken up late: reviews began 60 min 00 s after the call of web was/m,
  );
  assert.equal(
    waitedFor(spans),
    'reviews and its calls 1.69 ms (73 %), networks 299 µs (13 %), web 286 µs (12 %), ' +
      'sidecars 34.0 µs (1 %)',
  );
  const explained = explainAsJson(traceOf(spans));
  assert.equal(explained.durationNs, 2_310_000);
  assert.equal(explained.spreadNs, 3_600_002_000_000);
  assert.equal(explained.clockSkewNs, 3_600_000_300_000 - 120_000 - 2_010_000);
  const time = explained.spans[1]!.why.find(({ topic }) => topic === 'time')!.text;
  assert.match(time, /310 µs .* The callee began when the call was over: clocks differ, or it was/);
});

test('words that every object knows, and halves of characters, are only words', () => {
  const words = ['constructor', '__proto__', 'toString', 'valueOf', '\ud800', '\udc00x'];
  for (const word of words) {
    const keys = ['sampled_by', 'cause', 'join', 'route', 'subset', 'attempt.reason', 'cluster'];
    const attributes = Object.fromEntries(keys.map((key) => [`tracecar.${key}`, word]));
    const spans = demoTrace(traceId, startMs).map((each) => ({
      ...each,
      isError: true,
      service: word,
      attributes: { ...each.attributes, ...attributes, 'http.request.resend_count': 1 },
    }));
    const { why } = explainAsJson(traceOf(spans)).spans[1]!;
    assert.ok(why.every(({ text }) => typeof text === 'string'));
    assert.ok(!why.some(({ topic }) => topic === 'sampled'));
    assert.equal(why.find(({ topic }) => topic === 'failed')?.text, `Cause: ${word}.`);
    assert.ok(explainAsText(traceOf(spans), options).length > 0);
  }
});

test('narrow, ASCII and hostile: no line is wider than asked, no control character is left', () => {
  const hostile = '\u001b[2J\u202e<b>\n';
  const spans = reasonedTrace().map((each) => ({
    ...each,
    service: hostile,
    attributes: { ...each.attributes, 'tracecar.route': hostile, 'tracecar.cause': hostile },
  }));
  const text = explainAsText(traceOf(spans), { width: 60, color: false, ascii: true });
  assert.match(text, /^[\x20-\x7e\n]*$/);
  const free = /^\d+\. |^trace /;
  for (const line of text.split('\n')) {
    const isOneWord = !line.trim().includes(' ');
    assert.ok(line.length <= 60 || free.test(line) || isOneWord, line);
  }
});

const run = promisify(execFile);

test('the program asks a viewer, prints text or JSON, and ends with 1 without the trace', async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  await sendSpans(viewer.otlp, exportBody(reasonedTrace()));
  const explain = (...args: readonly string[]) =>
    run(process.execPath, [program, 'explain', '--query', viewer.query, ...args], {
      env: { PATH: process.env.PATH, LANG: 'C.UTF-8' },
    });
  const [text, json, absent] = await Promise.all([
    explain('--trace', traceId, '--width', '100'),
    explain('--trace', traceId, '--json'),
    explain('--trace', 'abc').catch((error) => error),
  ]);
  assert.equal(text.stdout, explainAsText(traceOf(reasonedTrace()), options));
  assert.deepEqual(JSON.parse(json.stdout), explainAsJson(traceOf(reasonedTrace())));
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /^tracecar explain: .* has no trace 0{29}abc: not sampled/);
});

test('without a trace it says how to name one', () => {
  assert.throws(() => readExplainSettings([], {}), {
    name: 'UsageError',
    message: /--trace ID says which trace/,
  });
  assert.equal(readExplainSettings(['--trace', 'A'], {}).traceId, 'a'.padStart(32, '0'));
});
