/**
 * Laws of what comes in: any bytes are refused or taken, nothing throws, nothing is stored twice, and
 * what is counted adds up.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/base/clock.ts';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { MetricStore } from '../../src/viewer/metric-store.ts';
import { type Encoding, OtlpIngest, type Signal } from '../../src/viewer/otlp-ingest.ts';
import { readMetrics, readTraces } from '../../src/viewer/otlp-protobuf.ts';
import { MalformedProtobuf } from '../../src/viewer/protobuf-reader.ts';
import { compareSubsets, listRoutes } from '../../src/viewer/route-comparison.ts';
import { drawGraph } from '../../src/viewer/service-graph.ts';
import { findTraces, type TraceQuery } from '../../src/viewer/trace-search.ts';
import { TraceStore } from '../../src/viewer/trace-store.ts';
import { metricsBody } from './metric-fixtures.ts';
import { demoTrace, exportBody } from './span-fixtures.ts';

const startMs = 1_795_627_913_000;

function receiver() {
  const store = new TraceStore(viewerLimits);
  const metrics = new MetricStore(viewerLimits, new ManualClock());
  return { store, metrics, ingest: new OtlpIngest(store, metrics, viewerLimits) };
}

function attributeQuery(key: string, value: string): TraceQuery {
  return {
    service: '',
    operation: '',
    startMinUs: 0,
    startMaxUs: Number.POSITIVE_INFINITY,
    durationMinNs: 0,
    durationMaxNs: Number.POSITIVE_INFINITY,
    attributes: new Map([[key, value]]),
    tracesMax: 100,
  };
}

const goodProtobuf = makeProtobuf();

/** One span with its resource, as bytes that are mutated. */
function makeProtobuf(): Buffer {
  const field = (number: number, ...parts: readonly Buffer[]): Buffer => {
    const bytes = Buffer.concat(parts);
    assert.ok(bytes.length < 128);
    return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  };
  const text = (number: number, value: string): Buffer => field(number, Buffer.from(value));
  const attribute = (number: number, key: string, value: string): Buffer =>
    field(number, text(1, key), field(2, text(1, value)));
  const time = Buffer.from([(7 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 0]);
  const ids = [field(1, Buffer.alloc(16, 1)), field(2, Buffer.alloc(8, 2))];
  const event = field(11, text(2, 'ev'), attribute(3, 'a', 'b'));
  const parts = [...ids, text(5, 'GET'), time, attribute(9, 'key', 'value'), event];
  const resource = field(1, attribute(1, 'service.name', 'web'));
  return field(1, resource, field(2, field(2, ...parts)));
}

const signals: readonly Signal[] = ['traces', 'metrics'];
const encodings: readonly Encoding[] = ['json', 'protobuf'];

test('any bytes are refused or taken, in every encoding', () => {
  const { ingest } = receiver();
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(bytes, fc.boolean(), (body, isGzip) => {
      for (const signal of signals) {
        for (const encoding of encodings) {
          const outcome = ingest.take(Buffer.from(body), signal, encoding, isGzip);
          assert.ok(outcome.kind === 'taken' || outcome.refusal.message !== '');
        }
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a good message with bytes changed, cut or put in never throws', () => {
  const { ingest, store } = receiver();
  const changes = fc.array(fc.tuple(fc.nat(goodProtobuf.length), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(changes, fc.nat(goodProtobuf.length), fc.boolean(), (edits, end, isCut) => {
      const body = Buffer.from(isCut ? goodProtobuf.subarray(0, end) : goodProtobuf);
      for (const [at, byte] of edits) if (at < body.length) body[at] = byte;
      for (const signal of signals) ingest.take(body, signal, 'protobuf', false);
    }),
    { numRuns: 10_000 },
  );
  const { spans, repeatedSpans } = store.counts();
  assert.ok(spans > 10, String(spans));
  assert.equal(ingest.counts().acceptedSpans, spans + repeatedSpans);
});

test('only MalformedProtobuf comes out of the reader', () => {
  const limits = { depthMax: 16, valuesMax: 1_000 };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      for (const read of [readTraces, readMetrics]) {
        try {
          read(Buffer.from(bytes), limits);
        } catch (error) {
          assert.ok(error instanceof MalformedProtobuf);
        }
      }
    }),
    { numRuns: 5_000 },
  );
});

test('any JSON in the place of a part is refused or taken, and every answer can be made', () => {
  const { ingest, store, metrics } = receiver();
  const spanBody = exportBody(demoTrace('1'.repeat(32), startMs));
  const pointBody = metricsBody({
    service: 'web',
    startMs,
    timeMs: startMs + 5_000,
    points: [{ route: 'r', subset: 'v1', peer: 'p', status: 200, requests: 10 }],
  });
  const bodies: readonly (readonly [Signal, unknown])[] = [
    ['traces', spanBody],
    ['metrics', pointBody],
  ];
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 2 }), fc.nat(), (value, seed) => {
      for (const [signal, body] of bodies) {
        const changed = replacePart(structuredClone(body), value, seed);
        ingest.take(Buffer.from(JSON.stringify(changed)), signal, 'json', false);
      }
    }),
    { numRuns: 3_000 },
  );
  for (const [signal, body] of bodies) {
    const outcome = ingest.take(Buffer.from(JSON.stringify(body)), signal, 'json', false);
    assert.equal(outcome.kind, 'taken');
  }
  JSON.stringify(listRoutes(metrics, 300));
  JSON.stringify(compareSubsets(metrics, store, { route: 'r', seconds: 300 }, viewerLimits));
  JSON.stringify(drawGraph(metrics, store, 300));
  const found = findTraces(store, attributeQuery('tracecar.subset', 'v1'), viewerLimits);
  assert.ok(found.length >= 1);
});

