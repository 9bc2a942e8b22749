/**
 * The families that others' dashboards know: they say of a request what its span says, both formats
 * are well-formed, names follow the rules that promtool checks, and exemplars stand where they belong.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, seededRandom } from '../../src/base/random.ts';
import { failure, failures } from '../../src/model/failure.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { ExemplarStore, HeldExemplars } from '../../src/telemetry/metrics/exemplars.ts';
import { metricIdentity } from '../../src/telemetry/metrics/metric-identity.ts';
import { MetricRegistry, type RequestLabels } from '../../src/telemetry/metrics/metrics.ts';
import {
  type PageOptions,
  renderParts,
  renderPrometheus,
} from '../../src/telemetry/metrics/prometheus.ts';
import { type ExchangeRecord, RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { spanOutcome } from '../../src/telemetry/span/span-outcome.ts';
import { labelsOf, readPage, sumOf } from './metric-page.ts';
import { inbound, outbound } from './records.ts';

const outwards: RequestLabels = {
  direction: 'outbound',
  listener: 'outbound|127.0.0.1|9080',
  route: 'reviews',
  rule: 'default/reviews/http[0]',
  cluster: 'outbound|9080|v1|reviews.default.svc.cluster.local',
  subset: 'v1',
};
const inwards: RequestLabels = {
  direction: 'inbound',
  listener: 'inbound|127.0.0.1|9080',
  route: '',
  rule: '',
  cluster: 'inbound|9080|v2|web.shop.svc.cluster.local',
  subset: 'v2',
};

const identity = metricIdentity(
  { 'service.name': 'web', 'k8s.namespace.name': 'shop', 'k8s.deployment.name': 'web-v2' },
  { app: 'web', version: 'v2' },
  undefined,
);
const options: PageOptions = {
  format: 'prometheus',
  identity,
  clusters: new Map([[outwards.cluster, { app: 'reviews', version: 'v1' }]]),
  exemplars: [],
};

const spanCounts = {
  ...{ started: 9, unsampled: 1, sent: 5, dropped: 3, queued: 1, queueFull: 2 },
  ...{ ringDropped: 0, linesDropped: 0 },
};

/** A record as an exchange may end, and the status that was sent downstream. */
function randomEnd(isServer: boolean, random: ReturnType<typeof seededRandom>) {
  // Fewer outcomes than a series has cells for.
  const statuses = [0, 200, 404, 500, 503];
  const causes = ['client-gone', 'upstream-cut', 'connect-refused'] as const;
  const status = statuses[randomBelow(random, statuses.length)]!;
  const cause = causes[randomBelow(random, 2 * causes.length)];
  const causeCode = cause === undefined ? 0 : failure[cause].code;
  let flags = 0;
  for (const flag of [RecordFlag.DownstreamGone, RecordFlag.BodyCut, RecordFlag.Kept]) {
    if (randomBelow(random, 6) === 0) flags |= flag;
  }
  const fields = {
    ...{ status, causeCode, flags },
    firstByteUs: status === 0 ? -1 : 100,
    totalUs: randomBelow(random, 100_000),
  };
  const record = isServer ? inbound(fields) : outbound(fields);
  const isLocal = !isServer && status === 0 && causeCode !== 0;
  return { record, sent: isLocal ? failures[causeCode - 1]!.httpStatus : status };
}

