/**
 * Metrics by OTLP: what a collector gets equals the counters, a collector that wants none is left
 * alone, and the last counts are sent at the end.
 */

import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { ManualClock, systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { watchPartialSuccess } from '../../src/telemetry/export/span-exporters.ts';
import { latencyBoundsUs } from '../../src/telemetry/metrics/latency-histogram.ts';
import { MetricRegistry, type RequestLabels } from '../../src/telemetry/metrics/metrics.ts';
import { MetricsExport } from '../../src/telemetry/metrics/metrics-export.ts';
import { MetricsFeed } from '../../src/telemetry/metrics/metrics-feed.ts';
import {
  type MetricsSnapshot,
  takeSnapshot,
} from '../../src/telemetry/metrics/metrics-snapshot.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { ManualTime } from '../support/manual-time.ts';
import type { SinkAttribute } from './otlp-sink.ts';
import { inbound, outbound } from './records.ts';

const limit = { timeout: 30_000 };
const outwards: RequestLabels = {
  direction: 'outbound',
  listener: 'outbound|127.0.0.1|9080',
  route: 'reviews',
  rule: 'default/reviews/http[0]',
  cluster: 'outbound|9080|v1|reviews.default.svc.cluster.local',
  subset: 'v1',
};
const inwards: RequestLabels = { ...outwards, direction: 'inbound', cluster: '', subset: '' };

interface Point {
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
  readonly attributes: readonly SinkAttribute[];
  readonly count?: number;
  readonly sum?: number;
  readonly bucketCounts?: readonly number[];
  readonly explicitBounds?: readonly number[];
  readonly asInt?: number;
}

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly histogram?: { aggregationTemporality: number; dataPoints: readonly Point[] };
  readonly sum?: {
    aggregationTemporality: number;
    isMonotonic: boolean;
    dataPoints: readonly Point[];
  };
}

interface Body {
  readonly resourceMetrics: readonly [
    {
      readonly resource: { readonly attributes: readonly SinkAttribute[] };
      readonly scopeMetrics: readonly [{ readonly metrics: readonly Metric[] }];
    },
  ];
}