test('a mistake of ours ends one request, not the viewer', () => {
  class BrokenStore extends TraceStore {
    override add(): never {
      throw new Error('broken');
    }
  }
  const metrics = new MetricStore(viewerLimits, new ManualClock());
  const ingest = new OtlpIngest(new BrokenStore(viewerLimits), metrics, viewerLimits);
  const body = Buffer.from(JSON.stringify(exportBody(demoTrace('3'.repeat(32), startMs))));
  assert.deepEqual(ingest.take(body, 'traces', 'json', false), {
    kind: 'refused',
    refusal: { kind: 'failed', message: 'internal error: Error: broken' },
  });
});

/** Puts `value` in the place of the part that `seed` leads to. */
function replacePart(body: unknown, value: unknown, seed: number): unknown {
  let rest = seed;
  let parent = body as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(parent);
    const key = keys[rest % keys.length]!;
    rest = Math.floor(rest / keys.length);
    const child = parent[key];
    const isInner = typeof child === 'object' && child !== null && Object.keys(child).length > 0;
    if (!isInner || rest % 5 === 4) {
      parent[key] = value;
      return body;
    }
    parent = child as Record<string, unknown>;
  }
}

test('attributes beyond what is indexed are kept, and no search slows down for them', () => {
  const { ingest, store } = receiver();
  const attributes = Object.fromEntries(Array.from({ length: 250 }, (_, n) => [`a${n}`, n]));
  const body = exportBody([{ ...demoTrace('2'.repeat(32), startMs)[0]!, attributes }]);
  const [entry] = body.resourceSpans;
  const span = entry!.scopeSpans[0]!.spans[0]! as Record<string, unknown>;
  span.events = Array.from({ length: 3 }, (_, n) => ({
    timeUnixNano: '1',
    name: 'ev',
    attributes: Array.from({ length: 200 }, (_unused, k) => ({
      key: `e${n}-${k}`,
      value: { intValue: '1' },
    })),
  }));
  ingest.take(Buffer.from(JSON.stringify(body)), 'traces', 'json', false);
  const find = (key: string, value: string): number =>
    findTraces(store, attributeQuery(key, value), viewerLimits).length;
  assert.equal(find('a249', '249'), 1);
  assert.equal(find('e0-0', '1'), 1);
  // The 501st is not indexed.
  assert.equal(find('e2-199', '1'), 0);
});

test('a search reads no more JSON than it may, and gives what it has found', () => {
  const { ingest, store } = receiver();
  // The index finds them by their second value, the JSON says that the first one counts.
  for (let n = 1; n <= 50; n++) {
    const body = exportBody(demoTrace(n.toString(16).padStart(32, '0'), startMs).slice(0, 1));
    const span = body.resourceSpans[0]!.scopeSpans[0]!.spans[0]!;
    const value = n <= 10 ? ['b'] : ['a', 'b'];
    span.attributes = value.map((each) => ({ key: 'k', value: { stringValue: each } }));
    ingest.take(Buffer.from(JSON.stringify(body)), 'traces', 'json', false);
  }
  const find = (searchReadBytesMax: number): number =>
    findTraces(store, attributeQuery('k', 'b'), { ...viewerLimits, searchReadBytesMax }).length;
  assert.equal(find(viewerLimits.searchReadBytesMax), 10);
  assert.equal(find(10_000), 0);
});