test('a request is counted with the status and error.type of its span, whatever its end', () => {
  const random = seededRandom(12);
  const registry = new MetricRegistry();
  const series = [registry.requestSeries(inwards), registry.requestSeries(outwards)] as const;
  const expected = new Map<string, number>();
  for (let index = 0; index < 5_000; index++) {
    const isServer = randomBelow(random, 2) === 0;
    const { record, sent } = randomEnd(isServer, random);
    series[isServer ? 0 : 1].observe(record, sent, record.totalUs);
    const { statusCode, errorType } = spanOutcome(record);
    const family = `http_${isServer ? 'server' : 'client'}_request_duration_seconds_count`;
    const key = `${family} ${statusCode || ''} ${errorType ?? ''}`;
    expected.set(key, (expected.get(key) ?? 0) + 1);
  }
  const found = new Map<string, number>();
  for (const [key, count] of readPage(renderPrometheus(registry, options)).samples) {
    const name = key.split('{')[0]!;
    if (!/^http_(server|client)_request_duration_seconds_count$/.test(name)) continue;
    const { http_response_status_code: status = '', error_type: errorType = '' } = labelsOf(key);
    const place = `${name} ${status} ${errorType}`;
    found.set(place, (found.get(place) ?? 0) + count);
  }
  assert.ok(found.size > 20);
  assert.deepEqual([...found].toSorted(), [...expected].toSorted());
});

test('attributes are those of the conventions, of both sides', () => {
  const registry = new MetricRegistry();
  registry.requestSeries(inwards).observe(inbound({ flags: RecordFlag.Tls }), 200, 1_000);
  registry.requestSeries(outwards).observe(outbound({ method: 0, status: 404 }), 404, 1_000);
  const { samples } = readPage(renderPrometheus(registry, options));
  const found = (name: string) => {
    const keys = [...samples.keys()].filter((key) => key.startsWith(`${name}_count{`));
    assert.equal(keys.length, 1);
    return labelsOf(keys[0]!);
  };
  assert.deepEqual(found('http_server_request_duration_seconds'), {
    http_request_method: 'GET',
    http_response_status_code: '200',
    network_protocol_version: '1.1',
    url_scheme: 'https',
  });
  assert.deepEqual(found('http_client_request_duration_seconds'), {
    http_request_method: '_OTHER',
    http_response_status_code: '404',
    error_type: '404',
    network_protocol_version: '1.1',
    server_address: 'reviews.default.svc.cluster.local',
    server_port: '9080',
    service_peer_name: 'reviews',
    tracecar_route: 'reviews',
    tracecar_rule_id: 'default/reviews/http[0]',
    tracecar_subset: 'v1',
  });
});

test("Istio's labels say who, whom, and what is unknown", () => {
  const registry = new MetricRegistry();
  const record = outbound({ status: 0, causeCode: failure['connect-refused'].code });
  registry.requestSeries(outwards).observe(record, 503, 1_000);
  registry.requestSeries(inwards).observe(inbound({ requestBytes: 7, responseBytes: 9 }), 200, 1);
  const page = readPage(renderPrometheus(registry, options));
  const source = {
    ...{ reporter: 'source', source_workload: 'web-v2', source_workload_namespace: 'shop' },
    ...{ source_app: 'web', source_version: 'v2', source_canonical_service: 'web' },
    ...{ destination_service: 'reviews.default.svc.cluster.local' },
    ...{ destination_service_name: 'reviews', destination_service_namespace: 'default' },
    ...{ destination_app: 'reviews', destination_version: 'v1', destination_workload: 'unknown' },
    ...{ request_protocol: 'http', response_code: '503', response_flags: 'UF' },
  };
  assert.equal(sumOf(page, 'istio_requests_total', source), 1);
  const destination = {
    ...{ reporter: 'destination', destination_workload: 'web-v2', source_workload: 'unknown' },
    ...{ destination_service: 'web.shop.svc.cluster.local', response_flags: '-' },
    ...{ connection_security_policy: 'none', response_code: '200' },
  };
  assert.equal(sumOf(page, 'istio_requests_total', destination), 1);
  assert.equal(sumOf(page, 'istio_request_bytes_sum', destination), 7);
  assert.equal(sumOf(page, 'istio_response_bytes_sum', destination), 9);
  assert.equal(sumOf(page, 'istio_response_bytes_count'), 2);
});

const ids = ['cart', 'web'].map((account) => `spiffe://cluster.local/ns/buy/sa/${account}`);
const meshed: PageOptions = {
  ...options,
  identity: { ...identity, principal: 'spiffe://cluster.local/ns/shop/sa/web' },
  names: ids,
};
const tls = RecordFlag.Tls;