/** A collector of metrics that answers with `status`, or as it is told. */
class Collector {
  readonly bodies: Body[] = [];
  readonly paths: string[] = [];
  status = 200;
  answer = (response: ServerResponse): void => {
    response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}');
  };
  readonly #server: Server;
  #waiting: (() => void)[] = [];

  constructor(t: TestContext) {
    this.#server = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8');
      request.on('data', (part: string) => {
        text += part;
      });
      request.on('end', () => {
        this.paths.push(request.url ?? '');
        this.bodies.push(JSON.parse(text) as Body);
        this.answer(response);
        for (const wake of this.#waiting.splice(0)) wake();
      });
    });
    t.after(() => {
      this.#server.closeAllConnections();
      this.#server.close();
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  metrics(index = this.bodies.length - 1): ReadonlyMap<string, Metric> {
    const { metrics } = this.bodies[index]?.resourceMetrics[0].scopeMetrics[0] ?? { metrics: [] };
    return new Map(metrics.map((metric) => [metric.name, metric]));
  }
}

function exportTo(
  url: string,
  warnings: string[],
  clock = new ManualClock(),
  env: Record<string, string> = {},
): MetricsExport {
  const { settings } = readTelemetrySettings({ OTEL_EXPORTER_OTLP_ENDPOINT: url, ...env });
  return new MetricsExport({
    settings: settings.metrics,
    limits: telemetryLimits,
    clock,
    resource: resourceFromAttributes({ 'service.name': 'web' }),
    version: '1.2.3',
    startEpochMs: 1_700_000_000_000,
    knownMethods: undefined,
    warn: (text) => warnings.push(text),
  });
}

function valuesOf(attributes: readonly SinkAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

function filled(): MetricRegistry {
  const registry = new MetricRegistry(10, undefined, 100, 'a');
  const out = registry.requestSeries(outwards);
  for (const us of [300, 300, 1_500, 20_000_000]) out.observe(outbound(), 200, us);
  out.observe(outbound({ status: 503 }), 503, 900);
  registry.requestSeries(inwards).observe(inbound({ status: 404 }), 404, 900);
  registry.zones.outbound('b').add(100, 7_000);
  registry.zones.outbound('a').add(1, 2);
  return registry;
}

/** As it comes out at the other side of a port. */
function posted(registry: MetricRegistry, epochMs = 1_700_000_005_250): MetricsSnapshot {
  return structuredClone(takeSnapshot(registry, epochMs));
}

test(
  'a collector gets the counts, buckets and attributes, cumulative since the start',
  limit,
  async (t) => {
    const collector = new Collector(t);
    const warnings: string[] = [];
    const exporting = exportTo(await collector.open(), warnings);
    exporting.take(posted(filled()));
    await exporting.flush();
    assert.deepEqual([collector.paths, warnings], [['/v1/metrics'], []]);
    const { resource } = collector.bodies[0]!.resourceMetrics[0];
    assert.deepEqual(valuesOf(resource.attributes), { 'service.name': 'web' });
    const { unit, histogram } = collector.metrics().get('http.client.request.duration')!;
    assert.deepEqual([unit, histogram!.aggregationTemporality], ['s', 2]);
    const [good, bad] = histogram!.dataPoints;
    assert.deepEqual(valuesOf(good!.attributes), {
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'network.protocol.version': '1.1',
      'server.address': 'reviews.default.svc.cluster.local',
      'server.port': 9080,
      'service.peer.name': 'reviews',
      'tracecar.route': 'reviews',
      'tracecar.rule.id': 'default/reviews/http[0]',
      'tracecar.subset': 'v1',
    });
    assert.equal(valuesOf(bad!.attributes)['error.type'], '503');
    assert.equal(good!.count, 4);
    assert.equal(good!.sum, 20.0021);
    assert.deepEqual(
      good!.explicitBounds,
      latencyBoundsUs.map((us) => us / 1e6),
    );
    assert.deepEqual(
      good!.bucketCounts,
      latencyBoundsUs.map((_, index) => [2, 0, 1][index] ?? 0).concat(1),
    );
    assert.equal(good!.startTimeUnixNano, '1700000000000000000');
    assert.equal(good!.timeUnixNano, '1700000005250000000');
    const server = collector.metrics().get('http.server.request.duration')!;
    assert.equal(valuesOf(server.histogram!.dataPoints[0]!.attributes)['url.scheme'], 'http');
  },
);

test('bytes go from zone to zone: requests there, responses back', limit, async (t) => {
  const collector = new Collector(t);
  const exporting = exportTo(await collector.open(), []);
  exporting.take(posted(filled()));
  await exporting.flush();
  const { unit, sum } = collector.metrics().get('tracecar.bytes')!;
  assert.deepEqual([unit, sum!.isMonotonic, sum!.aggregationTemporality], ['By', true, 2]);
  const flows = sum!.dataPoints.map(({ attributes, asInt }) => {
    const values = valuesOf(attributes);
    return [values['tracecar.zone.source'], values['tracecar.zone.destination'], asInt];
  });
  assert.deepEqual(flows.toSorted(), [
    ['a', 'a', 3],
    ['a', 'b', 100],
    ['b', 'a', 7_000],
  ]);
});

test('while one export is under way only the newest snapshot waits', limit, async (t) => {
  const collector = new Collector(t);
  const exporting = exportTo(await collector.open(), []);
  for (let second = 1; second <= 5; second++) exporting.take(posted(filled(), second * 1_000));
  await exporting.flush();
  const times = collector.bodies.map((_, index) => {
    const [point] = collector.metrics(index).get('http.client.request.duration')!
      .histogram!.dataPoints;
    return point!.timeUnixNano;
  });
  assert.deepEqual(times, ['1000000000', '5000000000']);
});

for (const status of [404, 405, 415]) {
  test(`a collector that answers ${status} is asked again ten minutes later`, limit, async (t) => {
    const collector = new Collector(t);
    collector.status = status;
    const warnings: string[] = [];
    const clock = new ManualClock();
    const exporting = exportTo(await collector.open(), warnings, clock);
    for (let round = 0; round < 3; round++) {
      exporting.take(posted(filled()));
      await exporting.flush();
    }
    assert.equal(collector.bodies.length, 1);
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0]!,
      new RegExp(`/v1/metrics takes no metrics \\(${status}\\).*10 minutes`),
    );
    for (const answer of [status, 200, 200]) {
      clock.advance(600_000);
      collector.status = answer;
      exporting.take(posted(filled()));
      await exporting.flush();
    }
    assert.equal(collector.bodies.length, 4);
    assert.equal(warnings.length, 1, 'once');
  });
}

test(
  'a collector that is away is a warning in ten minutes: the next counts say all',
  limit,
  async (t) => {
    const collector = new Collector(t);
    collector.status = 400;
    const warnings: string[] = [];
    const clock = new ManualClock();
    const exporting = exportTo(await collector.open(), warnings, clock);
    for (const wait of [0, 60_000, telemetryLimits.metricPauseMs]) {
      clock.advance(wait);
      exporting.take(posted(filled()));
      await exporting.flush();
    }
    assert.equal(collector.bodies.length, 3);
    assert.equal(warnings.length, 2);
    assert.match(warnings[0]!, /^telemetry: metrics were not delivered to http:.*\/v1\/metrics: /);
  },
);

const short = { OTEL_METRIC_EXPORT_TIMEOUT: '300' };

