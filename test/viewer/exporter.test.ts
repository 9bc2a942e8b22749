/**
 * The official OpenTelemetry exporter sends to our receiver: what it says is understood.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { spansOf } from './query-api-cases.ts';
import { startViewer } from './viewer-fixture.ts';

for (const compression of ['none', 'gzip'] as const) {
  test(`spans of the official exporter arrive whole (compression ${compression})`, async (t) => {
    const viewer = await startViewer();
    t.after(() => viewer.close());
    const exporter = new OTLPTraceExporter({
      url: `${viewer.otlp}/v1/traces`,
      compression: compression as never,
    });
    const provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'official' }),
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
    });
    const tracer = provider.getTracer('scope', '1.2.3');
    const parent = tracer.startSpan('parent', { kind: SpanKind.SERVER });
    const inParent = trace.setSpan(ROOT_CONTEXT, parent);
    const child = tracer.startSpan('child', { attributes: { n: 7, list: ['a', 'b'] } }, inParent);
    child.setStatus({ code: SpanStatusCode.ERROR, message: 'bad' });
    child.addEvent('ev', { at: 0.5 });
    child.end();
    parent.end();
    await provider.forceFlush();
    await provider.shutdown();
    const { traceId, spanId } = parent.spanContext();
    const body = await (await fetch(`${viewer.query}/api/v3/traces/${traceId}`)).json();
    const spans = spansOf(body);
    assert.deepEqual(spans.map((span) => span.name).sort(), ['child', 'parent']);
    const stored = spans.find((span) => span.name === 'child')!;
    assert.equal(stored.parentSpanId, spanId);
    assert.deepEqual(stored.attributes, [
      { key: 'n', value: { intValue: '7' } },
      {
        key: 'list',
        value: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } },
      },
    ]);
    assert.deepEqual(stored.status, { message: 'bad', code: 2 });
    const services = await (await fetch(`${viewer.query}/api/v3/services`)).json();
    assert.deepEqual(services, { services: ['official'] });
  });
}