test('Istio tells mutual TLS from plain text, and callers by who they have proved to be', () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(inwards);
  for (const principalId of [1, 2, 1, 0]) {
    const flags = principalId === 0 ? 0 : tls;
    series.observe(inbound({ principalId, flags }), 200, 1_000);
  }
  const page = readPage(renderPrometheus(registry, meshed));
  const name = 'istio_requests_total';
  const secure = {
    ...{ reporter: 'destination', connection_security_policy: 'mutual_tls' },
    ...{ source_workload: 'unknown', source_workload_namespace: 'buy' },
    destination_principal: 'spiffe://cluster.local/ns/shop/sa/web',
  };
  assert.equal(sumOf(page, name, { ...secure, source_principal: ids[0]! }), 2);
  assert.equal(sumOf(page, name, { ...secure, source_principal: ids[1]! }), 1);
  const plain = {
    ...{ connection_security_policy: 'none', source_workload_namespace: 'unknown' },
    ...{ source_principal: 'unknown', destination_principal: 'unknown' },
  };
  assert.equal(sumOf(page, name, plain), 1);
  assert.equal(sumOf(page, name), 4);
  assert.equal(sumOf(page, 'http_server_request_duration_seconds_count'), 4);
});

test("the caller's side says so too, of endpoints that have proved who they are", () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(outwards);
  series.observe(outbound({ principalId: 1, flags: tls }), 200, 1_000);
  series.observe(outbound(), 200, 1_000);
  const page = readPage(renderPrometheus(registry, meshed));
  const secure = {
    ...{ reporter: 'source', connection_security_policy: 'mutual_tls' },
    source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
    ...{ destination_principal: ids[0]!, destination_workload_namespace: 'buy' },
  };
  assert.equal(sumOf(page, 'istio_requests_total', secure), 1);
  const open = { connection_security_policy: 'unknown', destination_principal: 'unknown' };
  assert.equal(sumOf(page, 'istio_requests_total', open), 1);
});

test('connections that are not read are counted by proved peers too, up to a number of them', () => {
  const registry = new MetricRegistry();
  const counts = registry.connectionGauge('inbound');
  const most = telemetryLimits.metricConnectionPeersMax;
  counts.countOpaque(0, 1, 2);
  for (let peerId = 1; peerId <= most + 3; peerId++) counts.countOpaque(peerId, 10, 20);
  counts.countOpaque(1, 10, 20);
  assert.equal(counts.opaquePeers.size, most + 1);
  const page = readPage(renderPrometheus(registry, meshed));
  const closed = (labels: Record<string, string>) =>
    sumOf(page, 'istio_tcp_connections_closed_total', { reporter: 'destination', ...labels });
  assert.equal(closed({ connection_security_policy: 'none' }), 1);
  assert.equal(closed({ source_principal: ids[0]! }), 2);
  assert.equal(closed({ connection_security_policy: 'mutual_tls' }), most + 4);
  const received = { connection_security_policy: 'mutual_tls', reporter: 'destination' };
  assert.equal(sumOf(page, 'istio_tcp_received_bytes_total', received), 10 * (most + 4));
  assert.equal(counts.opaqueTotal, most + 5);
});

test("Jaeger's Monitor tab finds its calls, errors and durations", () => {
  const registry = new MetricRegistry();
  const series = registry.requestSeries(inwards);
  for (const status of [200, 200, 404, 500]) series.observe(inbound({ status }), status, 3_000);
  const page = readPage(renderPrometheus(registry, options));
  const calls = 'traces_span_metrics_calls_total';
  const kind = { service_name: 'web', span_name: 'GET', span_kind: 'SPAN_KIND_SERVER' };
  assert.equal(sumOf(page, calls, { ...kind, status_code: 'STATUS_CODE_UNSET' }), 3);
  assert.equal(sumOf(page, calls, { ...kind, status_code: 'STATUS_CODE_ERROR' }), 1);
  const duration = 'traces_span_metrics_duration_milliseconds';
  assert.equal(sumOf(page, `${duration}_bucket`, { ...kind, le: '2.5' }), 0);
  assert.equal(sumOf(page, `${duration}_bucket`, { ...kind, le: '5.0' }), 4);
  assert.equal(sumOf(page, `${duration}_sum`, kind), 12);
});

