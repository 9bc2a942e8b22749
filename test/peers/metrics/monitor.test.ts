/**
 * Jaeger's Monitor tab with nothing in between but Prometheus: a real Jaeger shows rate, errors and
 * durations of requests of which no trace was sampled. (`npm run peers jaeger prometheus`.)
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findPeer, installCommand } from '../../../tools/peers.ts';
import { startPair, startServer } from '../../e2e/acceptance/traced-pair.ts';
import { get } from '../../e2e/sidecar-process.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { startJaeger } from '../jaeger.ts';
import { startPrometheus, sumIn, until, whyNoPrometheus } from '../prometheus.ts';

const noJaeger = findPeer('jaeger') === undefined ? installCommand(['jaeger']) : undefined;
const skip = skipWithout(import.meta.filename, noJaeger ?? whyNoPrometheus());
const limit = { timeout: 120_000 };

interface Monitored {
  readonly metrics: readonly {
    readonly labels: readonly { readonly name: string; readonly value: string }[];
    readonly metricPoints: readonly { readonly gaugeValue: { readonly doubleValue: number } }[];
  }[];
}

test('the Monitor tab shows what the sidecar counted', { ...limit, skip }, async (t) => {
  const origin = await startServer(t, (_, response) => response.end('answer'));
  const pair = await startPair(t, {
    services: { origin: [origin] },
    environment: { OTEL_TRACES_SAMPLER: 'always_off' },
  });
  const prometheus = await startPrometheus(t, pair.sidecar.metrics);
  const jaeger = await startJaeger({ prometheus });
  t.after(() => jaeger.close());
  const calls = 'traces_span_metrics_calls_total{span_kind="SPAN_KIND_SERVER"}';
  // A rate wants two scrapes with requests between them.
  let asked = 0;
  const rateOf = async (figure: string, more: Record<string, string> = {}) => {
    await get(`127.0.0.1:${pair.inbound}`, '/');
    asked++;
    const query = new URLSearchParams({
      ...{ service: 'app', endTs: String(Date.now()), lookback: '60000', step: '5000' },
      ...{ ratePer: '60000', groupByOperation: 'true', ...more },
    });
    const response = await fetch(`${jaeger.queryUrl}/api/metrics/${figure}?${query}`);
    const { metrics } = (await response.json()) as Monitored;
    return metrics.map(({ labels, metricPoints }) => ({
      ...Object.fromEntries(labels.map(({ name, value }) => [name, value])),
      value: metricPoints.at(-1)?.gaugeValue.doubleValue ?? 0,
    }));
  };
  const isShown = async (figure: string, more?: Record<string, string>) => {
    const found = await rateOf(figure, more);
    const get = found.find((each) => 'operation' in each && each.operation === 'GET');
    return get !== undefined && get.value > 0;
  };
  await until(() => isShown('calls'));
  await until(() => isShown('latencies', { quantile: '0.95' }));
  await until(async () => (await sumIn(prometheus, calls)) === asked);
  assert.deepEqual(pair.sink.spans, []);
});
