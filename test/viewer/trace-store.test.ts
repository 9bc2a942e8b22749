/**
 * The store, in memory and in a file: bounded by bytes, oldest trace out first, everything that leaves
 * is counted.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ViewerLimits, viewerLimits } from '../../src/model/viewer-limits.ts';
import { decodeTraces } from '../../src/viewer/otlp-decode.ts';
import { traceJson } from '../../src/viewer/query-api.ts';
import type { SpanBodies } from '../../src/viewer/span-bodies.ts';
import { SqliteBodies } from '../../src/viewer/sqlite-bodies.ts';
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

type MakeBodies = (t: TestContext, limits: ViewerLimits) => SpanBodies | undefined;

const kinds: Readonly<Record<string, MakeBodies>> = {
  memory: () => undefined,
  file: (t, limits) => {
    const folder = mkdtempSync(join(tmpdir(), 'tracecar-store-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const bodies = new SqliteBodies(join(folder, 'traces.db'), limits.storeBytesMax);
    t.after(() => bodies.close());
    return bodies;
  },
};

for (const [kind, makeBodies] of Object.entries(kinds)) {
  const storeWith = (t: TestContext, changed: Partial<ViewerLimits> = {}): TraceStore => {
    const limits = limitsWith(changed);
    return new TraceStore(limits, makeBodies(t, limits));
  };

  test(`the oldest trace goes first, as a whole, and is counted (${kind})`, (t) => {
    const store = storeWith(t, { storeBytesMax: 400_000 });
    for (let n = 1; n <= 400; n++) addSpans(store, demoTrace(idOf(n), startMs));
    const counts = store.counts();
    assert.ok(counts.bytes <= 400_000);
    assert.ok(counts.traces > 20 && counts.traces < 400, String(counts.traces));
    assert.equal(counts.traces + counts.evictedTraces, 400);
    assert.equal(counts.spans + counts.evictedSpans, 2000);
    assert.equal(counts.spans, counts.traces * 5);
    const kept = Array.from({ length: counts.traces }, (_, n) => idOf(400 - n));
    assert.deepEqual(newestFirst(store), kept);
  });

  test(`a late span does not make its trace younger (${kind})`, (t) => {
    const store = storeWith(t);
    const [first, ...rest] = demoTrace(idOf(1), startMs);
    addSpans(store, [first!]);
    addSpans(store, demoTrace(idOf(2), startMs));
    addSpans(store, rest);
    assert.deepEqual(newestFirst(store), [idOf(2), idOf(1)]);
  });

  test(`a span that is sent again is kept once (${kind})`, (t) => {
    const store = storeWith(t);
    addSpans(store, demoTrace(idOf(1), startMs));
    const before = store.counts();
    addSpans(store, demoTrace(idOf(1), startMs));
    assert.deepEqual(store.counts(), { ...before, repeatedSpans: 5 });
  });

  test(`in a big trace too a span that is sent again is kept once (${kind})`, (t) => {
    const store = storeWith(t);
    const spans = Array.from({ length: 1_000 }, (_, n): SpanFixture => {
      const spanId = ((n + 1) * 7_919_191).toString(16).padStart(16, '0');
      return { traceId: idOf(1), spanId, service: 's', name: 'n', startMs, durationMs: 1 };
    });
    for (let at = 0; at < spans.length; at += 10) addSpans(store, spans.slice(at, at + 10));
    addSpans(store, spans);
    const { spans: kept, repeatedSpans } = store.counts();
    assert.deepEqual([kept, repeatedSpans], [1_000, 1_000]);
  });

  test(`services and operations leave with their last trace (${kind})`, (t) => {
    const store = storeWith(t, { storeBytesMax: 200_000 });
    const old = demoTrace(idOf(1), startMs).map((span) => ({ ...span, service: 'old' }));
    addSpans(store, old);
    assert.deepEqual(store.services(), ['old']);
    assert.equal(store.operations('old', '').length, 4);
    for (let n = 2; n < 200; n++) addSpans(store, demoTrace(idOf(n), startMs));
    assert.deepEqual(store.services(), ['ratings', 'reviews', 'web']);
    assert.deepEqual(store.operations('old', ''), []);
  });

  test(`a trace bigger than the store is dropped, never the process (${kind})`, (t) => {
    const store = storeWith(t, { storeBytesMax: 100_000 });
    const spans = Array.from({ length: 1_000 }, (_, n): SpanFixture => {
      const spanId = (n + 1).toString(16).padStart(16, '0');
      return { traceId: idOf(1), spanId, service: 's', name: 'n', startMs, durationMs: 1 };
    });
    const refused = addSpans(store, spans);
    const counts = store.counts();
    assert.ok(counts.bytes <= 100_000, String(counts.bytes));
    assert.equal(counts.spans + counts.evictedSpans + refused, 1_000);
  });

  test(`many resources are shared by reference and bounded with the rest (${kind})`, (t) => {
    const store = storeWith(t, { storeBytesMax: 400_000 });
    for (let n = 1; n <= 500; n++) {
      const spans = demoTrace(idOf(n), startMs).map((span) => ({
        ...span,
        service: `service-${n}-${'x'.repeat(500)}`,
      }));
      addSpans(store, spans);
    }
    assert.ok(store.counts().bytes <= 400_000);
    assert.ok(store.services().length <= store.counts().traces);
  });

  test(`a trace comes out as it came in (${kind})`, (t) => {
    const store = storeWith(t);
    const spans = demoTrace(idOf(1), startMs).map((span) => ({ ...span, name: 'Zürich 日本' }));
    addSpans(store, spans);
    const json = traceJson(store, [store.trace(idOf(1))!]).toString();
    assert.equal(JSON.parse(json).result.resourceSpans.length, 3);
    assert.equal(json.split('"name":"Zürich 日本"').length, 6);
  });
}

test('after everything was evicted nothing is held', () => {
  const store = new TraceStore(limitsWith({ storeBytesMax: 1 }));
  addSpans(store, demoTrace(idOf(1), startMs));
  const { traces, spans, bytes } = store.counts();
  assert.deepEqual({ traces, spans, bytes }, { traces: 0, spans: 0, bytes: 0 });
});
