/**
 * A real Prometheus scrapes a real sidecar: it takes the page as OpenMetrics, its counts are those of the
 * requests, and every exemplar that it keeps leads to a trace in the viewer's store. (Debian's
 * `prometheus`; `npm run peers promtool` brings both.)
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPair, startServer } from '../../e2e/acceptance/traced-pair.ts';
import { readTrace } from '../../e2e/acceptance/viewed-spans.ts';
import { get } from '../../e2e/sidecar-process.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { startViewer } from '../../viewer/viewer-fixture.ts';
import { lint, startPrometheus, sumIn, until, whyNoPrometheus } from '../prometheus.ts';

const skip = skipWithout(import.meta.filename, whyNoPrometheus());
const limit = { timeout: 120_000 };

interface Exemplars {
  readonly data: readonly {
    readonly exemplars: readonly { readonly labels: Readonly<Record<string, string>> }[];
  }[];
}

test('Prometheus counts every request, and its exemplars lead to traces', {
  ...limit,
  skip,
}, async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  const origin = await startServer(t, (_, response) => response.end('answer'));
  const pair = await startPair(t, {
    services: { origin: [origin] },
    environment: { OTEL_EXPORTER_OTLP_ENDPOINT: viewer.otlp, OTEL_TRACES_SAMPLER_ARG: '0.5' },
  });
  const at = await startPrometheus(t, pair.sidecar.metrics);
  for (let index = 0; index < 100; index++) await get(`127.0.0.1:${pair.inbound}`, '/');
  const sum = (query: string) => sumIn(at, query);
  await until(async () => (await sum('http_server_request_duration_seconds_count')) === 100);
  assert.equal(await sum('istio_requests_total{reporter="source"}'), 100);
  assert.equal(await sum('traces_span_metrics_calls_total{span_kind="SPAN_KIND_SERVER"}'), 100);
  assert.equal(await sum('tracecar_requests_total'), 200);
  assert.equal(await sum('up'), 1);
  assert.deepEqual(lint((await get(pair.sidecar.metrics, '/metrics')).body), []);

  const traces = new Set<string>();
  const query = encodeURIComponent('{__name__=~".+_bucket"}');
  const range = `start=${Date.now() / 1000 - 3_600}&end=${Date.now() / 1000 + 3_600}`;
  await until(async () => {
    const response = await fetch(`${at}/api/v1/query_exemplars?query=${query}&${range}`);
    const { data } = (await response.json()) as Exemplars;
    for (const { exemplars } of data) {
      for (const { labels } of exemplars) traces.add(`${labels.trace_id} ${labels.span_id}`);
    }
    return traces.size > 1;
  });
  for (const pairOfIds of traces) {
    const [traceId, spanId] = pairOfIds.split(' ');
    const spans = await readTrace(viewer.query, traceId!);
    assert.ok(
      spans.some((span) => span.spanId === spanId),
      pairOfIds,
    );
  }
});
