/**
 * The page of metrics under the real promtool: it reads every line, and has nothing to say of our own
 * names. (Debian's `prometheus`; `npm run peers promtool`.)
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../../src/model/failure.ts';
import { metricIdentity } from '../../../src/telemetry/metrics/metric-identity.ts';
import { MetricRegistry } from '../../../src/telemetry/metrics/metrics.ts';
import { renderPrometheus } from '../../../src/telemetry/metrics/prometheus.ts';
import { findPeer, installCommand } from '../../../tools/peers.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { inbound, outbound } from '../../telemetry/records.ts';
import { lint } from '../prometheus.ts';

const promtool = findPeer('promtool');
const reason = promtool === undefined ? `no promtool: ${installCommand(['promtool'])}` : undefined;
const skip = skipWithout(import.meta.filename, reason);

test('promtool complains of nothing but the units that Istio and Jaeger have chosen', {
  skip,
}, () => {
  const counts = {
    ...{ started: 9, unsampled: 1, sent: 5, dropped: 3, queued: 1, queueFull: 2 },
    ...{ ringDropped: 0, linesDropped: 0 },
  };
  const registry = new MetricRegistry(10, () => counts as never);
  const labels = {
    listener: 'l',
    route: 'a"b\\c\nd',
    rule: 'default/reviews/http[0]',
    subset: 'v1',
  };
  const cluster = 'outbound|9080|v1|reviews.default.svc.cluster.local';
  const causeCode = failure['upstream-cut'].code;
  registry
    .requestSeries({ ...labels, direction: 'outbound', cluster })
    .observe(outbound({ causeCode }), 200, 1_000);
  registry
    .requestSeries({ ...labels, direction: 'inbound', cluster: '' })
    .observe(inbound(), 200, 20_000_000);
  registry.connectionGauge('outbound').causes[failure['egress-denied'].code]! += 2;
  registry.connectionGauge('inbound').detections[1]! += 1;
  const input = renderPrometheus(registry, {
    format: 'prometheus',
    identity: metricIdentity({ 'service.name': 'web' }, {}, undefined),
    clusters: new Map(),
    exemplars: [],
  });
  assert.deepEqual(lint(input), []);
  // It does complain: of a counter without its suffix, here.
  assert.equal(lint('# HELP requests All.\n# TYPE requests counter\nrequests 1\n').length, 1);
});
