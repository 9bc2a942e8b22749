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
