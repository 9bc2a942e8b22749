/**
 * The shared cases of the query API on a real Jaeger 2.13 and on our viewer, one after the other: what
 * a client of one understands it understands of the other. And every official exporter's spans are the
 * same in both.
 *
 * Needs `npm run peers jaeger`; skipped with that command where it is missing.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { TraceFlags } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { queryApiTests, spansOf } from '../../viewer/query-api-cases.ts';
import { type RunningViewer, startViewer } from '../../viewer/viewer-fixture.ts';
import { findGoProgram } from '../go-peers.ts';
import { type Jaeger, startJaeger } from '../jaeger.ts';

const skip =
  findGoProgram('jaeger') === undefined ? 'Jaeger is not built; run: npm run peers jaeger' : false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

suite('the query API', { skip }, () => {
  let jaeger: Jaeger;
  let viewer: RunningViewer;

  before(async () => {
    jaeger = await startJaeger();
    viewer = await startViewer();
  });
  after(async () => {
    await Promise.all([jaeger?.close(), viewer?.close()]);
  });

  suite('of a real Jaeger', () => {
    queryApiTests(async () => ({ otlp: jaeger.otlpUrl, query: jaeger.queryUrl }));
  });

  suite('of our viewer', () => {
    queryApiTests(async () => viewer);
  });

  const exporters: Readonly<Record<string, (http: string, grpc: string) => SpanExporter>> = {
    JSON: (http) => new JsonExporter({ url: `${http}/v1/traces` }),
    protobuf: (http) => new ProtobufExporter({ url: `${http}/v1/traces` }),
    gRPC: (_, grpc) => new GrpcExporter({ url: grpc }),
  };

  for (const [index, [name, make]] of Object.entries(exporters).entries()) {
    test(`a span of the official exporter is the same in both: ${name}`, async () => {
      const traceId = `${'0'.repeat(31)}${index + 1}`;
      const span = spanOf(traceId);
      await send(make(jaeger.otlpUrl, jaeger.grpcUrl), span);
      await send(make(viewer.otlp, `http://127.0.0.1:${viewer.grpcPort}`), span);
      await jaeger.waitForTrace(traceId, ({ spans }) => spans.length === 1);
      const [theirs, ours] = await Promise.all(
        [jaeger.queryUrl, viewer.query].map(async (url) => {
          const body = await (await fetch(`${url}/api/v3/traces/${traceId}`)).json();
          const [found] = spansOf(body);
          return { ...found, attributes: sorted(found?.attributes) };
        }),
      );
      assert.deepEqual(ours, theirs);
    });
  }
});

async function send(exporter: SpanExporter, span: ReadableSpan): Promise<void> {
  const result = await new Promise<ExportResult>((done) => exporter.export([span], done));
  await exporter.shutdown();
  assert.equal(result.code, ExportResultCode.SUCCESS, String(result.error));
}

/** By key, without what Jaeger adds: a note that the parent has not come. */
function sorted(attributes: readonly { readonly key: string }[] = []) {
  return attributes
    .filter(({ key }) => key !== '@jaeger@warnings')
    .sort((one, other) => (one.key < other.key ? -1 : 1));
}

function spanOf(traceId: string): ReadableSpan {
  const contextOf = (spanId: string) => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  const seconds = Math.floor(Date.now() / 1000);
  return {
    name: 'GET /reviews/{id}',
    kind: 2,
    spanContext: () => contextOf('00000000000000a2'),
    parentSpanContext: contextOf('00000000000000a1'),
    startTime: [seconds, 123_456_789],
    endTime: [seconds, 223_456_789],
    status: { code: 2, message: 'bad' },
    attributes: {
      text: 'Zürich "日本"',
      number: 7,
      negative: -9_007_199_254_740_991,
      half: 0.5,
      yes: true,
      list: ['a', 'b'],
    },
    links: [{ context: contextOf('00000000000000a3'), attributes: { why: 'because' } }],
    events: [{ name: 'ev', time: [seconds, 150_000_000], attributes: { at: 1 } }],
    duration: [0, 100_000_000],
    ended: true,
    resource: resourceFromAttributes({ 'service.name': 'official' }),
    instrumentationScope: { name: 'scope', version: '1.2.3' },
    droppedAttributesCount: 1,
    droppedEventsCount: 2,
    droppedLinksCount: 3,
  };
}