/** A registry with something in every family. */
function fullRegistry(): { readonly registry: MetricRegistry; readonly record: ExchangeRecord } {
  const registry = new MetricRegistry(10, () => spanCounts as never);
  const series = registry.requestSeries(outwards);
  const record = outbound({ seriesId: series.id, causeCode: failure['upstream-cut'].code });
  series.observe(record, 200, record.totalUs);
  registry.requestSeries(inwards).observe(inbound({ status: 503 }), 503, 20_000_000);
  registry.connectionGauge('outbound').causes[failure['egress-denied'].code]! += 2;
  registry.connectionGauge('inbound').detections[1]! += 1;
  return { registry, record };
}

test('both formats have the same families and samples, and one family a name', () => {
  const { registry } = fullRegistry();
  const plain = readPage(renderPrometheus(registry, options));
  const open = readPage(renderPrometheus(registry, { ...options, format: 'openmetrics' }));
  assert.deepEqual([...open.samples], [...plain.samples]);
  assert.equal(open.types.size, plain.types.size);
});

test('names and help texts keep the rules that promtool checks', () => {
  const { types } = readPage(renderPrometheus(fullRegistry().registry, options));
  // Their names are Istio's and Jaeger's.
  const foreign = /^(istio_request|traces_span_metrics)_duration_milliseconds$/;
  const units =
    /_(milliseconds|microseconds|nanoseconds|minutes|hours|kilobytes|megabytes|ms|us|s)$/;
  for (const [name, type] of types) {
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.doesNotMatch(name, /_(bucket|sum|count|counter|gauge|histogram|summary)$|:|[A-Z]/);
    if (!foreign.test(name)) assert.doesNotMatch(name, units);
  }
});

test('an exemplar stands at the bucket of its request, in the families of spans', () => {
  const { registry, record } = fullRegistry();
  const store = new ExemplarStore(10);
  const held = new HeldExemplars(1_700_000_000_000, 10);
  held.add(record);
  store.take(held);
  const exemplars = store.entries();
  const page = readPage(
    renderPrometheus(registry, { ...options, format: 'openmetrics', exemplars }),
  );
  const found = [...page.exemplars].map(([key, exemplar]) => {
    const { le, http_response_status_code: status, error_type: errorType } = labelsOf(key);
    return [key.split('{')[0], le, status, errorType, exemplar] as const;
  });
  const ids = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: '00f067aa0ba902b7',
    seconds: 1_700_000_001.001,
  };
  assert.deepEqual(found, [
    [
      ...['http_client_request_duration_seconds_bucket', '0.0025', '200', 'upstream-cut'],
      { ...ids, value: 0.001_234 },
    ],
    [
      ...['traces_span_metrics_duration_milliseconds_bucket', '2.5', undefined, undefined],
      { ...ids, value: 1.234 },
    ],
  ]);
  assert.equal(readPage(renderPrometheus(registry, { ...options, exemplars })).exemplars.size, 0);
});

test('a page of thousands of outcomes comes in parts that are small, and is the same page', () => {
  const registry = new MetricRegistry();
  for (let route = 0; route < 100; route++) {
    const series = registry.requestSeries({ ...outwards, route: `route-${route}` });
    for (let status = 200; status < 220; status++) series.observe(outbound({ status }), status, 1);
  }
  const parts = [...renderParts(registry, options)];
  assert.ok(parts.length > 50, String(parts.length));
  assert.ok(Math.max(...parts.map(({ length }) => length)) < 128 * 1024);
  assert.ok(parts.every((part) => part.endsWith('\n')));
  assert.equal(parts.join(''), renderPrometheus(registry, options));
});
