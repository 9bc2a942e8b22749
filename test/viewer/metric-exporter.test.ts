/**
 * The official metric exporter sends to our receiver by HTTP, JSON and protobuf, and a bare client by
 * gRPC: the same histogram comes out.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationType,
  MeterProvider,
  MetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import { metricNames } from '../../src/model/metric-names.ts';
import type { AbAnswer, StatusAnswer } from '../../src/viewer/view-answers.ts';
import { type RunningViewer, startViewer } from './viewer-fixture.ts';

class Reader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

/** 99 good requests and a bad one of a route, and a metric that nobody knows. */
async function collectMetrics(): Promise<ResourceMetrics> {
  const reader = new Reader();
  const provider = new MeterProvider({
    readers: [reader],
    resource: resourceFromAttributes({ 'service.name': 'web' }),
    views: [
      {
        instrumentName: metricNames.clientDuration,
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: [0.001, 0.005, 0.01] },
        },
      },
    ],
  });
  const meter = provider.getMeter('tracecar');
  const durations = meter.createHistogram(metricNames.clientDuration, { unit: 's' });
  const of = { 'tracecar.route': 'route', 'tracecar.subset': 'v1', 'service.peer.name': 'reviews' };
  for (let n = 0; n < 99; n++) {
    durations.record(0.003, { ...of, 'http.response.status_code': 200 });
  }
  durations.record(0.5, { ...of, 'http.response.status_code': 503, 'error.type': '503' });
  meter.createCounter('something.else').add(5);
  const { resourceMetrics } = await reader.collect();
  await provider.shutdown();
  return resourceMetrics;
}

async function assertCounted(viewer: RunningViewer): Promise<void> {
  const answer = await fetch(`${viewer.query}/api/view/ab?route=route`);
  const [subset] = ((await answer.json()) as AbAnswer).subsets;
  assert.ok(subset !== undefined);
  assert.deepEqual(
    [subset.subset, subset.requests, subset.errors, subset.errorShare],
    ['v1', 100, 1, 0.01],
  );
  assert.deepEqual(
    subset.buckets.filter(({ requests }) => requests > 0),
    [
      { toMs: 5, requests: 99 },
      { toMs: null, requests: 1 },
    ],
  );
  const status = await (await fetch(`${viewer.query}/api/view/status`)).json();
  assert.equal((status as StatusAnswer).receiver.rejectedPoints, 0);
}

const exporters: Readonly<Record<string, (url: string) => PushMetricExporter>> = {
  JSON: (url) => new JsonExporter({ url }),
  protobuf: (url) => new ProtobufExporter({ url }),
};

for (const [name, make] of Object.entries(exporters)) {
  test(`counts of the official exporter arrive whole: HTTP and ${name}`, async (t) => {
    const viewer = await startViewer();
    t.after(() => viewer.close());
    const exporter = make(`${viewer.otlp}/v1/metrics`);
    t.after(() => exporter.shutdown());
    const metrics = await collectMetrics();
    const result = await new Promise<ExportResult>((done) => exporter.export(metrics, done));
    assert.equal(result.code, ExportResultCode.SUCCESS, String(result.error));
    await assertCounted(viewer);
  });
}

test('counts of the official serializer arrive whole: gRPC', async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  const session = connect(`http://127.0.0.1:${viewer.grpcPort}`);
  t.after(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
    'content-type': 'application/grpc',
  });
  const message = ProtobufMetricsSerializer.serializeRequest(await collectMetrics())!;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
  stream.resume();
  const [trailers] = await once(stream, 'trailers');
  assert.equal(trailers['grpc-status'], '0');
  await assertCounted(viewer);
});
