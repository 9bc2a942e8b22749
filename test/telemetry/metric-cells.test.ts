/**
 * Cells of outcomes: what is told apart, what retries count as, and that upstreams cannot make many.
 */

import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { MetricRegistry, type RequestLabels } from '../../src/telemetry/metrics/metrics.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import {
  attemptKey,
  exchangeKey,
  outcomeOf,
  Part,
  spanKey,
  spanKeyOf,
  UNNAMED_PEER,
} from '../../src/telemetry/metrics/request-cell.ts';
import type { RequestSeries } from '../../src/telemetry/metrics/request-series.ts';
import { RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { readPage, sumOf } from './metric-page.ts';
import { inbound, outbound } from './records.ts';

const labels: RequestLabels = {
  direction: 'outbound',
  listener: 'outbound|127.0.0.1|9080',
  route: 'reviews',
  rule: 'default/reviews/http[0]',
  cluster: 'outbound|9080|v1|reviews.default.svc.cluster.local',
  subset: 'v1',
};

const countsOf = (series: RequestSeries) =>
  new Map([...series.cells].map((cell) => [cell.key, cell.count]));

test('a key says what was put into it', () => {
  const flags = RecordFlag.Tls | RecordFlag.BodyCut | RecordFlag.DownstreamGone;
  const record = inbound({ method: 9, status: 599, causeCode: 27, minorVersion: 0, flags });
  assert.deepEqual(outcomeOf(exchangeKey(record, 599)), {
    part: Part.Whole,
    status: 599,
    spanStatus: 599,
    method: 9,
    causeCode: 27,
    minorVersion: 0,
    flags,
    isOther: false,
  });
});

test('a local answer to an outbound request is no status of its span', () => {
  const { code } = failure['connect-refused'];
  const record = outbound({ status: 0, causeCode: code });
  const key = exchangeKey(record, 503);
  assert.deepEqual([outcomeOf(key).status, outcomeOf(key).spanStatus], [503, 0]);
  assert.equal(spanKeyOf(key), spanKey(record));
  const answered = outbound({ status: 503 });
  assert.equal(spanKeyOf(exchangeKey(answered, 503)), spanKey(answered));
  assert.notEqual(spanKey(answered), spanKey(record));
});

test('a retried exchange is counted once, and each of its attempts as one', () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(labels);
  const { code } = failure['idle-race'];
  series.observeAttempt(outbound({ status: 0, causeCode: code, firstByteUs: -1, totalUs: 100 }));
  const last = outbound({ attempt: 1, attemptReason: code, totalUs: 1_000 });
  series.observe(last, 200, 5_000);
  assert.deepEqual(series.statuses(), [{ status: 200, count: 1 }]);
  assert.deepEqual([series.total().count, series.total().sumUs], [1, 5_000]);
  const page = readPage(renderPrometheus(registry));
  assert.equal(sumOf(page, 'http_client_request_duration_seconds_count'), 2);
  assert.equal(sumOf(page, 'http_client_request_duration_seconds_sum'), 0.0011);
  assert.equal(
    sumOf(page, 'http_client_request_duration_seconds_count', { error_type: 'idle-race' }),
    1,
  );
  assert.equal(sumOf(page, 'istio_requests_total'), 1);
  assert.equal(sumOf(page, 'istio_request_duration_milliseconds_sum'), 5);
  assert.equal(sumOf(page, 'traces_span_metrics_calls_total'), 2);
});

test('the resend of an inbound exchange is no request of its own', () => {
  const series = new MetricRegistry().requestSeries({ ...labels, direction: 'inbound' });
  series.observe(inbound({ attempt: 1 }), 200, 1);
  const [cell] = [...series.cells];
  assert.equal(outcomeOf(cell!.key).part, Part.Whole);
});

