/**
 * The waterfall, compared with pictures in golden/: run with UPDATE_GOLDEN=1 to draw them anew, and
 * look at them before they are kept.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { readStoredTrace, type StoredTrace } from '../../src/viewer/stored-trace.ts';
import { columnsOf } from '../../src/viewer/terminal-text.ts';
import { drawBar, printDuration } from '../../src/viewer/time-bar.ts';
import { printWaterfall, type WaterfallOptions } from '../../src/viewer/waterfall.ts';
import { demoTrace, exportBody, type SpanFixture } from './span-fixtures.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const startMs = 1_795_627_913_000;

function traceOf(spans: readonly SpanFixture[]): StoredTrace {
  return readStoredTrace(traceId, exportBody(spans))!;
}

function span(id: number, parent: number, name: string, at: number, took: number): SpanFixture {
  return {
    traceId,
    spanId: id.toString(16).padStart(16, '0'),
    ...(parent === 0 ? {} : { parentSpanId: parent.toString(16).padStart(16, '0') }),
    service: 'svc',
    name,
    startMs: startMs + at,
    durationMs: took,
  };
}

function compare(name: string, picture: string): void {
  const file = new URL(`golden/${name}.txt`, import.meta.url);
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, picture);
  assert.equal(picture, readFileSync(file, 'utf8'));
}

const plain: WaterfallOptions = { width: 100, color: false };

test('a whole trace of the demo shows services, split, shares and bars', () => {
  const trace = traceOf(demoTrace(traceId, startMs));
  compare('demo-100', printWaterfall(trace, plain));
  compare('demo-140', printWaterfall(trace, { ...plain, width: 140 }));
  compare('demo-60', printWaterfall(trace, { ...plain, width: 60 }));
  compare('demo-ascii', printWaterfall(trace, { ...plain, ascii: true }));
  compare('demo-color', printWaterfall(trace, { ...plain, color: true }));
});

test('without a peer name the callee is the service of the cluster, or the address', () => {
  const call = (attributes: Record<string, string>): string => {
    const client = { ...span(1, 0, 'GET', 0, 1), kind: 3, attributes };
    return printWaterfall(traceOf([client]), plain).split('\n')[3]!;
  };
  const direction = { 'tracecar.direction': 'outbound', 'server.address': '127.0.0.1' };
  const cluster = 'outbound|9080|v1|reviews.default.svc.cluster.local';
  assert.match(call({ ...direction, 'tracecar.cluster': cluster }), /svc GET -> reviews /);
  const outside = 'outbound|443||api.example.com';
  assert.match(call({ ...direction, 'tracecar.cluster': outside }), /GET -> api\.example\.com /);
  assert.match(call(direction), /GET -> 127\.0\.0\.1 /);
  assert.match(call({ 'server.address': '127.0.0.1' }), /svc GET {2}/);
});

test('the order in which spans arrived does not change the picture', () => {
  const spans = demoTrace(traceId, startMs);
  const forwards = printWaterfall(traceOf(spans), plain);
  assert.equal(printWaterfall(traceOf([...spans].reverse()), plain), forwards);
});

test('errors, retries, orphans and a cause are marked', () => {
  const out = { 'tracecar.direction': 'outbound', 'service.peer.name': 'details' };
  const spans: SpanFixture[] = [
    { ...span(1, 0, 'GET /', 0, 60), isError: true, attributes: { 'error.type': 'Boom' } },
    {
      ...span(2, 1, 'GET', 1, 10),
      kind: 3,
      isError: true,
      attributes: { ...out, 'tracecar.cause': 'connect-refused', 'error.type': 'connect-refused' },
    },
    {
      ...span(3, 1, 'GET', 12, 40),
      kind: 3,
      isError: true,
      attributes: {
        ...out,
        'http.request.resend_count': 1,
        'http.response.status_code': 503,
        'error.type': '503',
        'tracecar.cause': 'overflow',
      },
    },
    { ...span(4, 3, 'work', 13, 0.0004), isError: true },
    { ...span(5, 77, 'GET /late', 50, 2), service: 'stray' },
    { ...span(6, 5, 'below', 50.5, 1), service: '' },
  ];
  const trace = traceOf(spans);
  compare('errors', printWaterfall(trace, plain));
  compare('errors-color', printWaterfall(trace, { ...plain, color: true }));
});

test('text of strangers is made harmless, measured in columns and cut', () => {
  const names = [
    '\u001b[2J\u001b]0;x\u0007\u202e',
    '日本語のスパン',
    'e\u0301te\u0301',
    'x'.repeat(300),
  ];
  const spans = names.map((name, at) => span(at + 1, at, `${name}|`, at, 10 - at));
  compare('strangers', printWaterfall(traceOf(spans), plain));
  compare('strangers-ascii', printWaterfall(traceOf(spans), { ...plain, ascii: true }));
});

test('every line has the width that was asked for, or less', () => {
  const trace = traceOf(demoTrace(traceId, startMs));
  for (const width of [60, 61, 77, 100, 200, 499]) {
    const lines = printWaterfall(trace, { width, color: false }).split('\n').slice(2);
    for (const line of lines) assert.ok(columnsOf(line) <= width, `${width}: ${line}`);
  }
});

test('a circle of parents and a span that is its own parent are drawn once', () => {
  const spans = [
    span(1, 3, 'a', 0, 3),
    span(2, 1, 'b', 1, 1),
    span(3, 2, 'c', 2, 1),
    span(4, 4, 'own', 0, 1),
  ];
  compare('circle', printWaterfall(traceOf(spans), plain));
});

test('a chain of 5,000 spans is drawn without end of the stack', () => {
  const spans = Array.from({ length: 5_000 }, (_, at) => span(at + 1, at, 'n', at, 5_000 - at));
  const lines = printWaterfall(traceOf(spans), plain).split('\n');
  assert.equal(lines.length, 5_000 + 4);
  assert.match(lines.at(-2)!, /^…4999 └─ svc n/);
});

test('a trace without spans, and one without any time, are drawn too', () => {
  compare('empty', printWaterfall({ traceId, spans: [] }, plain));
  compare('no-time', printWaterfall(traceOf([span(1, 0, 'instant', 0, 0)]), plain));
});

test('a child that began before its parent moves the start of the axis', () => {
  compare('skew', printWaterfall(traceOf([span(1, 0, 'a', 5, 5), span(2, 1, 'b', 0, 20)]), plain));
});

test('bars end at eighths of a column and are never invisible', () => {
  assert.equal(drawBar(0, 1, 4, false), '████');
  assert.equal(drawBar(0, 0.5, 4, false), '██  ');
  assert.equal(drawBar(0, 0.53125, 4, false), '██▏ ');
  assert.equal(drawBar(0.25, 1, 4, false), ' ███');
  assert.equal(drawBar(0.125, 1, 4, false), '▐███');
  assert.equal(drawBar(0.5, 0.5, 4, false), '  ▏ ');
  assert.equal(drawBar(1, 1, 4, false), '   ▕');
  assert.equal(drawBar(0, 0, 4, true), '|   ');
  assert.equal(drawBar(0.5, 1, 4, true), '  ==');
  for (let start = 0; start <= 1; start += 0.013) {
    for (let end = start; end <= 1; end += 0.017) {
      for (const ascii of [false, true]) {
        const bar = drawBar(start, end, 7, ascii);
        assert.equal(bar.length, 7);
        assert.notEqual(bar.trim(), '', `${start} to ${end}`);
      }
    }
  }
});

test('durations have three digits and the unit that fits', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0 ns'],
    [999, '999 ns'],
    [1_000, '1.00 µs'],
    [12_345, '12.3 µs'],
    [999_499, '999 µs'],
    [999_500, '1.00 ms'],
    [2_310_000, '2.31 ms'],
    [999_500_000, '1.00 s'],
    [99_940_000_000, '99.9 s'],
    [125_000_000_000, '2 min 05 s'],
  ];
  for (const [ns, text] of cases) assert.equal(printDuration(ns, false), text);
  assert.equal(printDuration(1_500, true), '1.50 us');
});
