/**
 * Metrics: what the page says equals an independent count; labels are bounded and escaped.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, seededRandom } from '../../src/base/random.ts';
import { failure, failures } from '../../src/model/failure.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import {
  LatencyHistogram,
  latencyBoundsUs,
} from '../../src/telemetry/metrics/latency-histogram.ts';
import { MetricRegistry, type RequestLabels } from '../../src/telemetry/metrics/metrics.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import { NameTable } from '../../src/telemetry/record/name-table.ts';
import { readPage } from './metric-page.ts';
import { outbound } from './records.ts';

const labels: RequestLabels = {
  direction: 'outbound',
  listener: 'outbound|127.0.0.1|9080',
  route: 'reviews',
  rule: 'default/reviews/http[0]',
  cluster: 'outbound|9080|v1|reviews',
  subset: 'v1',
};

const base =
  'direction="outbound",listener="outbound|127.0.0.1|9080",route="reviews",' +
  'rule="default/reviews/http[0]",cluster="outbound|9080|v1|reviews",subset="v1"';

test('decisions of policies are counted by name, of a thousand; the rest is one name', () => {
  const registry = new MetricRegistry();
  const { policyCountsMax: most } = telemetryLimits;
  for (let index = 0; index < most + 50; index++) registry.policies.of(`shop/p-${index}`).denied++;
  registry.policies.of('shop/p-0').denied++;
  registry.policies.of('shop/p-1').wouldDeny += 2;
  registry.policies.of('shop/p-1').audited += 3;
  const { samples } = readPage(renderPrometheus(registry));
  const count = (policy: string, decision: string) =>
    samples.get(`tracecar_policy_decisions_total{policy="${policy}",decision="${decision}"}`);
  assert.equal(count('shop/p-0', 'denied'), 2);
  assert.equal(count('shop/p-1', 'would_deny'), 2);
  assert.equal(count('shop/p-1', 'audited'), 3);
  assert.equal(count(`shop/p-${most - 1}`, 'denied'), 1);
  assert.equal(count(`shop/p-${most}`, 'denied'), undefined);
  assert.equal(count('other', 'denied'), 50);
});

test('requests, failures and durations equal an independent count', () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(labels);
  const random = seededRandom(9);
  const statuses = new Map<number, number>();
  const causes = new Map<number, number>();
  const durations: number[] = [];
  const codes = [0, 100, 200, 200, 200, 204, 301, 404, 499, 500, 503, 599];
  for (let index = 0; index < 20_000; index++) {
    const status = codes[randomBelow(random, codes.length)]!;
    const cause = randomBelow(random, 3) === 0 ? randomBelow(random, failures.length + 1) : 0;
    const isBound = randomBelow(random, 10) === 0;
    const us = isBound
      ? latencyBoundsUs[randomBelow(random, latencyBoundsUs.length)]!
      : randomBelow(random, 2 ** (8 + randomBelow(random, 18))) + randomBelow(random, 4) / 4;
    series.observe(outbound({ causeCode: cause, status }), status, us);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    causes.set(cause, (causes.get(cause) ?? 0) + 1);
    durations.push(us);
  }
  const { samples, types } = readPage(renderPrometheus(registry));
  for (const [status, count] of statuses) {
    assert.equal(samples.get(`tracecar_requests_total{${base},status="${status}"}`), count);
  }
  for (const { code, cause, flag } of failures) {
    const key = `tracecar_request_failures_total{${base},cause="${cause}",flag="${flag}"}`;
    assert.equal(samples.get(key), causes.get(code));
  }
  const name = 'tracecar_request_duration_seconds';
  assert.equal(types.get(name), 'histogram');
  for (const bound of latencyBoundsUs) {
    const below = durations.filter((us) => us <= bound).length;
    const le = String(bound / 1e6).includes('.') ? bound / 1e6 : `${bound / 1e6}.0`;
    assert.equal(samples.get(`${name}_bucket{${base},le="${le}"}`), below, String(bound));
  }
  assert.equal(samples.get(`${name}_bucket{${base},le="+Inf"}`), durations.length);
  assert.equal(samples.get(`${name}_count{${base}}`), durations.length);
  const sum = durations.reduce((total, us) => total + us, 0) / 1e6;
  assert.ok(Math.abs(samples.get(`${name}_sum{${base}}`)! - sum) < 1e-6);
});

test('connections that failed are counted by direction and cause, and only those that did', () => {
  const registry = new MetricRegistry();
  const { causes } = registry.connectionGauge('outbound');
  causes[failure['egress-denied'].code]! += 2;
  registry.connectionGauge('inbound').causes[failure['connect-refused'].code]!++;
  const { samples, types } = readPage(renderPrometheus(registry));
  const name = 'tracecar_connection_failures_total';
  assert.equal(types.get(name), 'counter');
  assert.deepEqual(
    [...samples].filter(([key]) => key.startsWith(name)),
    [
      [`${name}{direction="inbound",cause="connect-refused",flag="UF"}`, 1],
      [`${name}{direction="outbound",cause="egress-denied",flag="NR"}`, 2],
    ],
  );
});

test('the buckets are those of the conventions in seconds and three below', () => {
  assert.deepEqual(
    latencyBoundsUs.map((us) => us / 1e6),
    [
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5,
      10,
    ],
  );
});

test('a percentile is at most an eighth too low and never too high', () => {
  const histogram = new LatencyHistogram();
  const random = seededRandom(4);
  const values: number[] = [];
  for (let index = 0; index < 5_000; index++) {
    const us = randomBelow(random, 2 ** (1 + randomBelow(random, 24)));
    values.push(us);
    histogram.observe(us);
  }
  values.sort((left, right) => left - right);
  for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = values[Math.ceil(values.length * share) - 1]!;
    const found = histogram.percentileUs(share);
    assert.ok(found <= exact && found >= exact * 0.875 - 1, `${share}: ${found} of ${exact}`);
  }
  assert.equal(new LatencyHistogram().percentileUs(0.5), 0);
});

test('durations beyond the last bucket and of hours are counted', () => {
  const series = new MetricRegistry().requestSeries(labels);
  for (const us of [0, 0.4, 10_000_000, 10_000_001, 2 ** 31, 86_400e6]) {
    series.observe(outbound(), 200, us);
  }
  const { counts, count } = series.total();
  assert.equal(counts[0], 2);
  assert.equal(counts[latencyBoundsUs.length - 1], 1);
  assert.equal(counts[latencyBoundsUs.length], 3);
  assert.equal(count, 6);
});

test('the same labels are the same series, others another', () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(labels);
  assert.equal(registry.requestSeries({ ...labels }), series);
  for (const [name, value] of Object.entries(labels)) {
    const other = name === 'direction' ? 'inbound' : `${value}x`;
    assert.notEqual(registry.requestSeries({ ...labels, [name]: other }), series, name);
  }
});

test('series over the limit are counted under other, one for each direction', () => {
  const registry = new MetricRegistry(100);
  for (let index = 0; index < 10_000; index++) {
    const direction = index % 2 === 0 ? 'outbound' : 'inbound';
    const series = registry.requestSeries({ ...labels, direction, route: `route-${index}` });
    series.observe(outbound(), 200, 1_000);
  }
  assert.equal(registry.allSeries().length, 102);
  const { samples } = readPage(renderPrometheus(registry));
  const requests = [...samples].filter(([key]) => key.startsWith('tracecar_requests_total'));
  assert.equal(requests.length, 102);
  assert.equal(
    requests.reduce((total, [, count]) => total + count, 0),
    10_000,
  );
  const other = 'listener="other",route="other",rule="other",cluster="other",subset="other"';
  const key = `tracecar_requests_total{direction="inbound",${other},status="200"}`;
  assert.equal(samples.get(key), 4_950);
});

test('series that no table asks for any more go when there are many, the others stay', () => {
  const registry = new MetricRegistry(100);
  const lasting = registry.lastingSeries({ ...labels, route: 'lasting' });
  const routes = () => registry.allSeries().map((series) => series.labels.route);
  const follow = (prefix: string, count: number) => {
    registry.beginTable();
    const kept = registry.requestSeries(labels);
    for (let index = 0; index < count; index++) {
      registry.requestSeries({ ...labels, route: `${prefix}-${index}` });
    }
    registry.endTable();
    return kept;
  };
  const kept = follow('few', 10);
  assert.equal(follow('other few', 10), kept);
  // 22 of 100: nothing has to go.
  assert.equal(routes().length, 22);
  for (const round of ['a', 'b', 'c', 'd']) {
    assert.equal(follow(round, 90), kept);
    assert.equal(routes().length, 92);
    assert.ok(routes().includes(`${round}-89`) && !routes().includes('other'));
  }
  assert.equal(registry.lastingSeries({ ...labels, route: 'lasting' }), lasting);
});

test('a table of too many series has its last ones under other, and the next one has not', () => {
  const registry = new MetricRegistry(10);
  const follow = (count: number) => {
    registry.beginTable();
    for (let index = 0; index < count; index++) {
      registry.requestSeries({ ...labels, route: `${count}-${index}` });
    }
    registry.endTable();
  };
  follow(12);
  const seriesOf = (route: string) => registry.requestSeries({ ...labels, route });
  assert.equal(seriesOf('12-11').labels.route, 'other');
  follow(9);
  assert.equal(seriesOf('9-8').labels.route, '9-8');
});

test('tables that never come to hold do not grow the registry without bound', () => {
  const registry = new MetricRegistry(10);
  for (let table = 0; table < 100; table++) {
    registry.beginTable();
    for (let index = 0; index < 8; index++) {
      registry.requestSeries({ ...labels, route: `${table}-${index}` });
    }
  }
  assert.ok(registry.allSeries().length <= 21);
});

test('a name over the limit gets no id and is counted', () => {
  const told: string[] = [];
  const names = new NameTable((id, name) => told.push(`${id} ${name}`), 2);
  assert.deepEqual(
    ['a', 'b', 'c', 'a', 'c', ''].map((name) => names.idOf(name)),
    [1, 2, 0, 1, 0, 0],
  );
  assert.deepEqual([names.size, names.refused, told], [2, 2, ['1 a', '2 b']]);
});

test('label values are escaped', () => {
  const registry = new MetricRegistry();
  registry.requestSeries({ ...labels, route: 'a"b\\c\nd' }).observe(outbound(), 200, 1);
  const text = renderPrometheus(registry);
  assert.ok(text.includes('route="a\\"b\\\\c\\nd"'));
  readPage(text);
});

test('an odd status or cause is counted, not thrown at', () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(labels);
  series.observe(outbound({ causeCode: 255 }), 99, 1);
  series.observe(outbound({ causeCode: -1 >>> 0 }), 600, 1);
  series.observe(outbound({ status: 0 }), -1, 1);
  assert.deepEqual(series.statuses(), [{ status: 0, count: 3 }]);
  assert.equal(series.causes()[0], 3);
});

test('connection counters are shown by direction', () => {
  const registry = new MetricRegistry();
  const inbound = registry.connectionGauge('inbound');
  inbound.downstreamOpen = 3;
  inbound.downstreamTotal = 9;
  registry.connectionGauge('outbound').upstreamFailed = 2;
  const { samples, types } = readPage(renderPrometheus(registry));
  assert.equal(samples.get('tracecar_downstream_connections_open{direction="inbound"}'), 3);
  assert.equal(samples.get('tracecar_downstream_connections_total{direction="inbound"}'), 9);
  assert.equal(samples.get('tracecar_downstream_connections_open{direction="outbound"}'), 0);
  assert.equal(samples.get('tracecar_upstream_connect_failures_total{direction="outbound"}'), 2);
  assert.equal(types.get('tracecar_downstream_connections_open'), 'gauge');
  assert.equal(types.get('tracecar_downstream_connections_total'), 'counter');
});

test("telemetry's own counters are shown under the conventions' names", () => {
  const counts = {
    started: 100,
    unsampled: 900,
    sent: 60,
    dropped: 30,
    queued: 10,
    queueFull: 20,
    ringDropped: 5,
    linesDropped: 1,
  };
  const { samples } = readPage(renderPrometheus(new MetricRegistry(10, () => counts)));
  const at = (key: string) => samples.get(key);
  const started = 'otel_sdk_span_started_total{otel_span_sampling_result=';
  assert.equal(at(`${started}"RECORD_AND_SAMPLE"}`), 100);
  assert.equal(at(`${started}"DROP"}`), 900);
  const exported = 'otel_sdk_exporter_span_exported_total{error_type=';
  assert.equal(at(`${exported}""}`), 60);
  assert.equal(at(`${exported}"queue_full"}`), 20);
  assert.equal(at(`${exported}"_OTHER"}`), 10);
  assert.equal(at('otel_sdk_processor_span_queue_size'), 10);
  assert.equal(at('otel_sdk_processor_span_queue_capacity'), 2_048);
  const processed = 'otel_sdk_processor_span_processed_total{error_type=';
  assert.equal(at(`${processed}""}`), 70);
  assert.equal(at(`${processed}"queue_full"}`), 20);
  assert.equal(at('tracecar_ring_dropped_records_total'), 5);
  assert.equal(at('tracecar_access_log_dropped_lines_total'), 1);
});

test('observing allocates nothing once the codes were seen', () => {
  const series = new MetricRegistry().requestSeries(labels);
  const record = outbound();
  const observe = () => {
    for (let index = 0; index < 100_000; index++) series.observe(record, 200 + (index & 1), index);
  };
  observe();
  observe();
  const before = process.memoryUsage().heapUsed;
  observe();
  assert.ok(process.memoryUsage().heapUsed - before < 100_000);
});