test(
  'an answer without an end is cut, and the collector left alone for ten minutes',
  limit,
  async (t) => {
    const collector = new Collector(t);
    let open = 0;
    const endless = (response: ServerResponse): void => {
      open++;
      response.on('close', () => open--);
      response.writeHead(200);
      const more = (): void => {
        if (!response.destroyed) response.write(' ', () => setImmediate(more));
      };
      more();
    };
    const good = collector.answer;
    collector.answer = endless;
    const warnings: string[] = [];
    const clock = new ManualClock();
    const exporting = exportTo(await collector.open(), warnings, clock, short);
    const isTold = () =>
      warnings.filter((text) => text.includes('does not end its answers')).length;
    const send = async (): Promise<number> => {
      exporting.take(posted(filled()));
      await exporting.flush();
      return collector.bodies.length;
    };
    // A machine that stands still for the whole time makes an answer a silent one: that is tried again.
    let asked = await send();
    while (isTold() === 0) asked = await send();
    assert.equal(exporting.failed, asked);
    assert.equal(await send(), asked, 'left alone');
    clock.advance(telemetryLimits.metricPauseMs);
    assert.equal(await send(), asked + 1);
    while (open > 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(telemetryLimits.metricPauseMs);
    collector.answer = good;
    const failed = exporting.failed;
    await send();
    assert.equal(await send(), asked + 3);
    assert.deepEqual([isTold(), exporting.failed], [1, failed]);
  },
);

test(
  'a collector that never answers costs the time of one export, and is asked again',
  limit,
  async (t) => {
    const collector = new Collector(t);
    collector.answer = () => undefined;
    const warnings: string[] = [];
    const exporting = exportTo(await collector.open(), warnings, new ManualClock(), short);
    for (let round = 1; round <= 2; round++) {
      exporting.take(posted(filled()));
      await exporting.flush();
      assert.deepEqual([collector.bodies.length, exporting.failed], [round, round]);
    }
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /were not delivered to .*timed out/);
  },
);

test('what a collector of metrics says of spans counts for none', limit, async (t) => {
  const collector = new Collector(t);
  collector.answer = (response) =>
    void response.end('{"partialSuccess":{"rejectedSpans":"5","rejectedDataPoints":"5"}}');
  const rejected: number[] = [];
  watchPartialSuccess((spans) => rejected.push(spans));
  const exporting = exportTo(await collector.open(), []);
  exporting.take(posted(filled()));
  await exporting.flush();
  assert.deepEqual([collector.bodies.length, rejected], [1, []]);
});

test('exports that fail are counted on the page', limit, async (t) => {
  const collector = new Collector(t);
  collector.status = 400;
  const { settings } = readTelemetrySettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.open(),
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_METRICS_EXPORTER: 'otlp',
    OTEL_METRIC_EXPORT_INTERVAL: '20',
  });
  const telemetry = Telemetry.start({
    settings,
    clock: systemClock,
    wakeUps: systemWakeUps,
    random: systemRandom,
    log: () => undefined,
    version: '1.2.3',
    accessLog: 'off',
  });
  t.after(() => telemetry.flushAndClose());
  const failed = () => {
    const page = renderPrometheus(telemetry.metrics);
    return Number(/^tracecar_metric_exports_failed_total (\d+)$/m.exec(page)![1]);
  };
  while (failed() < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(collector.bodies.length >= 2);
});

test('a snapshot is taken every interval and at the end', async () => {
  const time = new ManualTime();
  let startMs = time.clock.now();
  const taken: number[] = [];
  const feed = new MetricsFeed({
    registry: filled(),
    clock: time.clock,
    wakeUps: time,
    intervalMs: 5_000,
    post: ({ epochMs }) => taken.push(epochMs - time.clock.epochMs - startMs),
  });
  await time.advance(20_000);
  assert.deepEqual(taken, [], 'not before it is started');
  startMs += 20_000;
  feed.start();
  feed.start();
  await time.advance(4_999);
  assert.deepEqual(taken, []);
  await time.advance(1);
  await time.advance(5_000);
  feed.end();
  await time.advance(20_000);
  assert.deepEqual(taken, [5_000, 10_000, 10_000]);
});

test(
  'a sidecar that sends metrics only has a worker, and sends the last ones at its end',
  limit,
  async (t) => {
    const collector = new Collector(t);
    const { settings } = readTelemetrySettings({
      OTEL_EXPORTER_OTLP_ENDPOINT: await collector.open(),
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_METRIC_EXPORT_INTERVAL: '20',
    });
    const logged: string[] = [];
    const telemetry = Telemetry.start({
      settings,
      clock: systemClock,
      wakeUps: systemWakeUps,
      random: systemRandom,
      log: (_level, text) => logged.push(text),
      version: '1.2.3',
      accessLog: 'off',
    });
    const series = telemetry.metrics.requestSeries(outwards);
    series.observe(outbound(), 200, 1);
    const countOf = () => {
      const metric = collector.metrics().get('http.client.request.duration');
      return metric?.histogram?.dataPoints[0]?.count ?? 0;
    };
    await collector.until(() => countOf() === 1);
    series.observe(outbound(), 200, 1);
    await telemetry.flushAndClose();
    assert.equal(countOf(), 2);
    assert.deepEqual(logged, []);
  },
);