test('an upstream that answers every status fills its own cells and no more', () => {
  const registry = new MetricRegistry();
  const hostile = registry.requestSeries(labels);
  const quiet = registry.requestSeries({ ...labels, route: 'quiet' });
  for (let round = 0; round < 2; round++) {
    for (let status = 100; status < 600; status++) {
      for (const method of [1, 3]) hostile.observe(outbound({ method, status }), status, 1_000);
    }
  }
  quiet.observe(outbound(), 200, 1_000);
  const { metricCellsPerSeriesMax: most } = telemetryLimits;
  const counts = countsOf(hostile);
  assert.equal(counts.size, most + 1);
  assert.equal(
    [...counts.values()].reduce((left, right) => left + right),
    2_000,
  );
  // By statuses that mean something the counts stay exact, without bound by cells.
  const statuses = hostile.statuses();
  const named = statuses.filter(({ status }) => status !== 'other');
  assert.ok(named.every(({ count }) => count === 4));
  for (const code of Object.keys(STATUS_CODES)) {
    if (code !== '509')
      assert.ok(
        named.some(({ status }) => `${status}` === code),
        code,
      );
  }
  const { metricOddStatusesMax: oddMost } = telemetryLimits;
  const isOdd = ({ status }: (typeof named)[number]) =>
    status !== 104 && status !== 306 && !(`${status}` in STATUS_CODES);
  assert.equal(named.filter(isOdd).length, oddMost);
  assert.deepEqual(statuses.at(-1), { status: 'other', count: 2_000 - 4 * named.length });
  assert.equal(hostile.causes()[0], 2_000);
  assert.deepEqual([...countsOf(quiet).values()], [1]);
  const page = readPage(renderPrometheus(registry));
  const other = { otel_metric_overflow: 'true' };
  const name = 'http_client_request_duration_seconds_count';
  assert.equal(sumOf(page, name), 2_001);
  assert.equal(sumOf(page, name, other), 2_000 - most * 2);
  assert.equal(sumOf(page, 'istio_requests_total', { response_code: 'other' }), 2_000 - most * 2);
  assert.equal(sumOf(page, 'traces_span_metrics_calls_total', { span_name: 'other' }), 1_800);
});

test('many proved peers use half of the cells at most, and are counted all the same', () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries({ ...labels, direction: 'inbound' });
  const half = telemetryLimits.metricCellsPerSeriesMax * telemetryLimits.metricPeerCellsShare;
  const flags = RecordFlag.Tls;
  for (let round = 0; round < 2; round++) {
    for (let principalId = 1; principalId <= 3 * half; principalId++) {
      series.observe(inbound({ principalId, flags }), 200, 1);
    }
  }
  const cells = [...series.cells];
  assert.equal(cells.filter(({ peerId }) => peerId > 0).length, half);
  const [shared, ...more] = cells.filter(({ peerId }) => peerId === UNNAMED_PEER);
  assert.deepEqual([shared!.count, more.length], [4 * half, 0]);
  series.observe(inbound({ principalId: 1, flags, status: 503 }), 503, 1);
  series.observe(inbound({ status: 500 }), 500, 1);
  assert.deepEqual(series.statuses(), [
    { status: 200, count: 6 * half },
    { status: 500, count: 1 },
    { status: 503, count: 1 },
  ]);
  assert.ok([...series.cells].every(({ key }) => !outcomeOf(key).isOther));
  const page = readPage(renderPrometheus(registry));
  const secure = { connection_security_policy: 'mutual_tls' };
  assert.equal(sumOf(page, 'istio_requests_total', secure), 6 * half + 1);
});

test('cells of proved peers are given back with their series', () => {
  const registry = new MetricRegistry(2, undefined, 4);
  for (const route of ['a', 'b', 'c', 'd']) {
    registry.beginTable();
    const series = registry.requestSeries({ ...labels, route });
    registry.requestSeries({ ...labels, route: `${route} beside` });
    registry.endTable();
    for (const principalId of [1, 2]) series.observe(outbound({ principalId }), 200, 1);
    const named = [...series.cells].filter(({ peerId }) => peerId > 0);
    assert.equal(named.length, 2, route);
  }
});

