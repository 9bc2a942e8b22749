/**
 * T10 of reference/tracing.md: exemplars and log lines that always lead to a trace. A real sidecar sends
 * a part of its traces to a real store, and every exemplar on its page is looked up there.
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { latencyBoundsUs } from '../../../src/telemetry/metrics/latency-histogram.ts';
import { labelsOf, type ReadPage, readPage, sumOf } from '../../telemetry/metric-page.ts';
import { accept, refuse } from '../../telemetry/otlp-sink.ts';
import { startViewer } from '../../viewer/viewer-fixture.ts';
import { get, type RunningSidecar } from '../sidecar-process.ts';
import { startPair, startServer, type TracedPair } from './traced-pair.ts';
import { readTrace } from './viewed-spans.ts';

const limit = { timeout: 60_000 };
const paths = ['/ok', '/ok', '/ok', '/missing', '/broken'];
const statuses: Readonly<Record<string, number>> = { '/ok': 200, '/missing': 404, '/broken': 500 };

function openMetrics(sidecar: RunningSidecar): Promise<ReadPage> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' };
    const sent = request(`http://${sidecar.metrics}/metrics`, { headers, agent: false });
    sent.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const type = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
        assert.equal(response.headers['content-type'], type);
        assert.ok(text.endsWith('\n# EOF\n'));
        resolve(readPage(text));
      });
    });
    sent.on('error', reject).end();
  });
}

async function pageWhere(sidecar: RunningSidecar, isSo: (page: ReadPage) => boolean) {
  for (;;) {
    const page = await openMetrics(sidecar);
    if (isSo(page)) return page;
  }
}

async function startApplication(
  t: TestContext,
  environment: Readonly<Record<string, string>>,
): Promise<TracedPair> {
  const origin = await startServer(t, ({ url = '/' }, response) => {
    response.writeHead(statuses[url] ?? 200).end('answer');
  });
  return startPair(t, { services: { origin: [origin] }, environment, args: ['--access-log=json'] });
}

async function ask(pair: TracedPair, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const path = paths[index % paths.length]!;
    assert.equal((await get(`127.0.0.1:${pair.inbound}`, path)).status, statuses[path]);
  }
}

const isOfHttp = (key: string) => /^http_(server|client)_request_duration_seconds_bucket/.test(key);

test(
  'T10: every exemplar is found in the store, with its span, status and duration',
  limit,
  async (t) => {
    const viewer = await startViewer();
    t.after(() => viewer.close());
    const pair = await startApplication(t, {
      OTEL_EXPORTER_OTLP_ENDPOINT: viewer.otlp,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.3',
    });
    await ask(pair, 200);
    // All three outcomes, of both kinds.
    const page = await pageWhere(pair.sidecar, ({ exemplars }) => {
      const seen = [...exemplars.keys()].filter(isOfHttp).map((key) => {
        const { http_response_status_code: status } = labelsOf(key);
        return `${key.slice(0, 11)} ${status}`;
      });
      return new Set(seen).size === 6;
    });
    assert.ok(page.exemplars.size >= 12, 'in two families');
    const bounds = [...latencyBoundsUs, Number.POSITIVE_INFINITY];
    for (const [key, exemplar] of page.exemplars) {
      const labels = labelsOf(key);
      const spans = await readTrace(viewer.query, exemplar.traceId);
      const span = spans.find(({ spanId }) => spanId === exemplar.spanId);
      assert.ok(span !== undefined, `${exemplar.traceId} is not in the store`);
      const usPerUnit = key.includes('_milliseconds_') ? 1_000 : 1_000_000;
      assert.equal(Math.round(exemplar.value * usPerUnit), span.durationUs);
      const le = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le) * usPerUnit;
      const bucket = bounds.findIndex((bound) => span.durationUs <= bound);
      assert.equal(Math.round(le), bounds[bucket]);
      if (!isOfHttp(key)) continue;
      assert.equal(span.kind, key.startsWith('http_server') ? 'SERVER' : 'CLIENT');
      const status = span.attributes['http.response.status_code'];
      assert.equal(Number(labels.http_response_status_code), status);
      assert.equal(labels.error_type, span.attributes['error.type']);
    }
    // The access log names the trace of every request; of those with an exemplar it is the same one.
    await pageWhere(pair.sidecar, () => {
      const lines = pair.sidecar.output.map((line) => JSON.parse(line) as Record<string, unknown>);
      const logged = new Set(lines.map((line) => `${line.trace_id} ${line.span_id}`));
      const exemplars = [...page.exemplars.values()];
      return exemplars.every(({ traceId, spanId }) => logged.has(`${traceId} ${spanId}`));
    });
  },
);

test('T10: what the collector has not taken is no exemplar', limit, async (t) => {
  const pair = await startApplication(t, {});
  const { sink, sidecar } = pair;
  sink.answer = refuse(400);
  await ask(pair, 10);
  const lost = (page: ReadPage) =>
    sumOf(page, 'otel_sdk_exporter_span_exported_total', { error_type: '_OTHER' });
  const refused = await pageWhere(sidecar, (page) => lost(page) === 20);
  assert.deepEqual([...refused.exemplars], []);
  // Taken in part: nobody knows which ones.
  sink.answer = (response) => {
    response.setHeader('content-type', 'application/json');
    response.end('{"partialSuccess":{"rejectedSpans":"1"}}');
    return false;
  };
  await ask(pair, 1);
  const partly = await pageWhere(sidecar, (page) => lost(page) > 20);
  assert.deepEqual([...partly.exemplars], []);
  sink.answer = accept;
  await ask(pair, 1);
  const taken = await pageWhere(sidecar, ({ exemplars }) => exemplars.size > 0);
  const sent = new Set(sink.spans.map(({ spanId }) => spanId));
  for (const { spanId } of taken.exemplars.values()) assert.ok(sent.has(spanId));
});

test('T10: without exemplars a page has none, though traces are sent', limit, async (t) => {
  const pair = await startApplication(t, { OTEL_METRICS_EXEMPLAR_FILTER: 'always_off' });
  await ask(pair, 10);
  const isSent = (page: ReadPage) =>
    sumOf(page, 'otel_sdk_exporter_span_exported_total', { error_type: '' }) === 20;
  const page = await pageWhere(pair.sidecar, isSent);
  assert.equal(page.exemplars.size, 0);
});
