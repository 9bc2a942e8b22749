/**
 * The OpenMetrics page under the reference parser, Prometheus' own in Python: it is stricter than what
 * scrapes. (Debian's `python3-prometheus-client`; `npm run peers openmetrics`.)
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { failure } from '../../../src/model/failure.ts';
import { ExemplarStore, HeldExemplars } from '../../../src/telemetry/metrics/exemplars.ts';
import { metricIdentity } from '../../../src/telemetry/metrics/metric-identity.ts';
import { MetricRegistry } from '../../../src/telemetry/metrics/metrics.ts';
import { renderPrometheus } from '../../../src/telemetry/metrics/prometheus.ts';
import { findPeer, installCommand } from '../../../tools/peers.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { inbound, outbound } from '../../telemetry/records.ts';

const reason =
  findPeer('openmetrics') === undefined
    ? `no parser of OpenMetrics: ${installCommand(['openmetrics'])}`
    : undefined;
const skip = skipWithout(import.meta.filename, reason);

/** Debian's Python, which has Debian's packages. */
const python = '/usr/bin/python3';
const program = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
samples, exemplars = 0, []
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        samples += 1
        if sample.exemplar:
            exemplars.append([sample.name, sample.exemplar.labels, sample.exemplar.value])
print(json.dumps([samples, exemplars]))
`;

test('the reference parser reads every sample and exemplar', { skip }, () => {
  const counts = {
    ...{ started: 9, unsampled: 1, sent: 5, dropped: 3, queued: 1, queueFull: 2 },
    ...{ ringDropped: 0, linesDropped: 0 },
  };
  const registry = new MetricRegistry(10, () => counts as never, 100, 'eu-1a');
  const labels = { listener: 'l', route: 'a"b\\c\nd', rule: 'default/reviews/http[0]', subset: '' };
  const cluster = 'outbound|9080||reviews.default.svc.cluster.local';
  const series = registry.requestSeries({ ...labels, direction: 'outbound', cluster });
  const record = outbound({ seriesId: series.id, causeCode: failure['upstream-cut'].code });
  series.observe(record, 200, record.totalUs);
  registry
    .requestSeries({ ...labels, direction: 'inbound', cluster: '' })
    .observe(inbound(), 200, 20_000_000);
  registry.connectionGauge('outbound').causes[failure['egress-denied'].code]! += 2;
  registry.connectionGauge('inbound').detections[1]! += 1;
  registry.zones.outbound('eu-1b').add(1, 2);
  const store = new ExemplarStore(10);
  const held = new HeldExemplars(1_700_000_000_000, 10);
  held.add(record);
  store.take(held);
  const input = renderPrometheus(registry, {
    format: 'openmetrics',
    identity: metricIdentity({ 'service.name': 'web' }, {}, undefined),
    clusters: new Map(),
    exemplars: store.entries(),
  });
  const { stdout, stderr } = spawnSync(python, ['-c', program], { input, encoding: 'utf8' });
  assert.equal(stderr, '');
  const [samples, exemplars] = JSON.parse(stdout) as [number, [string, object, number][]];
  assert.equal(samples, input.split('\n').filter((line) => /^[a-z]/.test(line)).length);
  const ids = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: '00f067aa0ba902b7' };
  assert.deepEqual(exemplars, [
    ['http_client_request_duration_seconds_bucket', ids, 0.001_234],
    ['traces_span_metrics_duration_milliseconds_bucket', ids, 1.234],
  ]);
});