test('all series together have at most as many cells as there may be, and get them back', () => {
  const registry = new MetricRegistry(10, undefined, 20);
  const fill = (prefix: string) => {
    registry.beginTable();
    for (let index = 0; index < 8; index++) {
      const series = registry.requestSeries({ ...labels, route: `${prefix}-${index}` });
      for (let status = 200; status < 210; status++) {
        series.observe(outbound({ status }), status, 1);
      }
    }
    registry.endTable();
    const cells = registry.allSeries().flatMap((series) => [...series.cells]);
    return cells.filter(({ key }) => !outcomeOf(key).isOther).length;
  };
  assert.equal(fill('a'), 20);
  // The series of the table before are still there while the new ones count.
  assert.equal(fill('b'), 0);
  assert.equal(fill('c'), 20);
});

test('a series that no table has counts on, in cells that it has', () => {
  const registry = new MetricRegistry(2, undefined, 20);
  registry.beginTable();
  const gone = registry.requestSeries(labels);
  gone.observe(outbound(), 200, 1);
  registry.beginTable();
  registry.requestSeries({ ...labels, route: 'next' });
  registry.endTable();
  assert.ok(!registry.allSeries().includes(gone));
  gone.observe(outbound(), 200, 1);
  gone.observe(outbound({ status: 404 }), 404, 1);
  assert.equal(gone.total().count, 3);
  assert.equal([...gone.cells].filter(({ key }) => outcomeOf(key).isOther).length, 1);
});

test('series have ids of their own, from 1, that are given again when they have gone round', () => {
  const registry = new MetricRegistry(4);
  const seen = new Set<number>();
  for (let table = 0; table < 70_000; table++) {
    registry.beginTable();
    const pair = [`${table}`, 'x'].map((route) => registry.requestSeries({ ...labels, route }));
    registry.requestSeries({ ...labels, route: `${table}-other` });
    registry.endTable();
    assert.notEqual(pair[0]!.id, pair[1]!.id);
    seen.add(pair[0]!.id);
  }
  assert.ok(Math.min(...seen) === 1 && Math.max(...seen) <= 65_535);
});

test('the key of an attempt is that of its span, with what it is', () => {
  const record = outbound({ status: 0, causeCode: failure['idle-race'].code });
  assert.equal(outcomeOf(attemptKey(record)).part, Part.Attempt);
  assert.equal(spanKeyOf(attemptKey(record)), spanKey(record));
});

test('a status that has no name counts as other for ever, and none that has one gets less', () => {
  const registry = new MetricRegistry(10, undefined, 40);
  registry.beginTable();
  const crowd = registry.requestSeries({ ...labels, route: 'crowd' });
  for (let status = 200; status < 240; status++) crowd.observe(outbound({ status }), status, 1);
  const series = registry.requestSeries(labels);
  const seen = new Map<number | 'other', number>();
  const look = () => {
    for (const { status, count } of series.statuses()) {
      assert.ok(count >= (seen.get(status) ?? 0), `${status}`);
      seen.set(status, count);
    }
  };
  const ask = () => {
    for (let status = 599; status >= 512; status--) {
      series.observe(outbound({ status }), status, 1);
      look();
    }
    series.observe(outbound({ status: 503 }), 503, 1);
    look();
  };
  ask();
  // The crowd's cells become free: what was counted without one has them now.
  registry.endTable();
  registry.beginTable();
  registry.requestSeries(labels);
  registry.endTable();
  ask();
  assert.equal(seen.size, telemetryLimits.metricOddStatusesMax + 2);
  assert.equal(seen.get(599), 2);
  assert.equal(seen.get(503), 2);
  assert.equal(seen.get('other'), 2 * (88 - telemetryLimits.metricOddStatusesMax));
});
