/**
 * The store: bounded by bytes, oldest trace out first, everything that leaves is counted.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ViewerLimits, viewerLimits } from '../../src/model/limits.ts';
import { decodeTraces } from '../../src/viewer/otlp-decode.ts';
import { TraceStore } from '../../src/viewer/trace-store.ts';
import { demoTrace, exportBody, type SpanFixture } from './span-fixtures.ts';

const startMs = 1_795_627_913_000;

function idOf(n: number): string {
  return n.toString(16).padStart(32, '0');
}

function limitsWith(limits: Partial<ViewerLimits>): ViewerLimits {
  return { ...viewerLimits, ...limits };
}

function addSpans(store: TraceStore, spans: readonly SpanFixture[]): number {
  const decoded = decodeTraces(exportBody(spans), viewerLimits);
  assert.equal(decoded.kind, 'spans');
  return decoded.kind === 'spans' ? store.add(decoded.groups).spans : 0;
}

function newestFirst(store: TraceStore): string[] {
  return [...store.newestFirst()].map((trace) => trace.traceId);
}

test('the oldest trace goes first, as a whole, and is counted', () => {
  const store = new TraceStore(limitsWith({ storeBytesMax: 100_000 }));
  for (let n = 1; n <= 100; n++) addSpans(store, demoTrace(idOf(n), startMs));
  const counts = store.counts();
  assert.ok(counts.bytes <= 100_000);
  assert.ok(counts.traces > 5 && counts.traces < 100);
  assert.equal(counts.traces + counts.evictedTraces, 100);
  assert.equal(counts.spans + counts.evictedSpans, 500);
  assert.equal(counts.spans, counts.traces * 5);
  const kept = newestFirst(store);
  assert.deepEqual(
    kept,
    Array.from({ length: counts.traces }, (_, n) => idOf(100 - n)),
  );
});

test('a late span does not make its trace younger', () => {
  const store = new TraceStore(viewerLimits);
  const [first, ...rest] = demoTrace(idOf(1), startMs);
  addSpans(store, [first!]);
  addSpans(store, demoTrace(idOf(2), startMs));
  addSpans(store, rest);
  assert.deepEqual(newestFirst(store), [idOf(2), idOf(1)]);
});

test('a span that is sent again is kept once', () => {
  const store = new TraceStore(viewerLimits);
  addSpans(store, demoTrace(idOf(1), startMs));
  const before = store.counts();
  addSpans(store, demoTrace(idOf(1), startMs));
  assert.deepEqual(store.counts(), { ...before, repeatedSpans: 5 });
});

test('services and operations leave with their last trace', () => {
  const store = new TraceStore(limitsWith({ storeBytesMax: 20_000 }));
  const old = demoTrace(idOf(1), startMs).map((span) => ({ ...span, service: 'old' }));
  addSpans(store, old);
  assert.deepEqual(store.services(), ['old']);
  assert.equal(store.operations('old', '').length, 4);
  for (let n = 2; n < 20; n++) addSpans(store, demoTrace(idOf(n), startMs));
  assert.deepEqual(store.services(), ['ratings', 'reviews', 'web']);
  assert.deepEqual(store.operations('old', ''), []);
});

test('a trace bigger than the store is dropped, never the process', () => {
  const store = new TraceStore(limitsWith({ storeBytesMax: 20_000 }));
  const spans = Array.from({ length: 200 }, (_, n): SpanFixture => {
    const spanId = (n + 1).toString(16).padStart(16, '0');
    return { traceId: idOf(1), spanId, service: 's', name: 'n', startMs, durationMs: 1 };
  });
  addSpans(store, spans);
  const counts = store.counts();
  assert.ok(counts.bytes <= 20_000);
  assert.equal(counts.spans + counts.evictedSpans, 200);
});

test('after everything was evicted nothing is held', () => {
  const store = new TraceStore(limitsWith({ storeBytesMax: 1 }));
  addSpans(store, demoTrace(idOf(1), startMs));
  const { traces, spans, bytes } = store.counts();
  assert.deepEqual({ traces, spans, bytes }, { traces: 0, spans: 0, bytes: 0 });
});

test('many resources are shared by reference and bounded with the rest', () => {
  const store = new TraceStore(limitsWith({ storeBytesMax: 200_000 }));
  for (let n = 1; n <= 2_000; n++) {
    const spans = demoTrace(idOf(n), startMs).map((span) => ({
      ...span,
      service: `service-${n}-${'x'.repeat(500)}`,
    }));
    addSpans(store, spans);
  }
  assert.ok(store.counts().bytes <= 200_000);
  assert.ok(store.services().length <= store.counts().traces);
});
