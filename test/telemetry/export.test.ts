/**
 * From a record on the hot thread to a collector, through the real worker thread.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { failure } from '../../src/model/failure.ts';
import { noTracingRules } from '../../src/model/routing-table.ts';
import { usualSecurity } from '../../src/model/security.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { readTraceparent, TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { Detected, DetectedBy } from '../../src/telemetry/record/detection.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { OtlpSink, type SinkAttribute, type SinkSpan } from './otlp-sink.ts';
import { inbound, outbound } from './records.ts';

interface Started {
  readonly telemetry: Telemetry;
  readonly logged: string[];
}

function start(env: Record<string, string>, limits: Partial<typeof telemetryLimits> = {}): Started {
  const { settings, warnings } = readTelemetrySettings({
    OTEL_TRACES_SAMPLER: 'always_on',
    ...env,
  });
  assert.deepEqual(warnings, []);
  const logged: string[] = [];
  const telemetry = Telemetry.start({
    settings,
    clock: systemClock,
    wakeUps: systemWakeUps,
    random: seededRandom(5),
    log: (level, text) => logged.push(`${level} ${text}`),
    version: '1.2.3',
    accessLog: 'off',
    // A worker may take seconds to start on a busy machine; nothing here is about how long it has.
    limits: { ...telemetryLimits, flushMs: 30_000, ...limits },
  });
  return { telemetry, logged };
}

function typesOf(attributes: readonly SinkAttribute[]): Record<string, string> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.keys(value).join()]));
}

function valuesOf(attributes: readonly SinkAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

function received(): TraceContext {
  const context = new TraceContext();
  assert.ok(readTraceparent(PARENT, 0, PARENT.length, context));
  return context;
}

test('a relayed connection is a root span of its own, sampled as any root is', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { telemetry } = start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
  const record = outbound({
    kind: RecordKind.Connection,
    startMs: systemClock.now(),
    method: Detected.Tls,
    join: DetectedBy.Sniffed,
    status: 0,
    target: 'db.example',
    authority: '10.96.0.9:5432',
    clusterId: telemetry.names.idOf('passthrough'),
    destinationId: telemetry.names.idOf('10.96.0.9:5432'),
    requestBytes: 2 ** 40,
  });
  telemetry.beginSpan(record, new TraceContext());
  telemetry.finish(record);
  await telemetry.flushAndClose();
  const [span] = sink.spans;
  assert.deepEqual([span!.name, span!.kind], ['TCP passthrough', 3]);
  assert.equal(span!.parentSpanId, undefined);
  const values = valuesOf(span!.attributes);
  assert.equal(values['server.address'], 'db.example');
  assert.equal(values['tracecar.original_destination'], '10.96.0.9:5432');
  assert.equal(values['tracecar.sent_bytes'], 2 ** 40);
  const { started, sent } = telemetry.counts();
  assert.deepEqual([started, sent], [1, 1]);
});

test('a SERVER and a CLIENT span reach the collector with types, ids and times', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { telemetry, logged } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc',
    OTEL_SERVICE_NAME: 'web',
    OTEL_RESOURCE_ATTRIBUTES: 'k8s.pod.name=web-1',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
  });
  const { names } = telemetry;
  telemetry.describe({
    kind: 'routing-table',
    generation: 4,
    listeners: [],
    clusters: [
      {
        name: 'outbound|9080|v1|reviews',
        service: 'reviews.default.svc.cluster.local',
        namespace: 'default',
        subset: 'v1',
        balancing: 'least-request',
        connectTimeoutMs: 1_000,
        tls: { mode: 'auto' },
        endpoints: [{ address: '10.0.0.7', port: 9080, labels: {}, zone: '', identity: '' }],
      },
    ],
    capture: undefined,
    tracing: noTracingRules,
    security: usualSecurity,
  });
  const startMs = systemClock.now();
  const server = inbound({
    startMs,
    causeCode: 11,
    status: 404,
    routeId: names.idOf('web-route'),
    connectionId: 3,
    connectionRequests: 1,
    proxyUs: 2,
    responseUs: 3,
    generation: 4,
    userAgent: 'curl/8',
  });
  telemetry.beginSpan(server, received());
  telemetry.finish(server);
  const client = outbound({
    startMs,
    routeId: names.idOf('reviews-route'),
    clusterId: names.idOf('outbound|9080|v1|reviews'),
    subsetId: names.idOf('v1'),
    endpointId: names.idOf('10.0.0.7:9080'),
    weight: 60,
    generation: 4,
    attempt: 1,
    attemptReason: failure['idle-race'].code,
    connectUs: 5,
    requestUs: 6,
  });
  telemetry.beginSpan(client, received());
  telemetry.finish(client);
  await telemetry.flushAndClose();

  assert.equal(sink.requests.length, 1);
  const [request] = sink.requests;
  assert.equal(request!.method, 'POST');
  assert.equal(request!.url, '/v1/traces');
  assert.equal(request!.headers['content-type'], 'application/json');
  assert.equal(request!.headers.authorization, 'Bearer abc');
  assert.match(String(request!.headers['user-agent']), /^tracecar\/1\.2\.3 OTel-OTLP-Exporter-/);
  const { resource, schemaUrl, scopeSpans } = request!.body.resourceSpans[0]!;
  const resourceValues = valuesOf(resource.attributes);
  assert.equal(resourceValues['service.name'], 'web');
  assert.equal(resourceValues['k8s.pod.name'], 'web-1');
  assert.equal(resourceValues['telemetry.distro.name'], 'tracecar');
  assert.equal(resourceValues['telemetry.distro.version'], '1.2.3');
  assert.equal(schemaUrl, 'https://opentelemetry.io/schemas/1.44.0');
  assert.deepEqual(scopeSpans[0]!.scope, { name: 'tracecar', version: '1.2.3' });

  const [first, second] = sink.spans;
  assert.deepEqual([first!.name, first!.kind], ['GET', 2]);
  assert.deepEqual([second!.name, second!.kind], ['GET', 3]);
  for (const span of [first!, second!]) {
    assert.equal(span.traceId, PARENT.slice(3, 35));
    assert.equal(span.parentSpanId, PARENT.slice(36, 52));
    assert.match(span.spanId, /^[0-9a-f]{16}$/);
    assert.equal(span.flags, 0x301, 'sampled, and the parent is remote');
    const startNs = BigInt(span.startTimeUnixNano);
    assert.equal(BigInt(span.endTimeUnixNano) - startNs, 1_234_000n);
    const startedUs = Math.round((systemClock.epochMs + startMs) * 1_000);
    assert.equal(startNs, BigInt(startedUs) * 1_000n);
  }
  assert.notEqual(first!.spanId, second!.spanId);
  assert.deepEqual(typesOf(first!.attributes), {
    'http.request.method': 'stringValue',
    'http.response.status_code': 'intValue',
    'network.protocol.version': 'stringValue',
    'network.peer.address': 'stringValue',
    'network.peer.port': 'intValue',
    'tracecar.direction': 'stringValue',
    'url.scheme': 'stringValue',
    'url.path': 'stringValue',
    'server.address': 'stringValue',
    'server.port': 'intValue',
    'client.address': 'stringValue',
    'user_agent.original': 'stringValue',
    'tracecar.route': 'stringValue',
    'tracecar.rule': 'intValue',
    'tracecar.generation': 'intValue',
    'tracecar.cause': 'stringValue',
    'tracecar.flags': 'arrayValue',
    'tracecar.time.ttfb_us': 'intValue',
    'tracecar.time.response_us': 'intValue',
    'tracecar.time.proxy_us': 'intValue',
    'tracecar.conn.reused': 'boolValue',
    'tracecar.conn.id': 'intValue',
    'tracecar.conn.requests': 'intValue',
    'tracecar.sampled_by': 'stringValue',
  });
  const clientValues = valuesOf(second!.attributes);
  assert.equal(clientValues['tracecar.route'], 'reviews-route');
  assert.equal(clientValues['tracecar.cluster'], 'outbound|9080|v1|reviews');
  assert.equal(clientValues['tracecar.subset'], 'v1');
  assert.equal(clientValues['tracecar.endpoint'], '10.0.0.7:9080');
  assert.equal(clientValues['tracecar.weight'], 60);
  assert.equal(clientValues['http.request.resend_count'], 1);
  assert.equal(clientValues['tracecar.attempt.reason'], 'idle-race');
  assert.equal(clientValues['service.peer.name'], 'reviews');
  assert.equal(clientValues['service.peer.namespace'], 'default');
  assert.equal(clientValues['tracecar.lb.policy'], 'least-request');
  assert.equal(clientValues['tracecar.lb.candidates'], 1);
  assert.deepEqual(typesOf(second!.attributes)['http.request.resend_count'], 'intValue');
  assert.deepEqual(logged, []);
});

test('spans are exported while running, compressed when asked, and batches add up', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { telemetry } = start({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${sink.url}/own/path`,
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '100',
    OTEL_BSP_SCHEDULE_DELAY: '20',
  });
  const record = new ExchangeRecord();
  const absent = new TraceContext();
  for (let index = 0; index < 950; index++) {
    record.reset();
    record.kind = RecordKind.Client;
    record.endpointId = telemetry.names.idOf(`10.0.0.${index % 5}:80`);
    telemetry.beginSpan(record, absent);
    telemetry.finish(record);
  }
  await sink.until(() => sink.spans.length === 950);
  await telemetry.flushAndClose();
  assert.equal(sink.requests[0]!.url, '/own/path');
  assert.equal(sink.requests[0]!.headers['content-encoding'], 'gzip');
  assert.equal(new Set(sink.spans.map((span) => span.spanId)).size, 950);
  const endpoints = sink.spans.map((span) => valuesOf(span.attributes)['tracecar.endpoint']);
  assert.ok(endpoints.every((endpoint, index) => endpoint === `10.0.0.${index % 5}:80`));
  const { started, sent, dropped, queued } = telemetry.counts();
  assert.deepEqual(
    { started, sent, dropped, queued },
    { started: 950, sent: 950, dropped: 0, queued: 0 },
  );
});

test('only sampled records are exported', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { telemetry } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_TRACES_SAMPLER: 'traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.1',
  });
  const record = new ExchangeRecord();
  let sampled = 0;
  for (let index = 0; index < 2_000; index++) {
    record.reset();
    record.kind = RecordKind.Server;
    telemetry.beginSpan(record, new TraceContext());
    if ((record.flags & RecordFlag.Sampled) !== 0) sampled++;
    telemetry.finish(record);
  }
  await telemetry.flushAndClose();
  assert.equal(sink.spans.length, sampled);
  const counts = telemetry.counts();
  assert.equal(counts.started, sampled);
  assert.equal(counts.unsampled, 2_000 - sampled);
  assert.equal(counts.sent, sampled);
});

test('a full ring drops records, counts them, and started stays the sum', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { telemetry } = start(
    { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url },
    { recordRingBytes: 64 * 160, textRingBytes: 16_384 },
  );
  const record = new ExchangeRecord();
  for (let index = 0; index < 1_000; index++) {
    record.reset();
    record.kind = RecordKind.Server;
    telemetry.beginSpan(record, new TraceContext());
    telemetry.finish(record);
    const { started, sent, dropped, queued } = telemetry.counts();
    assert.equal(started, sent + dropped + queued);
  }
  await telemetry.flushAndClose();
  const counts = telemetry.counts();
  assert.equal(counts.started, 1_000);
  assert.equal(counts.ringDropped, counts.dropped);
  assert.ok(counts.ringDropped > 0);
  assert.equal(counts.sent, sink.spans.length);
  assert.equal(counts.sent + counts.dropped, 1_000);
});

test('without exporter and access log there is no worker, nothing is counted', async () => {
  const { telemetry } = start({ OTEL_TRACES_EXPORTER: 'none' }, { workerHeapMiBMax: -1 });
  const record = inbound();
  telemetry.beginSpan(record, new TraceContext());
  telemetry.finish(record);
  await telemetry.flushAndClose();
  assert.equal(telemetry.counts().started, 0);
});

test('a record that is finished after the end is dropped and counted', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { telemetry } = start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
  await telemetry.flushAndClose();
  const record = inbound();
  telemetry.beginSpan(record, new TraceContext());
  telemetry.finish(record);
  const { started, sent, dropped, queued } = telemetry.counts();
  assert.deepEqual(
    { started, sent, dropped, queued },
    { started: 1, sent: 0, dropped: 1, queued: 0 },
  );
  await telemetry.flushAndClose();
});

test('a worker that starts later finds what was recorded before, also when only the end starts it', async (t) => {
  for (const startsWorker of [true, false]) {
    const sink = await OtlpSink.start();
    t.after(() => sink.close());
    const { settings } = readTelemetrySettings({
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    });
    const telemetry = Telemetry.start({
      settings,
      clock: systemClock,
      wakeUps: systemWakeUps,
      random: seededRandom(5),
      log: () => undefined,
      version: '1.2.3',
      accessLog: 'off',
      limits: { ...telemetryLimits, flushMs: 30_000 },
      startsWorkerLater: true,
    });
    const record = new ExchangeRecord();
    record.kind = RecordKind.Server;
    record.routeId = telemetry.names.idOf('before the worker');
    telemetry.beginSpan(record, new TraceContext());
    telemetry.finish(record);
    if (startsWorker) telemetry.startWorker();
    await telemetry.flushAndClose();
    telemetry.startWorker();
    const { started, sent, dropped, queued } = telemetry.counts();
    assert.deepEqual(
      { started, sent, dropped, queued },
      { started: 1, sent: 1, dropped: 0, queued: 0 },
    );
  }
});

test('O18: a clock that is set back a day changes no time of a span, and no duration', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { settings } = readTelemetrySettings({
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
  });
  const begunMs = systemClock.epochMs;
  let epochMs = begunMs;
  const telemetry = Telemetry.start({
    settings,
    clock: {
      now: () => systemClock.now(),
      get epochMs() {
        return epochMs;
      },
    },
    wakeUps: systemWakeUps,
    random: seededRandom(5),
    log: () => undefined,
    version: '1.2.3',
    accessLog: 'off',
    limits: { ...telemetryLimits, flushMs: 30_000 },
  });
  const record = inbound({ startMs: 1_000, totalUs: 2_500 });
  telemetry.beginSpan(record, new TraceContext());
  epochMs -= 86_400_000;
  telemetry.finish(record);
  await telemetry.flushAndClose();
  const [{ startTimeUnixNano, endTimeUnixNano }] = sink.spans as [SinkSpan];
  assert.equal(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano), 2_500_000n);
  assert.equal(BigInt(startTimeUnixNano) / 1_000n, BigInt(Math.round((begunMs + 1_000) * 1_000)));
});
