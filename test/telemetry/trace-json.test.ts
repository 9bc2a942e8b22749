/**
 * Our JSON of a batch is the document that the exporter's own serializer makes of the same spans.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { seededRandom } from '../../src/base/random.ts';
import { ClusterBook } from '../../src/telemetry/cluster-facts.ts';
import {
  type ExchangeRecord,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/exchange-record.ts';
import { RecordSpan, type SpanSurroundings } from '../../src/telemetry/record-span.ts';
import { serializerOf } from '../../src/telemetry/span-exporters.ts';
import { TraceJson } from '../../src/telemetry/trace-json.ts';
import { inbound, outbound, randomRecord } from './records.ts';

const schemaUrl = 'https://opentelemetry.io/schemas/1.44.0';
const clusters = new ClusterBook();
clusters.add({
  generation: 3,
  clusters: [
    {
      name: 'c2',
      serviceName: 'reviews',
      serviceNamespace: 'default',
      balancing: 'round-robin',
      candidates: 2,
    },
  ],
});
const around: SpanSurroundings = {
  resource: resourceFromAttributes(
    { 'service.name': 'w"eb', 'process.pid': 7, 'a.b': true, 'c.d': 1.5, 'e.f': ['x', 'y\u00e9'] },
    { schemaUrl },
  ),
  scope: { name: 'tracecar', version: '1.2.3', schemaUrl },
  names: ['', 'route', 'c2', 'v1', '10.0.0.7:9080'],
  clusters,
  epochMs: 1_700_000_000_000.125,
  knownMethods: undefined,
  attributesMax: 128,
  attributeLengthMax: Number.POSITIVE_INFINITY,
};
const official = serializerOf(new OTLPTraceExporter())!;

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder('utf8', { fatal: true }).decode(bytes);
}

function assertSame(
  records: readonly ExchangeRecord[],
  other: Partial<SpanSurroundings> = {},
): void {
  const all = { ...around, ...other };
  const spans = records.map((record) => new RecordSpan(record, all));
  const json = new TraceJson(all);
  const wanted = JSON.parse(textOf(official.serializeRequest(spans)));
  const encoded = records.map((record) => json.encode(record));
  assert.deepEqual(JSON.parse(textOf(json.serialize(encoded))), wanted);
  // What was kept of the first batch does not change the second, nor does it the first.
  const again = records.map((record) => json.encode(record));
  assert.deepEqual(JSON.parse(textOf(json.serialize(again))), wanted);
  assert.deepEqual(JSON.parse(textOf(json.serialize(encoded))), wanted);
}

test('random records become the same document', () => {
  const random = seededRandom(11);
  const records = Array.from({ length: 400 }, () => randomRecord(random));
  assertSame(records.filter((record) => record.kind !== RecordKind.Connection));
});

test('a root, a child, both kinds and every routing name become the same document', () => {
  const routing = {
    routeId: 1,
    clusterId: 2,
    subsetId: 3,
    endpointId: 4,
    generation: 3,
    weight: 60,
  };
  const child = RecordFlag.HasParent | RecordFlag.Sampled | RecordFlag.RandomId;
  assertSame([
    outbound({ ...routing, flags: RecordFlag.Sampled }),
    inbound({ ...routing, flags: child, parentId0: -2, parentId1: 5 }),
  ]);
});

test('text that JSON escapes, that is not ASCII or not Unicode becomes the same document', () => {
  for (const text of [
    '"',
    '\\',
    '\u0000\n\u007f',
    'caf\u00e9 \u4e16\u{1f600}',
    '\ud800 alone',
    '\u2028',
  ]) {
    assertSame([inbound({ target: `/${text}?${text}`, userAgent: text, authority: text })]);
  }
});

test('more values of one attribute than are kept become the same document', () => {
  const paths = Array.from({ length: 700 }, (_, index) => `/items/${index}"caf\u00e9`);
  assertSame(paths.map((target) => inbound({ target })));
});

test('times from zero to hours, and numbers beyond 32 bits, become the same document', () => {
  const times = [0, 0.0004, 1, 999.9, 1e6, 3.7e12];
  assertSame(
    times.map((startMs) =>
      outbound({ startMs, totalUs: startMs, firstByteUs: startMs, weight: 2 ** 31 }),
    ),
  );
});

test('limits on attributes become the same document', () => {
  for (const attributesMax of [0, 1, 7, 128]) {
    assertSame([outbound(), inbound({ userAgent: 'curl/8' })], {
      attributesMax,
      attributeLengthMax: 3,
    });
  }
});
