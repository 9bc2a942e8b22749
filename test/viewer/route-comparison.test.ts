/**
 * A against B from the counters of sidecars, and the service graph, over HTTP.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { decodeMetrics } from '../../src/viewer/metric-decode.ts';
import { MetricStore } from '../../src/viewer/metric-store.ts';
import { decodeTraces } from '../../src/viewer/otlp-decode.ts';
import { compareSubsets } from '../../src/viewer/route-comparison.ts';
import { TraceStore } from '../../src/viewer/trace-store.ts';
import type {
  AbAnswer,
  AbSubset,
  GraphAnswer,
  RoutesAnswer,
  StatusAnswer,
} from '../../src/viewer/view-answers.ts';
import {
  metricsBody,
  type PointFixture,
  type ReportFixture,
  sendMetrics,
} from './metric-fixtures.ts';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from './span-fixtures.ts';
import { type RunningViewer, startViewer } from './viewer-fixture.ts';

const startMs = 1_795_627_913_000;
const route = 'default/reviews-route';

/** A viewer and a caller whose counters only rise, as those of a process do. */
async function setUp(t: TestContext, limits: Parameters<typeof startViewer>[0] = {}) {
  const viewer = await startViewer(limits);
  t.after(() => viewer.close());
  return viewer;
}

/** The counters of `web` after `ms` of its life. */
async function report(
  viewer: RunningViewer,
  ageMs: number,
  points: readonly PointFixture[],
  rest: Partial<ReportFixture> = {},
): Promise<void> {
  const response = await sendMetrics(viewer.otlp, {
    service: 'web',
    startMs,
    timeMs: startMs + ageMs,
    points: points.map((point) => ({ route, peer: 'reviews', ...point })),
    ...rest,
  });
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { partialSuccess: {} });
}

async function ask<T>(viewer: RunningViewer, path: string): Promise<T> {
  const response = await fetch(`${viewer.query}/api/view/${path}`);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as T;
}

async function compare(viewer: RunningViewer, seconds = 300): Promise<AbAnswer> {
  return ask(viewer, `ab?${new URLSearchParams({ route, seconds: String(seconds) })}`);
}

async function subset(viewer: RunningViewer, name: string): Promise<AbSubset> {
  const found = (await compare(viewer)).subsets.find((each) => each.subset === name);
  assert.ok(found !== undefined);
  return found;
}

test('with 1 % sampling and 1 % errors the error rate is 1 % from counters', async (t) => {
  const viewer = await setUp(t);
  const requests = 20_000;
  // One span in a hundred is exported, and of the errors every one: spans alone would say 50 %.
  for (let n = 0; n < 40; n++) {
    const traceId = (n + 1).toString(16).padStart(32, '0');
    const spans = demoTrace(traceId, startMs).map((span) =>
      span.kind === 3
        ? {
            ...span,
            isError: n % 2 === 0,
            attributes: { ...span.attributes, 'tracecar.route': route, 'tracecar.subset': 'v2' },
          }
        : span,
    );
    await sendSpans(viewer.otlp, exportBody(spans));
  }
  await report(viewer, 5_000, [
    { subset: 'v1', status: 200, requests: requests * 0.6 },
    { subset: 'v2', status: 200, requests: requests * 0.4 * 0.99 },
    { subset: 'v2', status: 503, errorType: '503', requests: requests * 0.4 * 0.01 },
  ]);
  const v2 = await subset(viewer, 'v2');
  assert.equal(v2.errorShare, 0.01);
  assert.equal(v2.share, 0.4);
  assert.ok(v2.errorShareLow! > 0.008 && v2.errorShareLow! < 0.01);
  assert.ok(v2.errorShareHigh! < 0.0125 && v2.errorShareHigh! > 0.01);
  assert.deepEqual(v2.statuses, [
    { status: '200', requests: 7_920 },
    { status: '503', requests: 80 },
  ]);
  assert.equal((await subset(viewer, 'v1')).errorShare, 0);
  assert.equal(v2.exemplars.length, 10);
  assert.ok(v2.exemplars.every(({ isError }) => isError));
});

test('figures of a subset come from its histogram', async (t) => {
  const viewer = await setUp(t);
  await report(viewer, 5_000, [
    { subset: 'v1', status: 200, requests: 90, durationMs: 3 },
    { subset: 'v1', status: 404, errorType: '404', requests: 9, durationMs: 30 },
    { subset: 'v1', errorType: 'connect-refused', requests: 1, durationMs: 2_000 },
  ]);
  const v1 = await subset(viewer, 'v1');
  assert.deepEqual([v1.requests, v1.errors, v1.clientErrors, v1.ratePerSecond], [100, 1, 9, 20]);
  // 50 of the 90 between 1 and 5 ms; the slowest is above every bound of the sender.
  assert.equal(v1.p50Ms, 2.5 + 2.5 * (50 / 90));
  assert.ok(v1.p95Ms! > 25 && v1.p95Ms! <= 50);
  assert.equal(v1.meanMs, (90 * 3 + 9 * 30 + 2_000) / 100);
  assert.equal(v1.buckets.at(-1)!.toMs, null);
  assert.deepEqual(
    v1.buckets.filter(({ requests }) => requests > 0),
    [
      { toMs: 5, requests: 90 },
      { toMs: 50, requests: 9 },
      { toMs: null, requests: 1 },
    ],
  );
  assert.deepEqual(
    v1.statuses.map(({ status }) => status),
    ['200', '404', ''],
  );
});

test('time passes in steps, and what is older than asked for does not count', async (t) => {
  const viewer = await setUp(t);
  const good = (requests: number) => [{ subset: 'v1', status: 200, requests }];
  await report(viewer, 5_000, good(100));
  viewer.clock.advance(30_000);
  await report(viewer, 35_000, good(130));
  const all = await compare(viewer, 60);
  assert.deepEqual([all.subsets[0]!.requests, all.subsets[0]!.stepSeconds], [130, 5]);
  assert.deepEqual(
    all.subsets[0]!.steps.map(({ requests }) => requests).slice(-7),
    [100, 0, 0, 0, 0, 0, 30],
  );
  assert.equal(all.subsets[0]!.steps.length, 12);
  const { steps } = all.subsets[0]!;
  assert.equal(steps[1]!.startUs - steps[0]!.startUs, 5_000_000);
  const late = await compare(viewer, 10);
  assert.equal(late.subsets[0]!.requests, 30);
  assert.equal(late.subsets[0]!.ratePerSecond, 3);
  viewer.clock.advance(3_600_000);
  await report(viewer, 3_700_000, good(131));
  assert.equal((await compare(viewer, 3_600)).subsets[0]!.requests, 1);
});

test('a process that was old when it was first heard of counts from then on', async (t) => {
  const viewer = await setUp(t);
  await report(viewer, 3_600_000, [{ subset: 'v1', status: 200, requests: 5_000 }]);
  assert.deepEqual((await compare(viewer)).subsets, []);
  viewer.clock.advance(5_000);
  // Its first error of all: it was since the report before.
  await report(viewer, 3_605_000, [
    { subset: 'v1', status: 200, requests: 5_050 },
    { subset: 'v1', status: 500, errorType: '500', requests: 1 },
  ]);
  const v1 = await subset(viewer, 'v1');
  assert.deepEqual([v1.requests, v1.errors], [51, 1]);
});

test('the first requests of a process that had none for long count as a whole', async (t) => {
  const viewer = await setUp(t);
  for (let ageMs = 5_000; ageMs < 100_000; ageMs += 5_000) {
    await report(viewer, ageMs, []);
    viewer.clock.advance(5_000);
  }
  assert.equal((await compare(viewer)).untilUs, null);
  await report(viewer, 100_000, [{ subset: 'v1', status: 200, requests: 3 }]);
  assert.equal((await subset(viewer, 'v1')).requests, 3);
});

test('a restart begins at zero, a repeated report adds nothing, processes add up', async (t) => {
  const viewer = await setUp(t);
  const good = (requests: number) => [{ subset: 'v1', status: 200, requests }];
  await report(viewer, 5_000, good(10));
  await report(viewer, 5_000, good(10));
  assert.equal((await subset(viewer, 'v1')).requests, 10);
  await report(viewer, 15_000, good(4), { startMs: startMs + 10_000 });
  assert.equal((await subset(viewer, 'v1')).requests, 14);
  await report(viewer, 5_000, good(100), { pod: 'web-2' });
  assert.equal((await subset(viewer, 'v1')).requests, 114);
  await report(viewer, 5_000, good(1), { pod: 'web-3', isDelta: true });
  await report(viewer, 10_000, good(1), { pod: 'web-3', isDelta: true });
  assert.equal((await subset(viewer, 'v1')).requests, 116);
});

test('routes are listed with who calls whom', async (t) => {
  const viewer = await setUp(t);
  await report(viewer, 5_000, [
    { subset: 'v1', status: 200, requests: 10 },
    { subset: 'v2', status: 500, errorType: '500', requests: 10 },
    { route: 'default/ratings', peer: 'ratings', status: 200, requests: 5 },
  ]);
  const { routes } = await ask<RoutesAnswer>(viewer, 'routes?seconds=60');
  assert.deepEqual(routes, [
    {
      route: 'default/ratings',
      callers: ['web'],
      peers: ['ratings'],
      subsets: [''],
      requests: 5,
      ratePerSecond: 1,
      errorShare: 0,
    },
    {
      route,
      callers: ['web'],
      peers: ['reviews'],
      subsets: ['v1', 'v2'],
      requests: 20,
      ratePerSecond: 4,
      errorShare: 0.5,
    },
  ]);
});

test('the weight and the examples of a subset are those of its spans', async (t) => {
  const viewer = await setUp(t);
  const spans = demoTrace('1'.repeat(32), startMs).map((span) => ({
    ...span,
    attributes: { ...span.attributes, 'tracecar.route': route },
  }));
  await sendSpans(viewer.otlp, exportBody(spans));
  await report(viewer, 5_000, [{ subset: 'v1', status: 200, requests: 1 }]);
  const v1 = await subset(viewer, 'v1');
  assert.equal(v1.weight, 60);
  assert.deepEqual(v1.exemplars, [
    {
      traceId: '1'.repeat(32),
      spanId: '00000000000000a2',
      startUs: startMs * 1000 + 120,
      durationUs: 2010,
      isError: false,
    },
  ]);
});

test('nobody has sent: the answers are empty, and a mistake is 400', async (t) => {
  const viewer = await setUp(t);
  const none = { route, seconds: 300, untilUs: null, leftOut: 0, subsets: [] };
  assert.deepEqual(await compare(viewer), none);
  assert.deepEqual(await ask(viewer, 'routes'), { seconds: 300, routes: [] });
  assert.deepEqual(await ask(viewer, 'graph'), {
    seconds: 60,
    untilUs: null,
    nodes: [],
    edges: [],
  });
  for (const seconds of ['4', '3601', 'x']) {
    const response = await fetch(`${viewer.query}/api/view/ab?seconds=${seconds}`);
    assert.equal(response.status, 400);
  }
});

test('the graph has live rates where sidecars count, and spans elsewhere', async (t) => {
  const viewer = await setUp(t);
  await report(viewer, 5_000, [
    { subset: 'v1', status: 200, requests: 60 },
    { subset: 'v2', status: 500, errorType: '500', requests: 40 },
  ]);
  const at = { service: 'reviews-v1', pod: 'r', kind: 'server' as const };
  await report(viewer, 5_000, [{ status: 200, requests: 60 }], at);
  const epochMs = viewer.clock.epochMs;
  // The callee calls itself otherwise than its caller does; ratings is known from spans only.
  const spans = demoTrace('2'.repeat(32), epochMs).map((span) =>
    span.service === 'reviews' ? { ...span, service: 'reviews-v1' } : span,
  );
  await sendSpans(viewer.otlp, exportBody(spans));
  const { nodes, edges } = await ask<GraphAnswer>(viewer, 'graph');
  assert.deepEqual(
    edges.map((edge) => [edge.from, edge.to, edge.source, edge.requests, edge.ratePerSecond]),
    [
      ['reviews', 'ratings', 'spans', 1, 0],
      ['web', 'reviews', 'counters', 100, 20],
    ],
  );
  assert.equal(edges[1]!.errorShare, 0.4);
  assert.deepEqual(
    nodes.map((node) => [node.service, node.requests]),
    [
      ['ratings', 0],
      ['reviews', 60],
      ['web', 0],
    ],
  );
});

test('rows, streams and attributes are bounded, and what has no room is counted', async (t) => {
  const viewer = await setUp(t, { metricRowsMax: 3, metricStreamsMax: 5 });
  const response = await sendMetrics(viewer.otlp, {
    service: 'web',
    startMs,
    timeMs: startMs + 1,
    points: Array.from({ length: 10 }, (_, n) => ({ route: `route-${n}`, requests: 1 })),
  });
  const { partialSuccess } = (await response.json()) as {
    partialSuccess: { rejectedDataPoints: string; errorMessage: string };
  };
  assert.equal(partialSuccess.rejectedDataPoints, '7');
  assert.match(partialSuccess.errorMessage, /keeps no more sets/);
  const status = await ask<StatusAnswer>(viewer, 'status');
  assert.deepEqual(status.metrics, { rows: 3, rowsMax: 3, overflowPoints: 7 });
  assert.deepEqual([status.receiver.acceptedPoints, status.receiver.rejectedPoints], [3, 7]);
  const long = await sendMetrics(viewer.otlp, {
    service: 'web',
    startMs,
    timeMs: startMs + 1,
    points: [{ route: 'x'.repeat(5_000), requests: 1 }],
  });
  assert.match(await long.text(), /"rejectedDataPoints":"1".*over 4096 bytes/);
});

test('of too many streams those of the sender that was silent for longest go', async (t) => {
  const viewer = await setUp(t, { metricStreamsMax: 5 });
  const send = async (pod: string, points: number) => {
    const response = await sendMetrics(viewer.otlp, {
      service: 'web',
      pod,
      startMs,
      timeMs: startMs + 1,
      points: Array.from({ length: points }, (_, n) => ({ route: `route-${n}`, requests: 1 })),
    });
    return response.json();
  };
  assert.deepEqual(await send('one', 4), { partialSuccess: {} });
  assert.deepEqual(await send('two', 5), { partialSuccess: {} });
  const tooMany = (await send('three', 6)) as { partialSuccess: { rejectedDataPoints: string } };
  assert.equal(tooMany.partialSuccess.rejectedDataPoints, '1');
  const { routes } = await ask<RoutesAnswer>(viewer, 'routes');
  assert.deepEqual(
    routes.map(({ requests }) => requests),
    [3, 3, 3, 3, 2],
  );
});

/** A call of the route by one subset. */
function callSpan(n: number, subset: string, rest: Partial<SpanFixture> = {}): SpanFixture {
  return {
    traceId: n.toString(16).padStart(32, '0'),
    spanId: '00000000000000a1',
    service: 'web',
    name: 'GET',
    kind: 3,
    startMs,
    durationMs: 1,
    attributes: { 'tracecar.route': route, 'tracecar.subset': subset },
    ...rest,
  };
}

/** Counts what a comparison asks of it. */
class CountingStore extends TraceStore {
  passes = 0;
  spansRead = 0;

  override newestFirst(before?: number): ReturnType<TraceStore['newestFirst']> {
    this.passes++;
    return super.newestFirst(before);
  }

  override spanJson(cursor: Parameters<TraceStore['spanJson']>[0]): Uint8Array {
    this.spansRead++;
    return super.spanJson(cursor);
  }
}

test('hundreds of subsets: those with most requests, and one pass over the spans', () => {
  const subsets = Array.from({ length: 300 }, (_, n) => `z${n}`);
  const store = new CountingStore(viewerLimits);
  const spans = Array.from({ length: 3_000 }, (_, n) => callSpan(n + 1, subsets[n % 300]!));
  const decoded = decodeTraces(exportBody(spans), viewerLimits);
  assert.ok(decoded.kind === 'spans');
  store.add(decoded.groups);
  const metrics = new MetricStore(viewerLimits, new ManualClock());
  const points = subsets.map((subset, n) => ({ route, subset, requests: n + 1 }));
  const report = metricsBody({ service: 'web', startMs, timeMs: startMs + 5_000, points });
  const counted = decodeMetrics(report, viewerLimits);
  assert.ok(counted.kind === 'points');
  metrics.add(counted.groups);
  const answer = compareSubsets(metrics, store, { route, seconds: 300 }, viewerLimits);
  const shown = answer.subsets.map(({ subset }) => subset);
  assert.deepEqual(shown, subsets.slice(-viewerLimits.abSubsetsMax));
  assert.equal(answer.leftOut, 300 - viewerLimits.abSubsetsMax);
  assert.equal(answer.subsets.at(-1)!.share, 300 / 45_150);
  assert.ok(answer.subsets.every(({ exemplars }) => exemplars.length === 10));
  assert.equal(store.passes, 1);
  // The newest one of each for its weight, and the ten that are shown.
  assert.equal(store.spansRead, 11 * viewerLimits.abSubsetsMax);
});

test('examples are of the time that is looked at', async (t) => {
  const viewer = await setUp(t);
  const nowMs = viewer.clock.epochMs;
  const old = callSpan(1, 'v1', { startMs: nowMs - 3_000_000, isError: true });
  const fresh = callSpan(2, 'v1', { startMs: nowMs - 1_000 });
  await sendSpans(viewer.otlp, exportBody([fresh, old]));
  await report(viewer, 5_000, [{ subset: 'v1', status: 200, requests: 1 }]);
  const examples = async (seconds: number) =>
    (await compare(viewer, seconds)).subsets[0]!.exemplars.map(({ traceId }) => traceId);
  assert.deepEqual(await examples(60), [fresh.traceId]);
  assert.deepEqual(await examples(3_600), [old.traceId, fresh.traceId]);
});

test('rates fall to nothing when reports no longer come', async (t) => {
  const viewer = await setUp(t);
  await report(viewer, 5_000, [{ subset: 'v1', status: 200, requests: 100 }]);
  const requests = async () => (await compare(viewer, 60)).subsets.map((each) => each.requests);
  viewer.clock.advance(60_000);
  assert.deepEqual(await requests(), [100]);
  const { untilUs } = await compare(viewer, 60);
  viewer.clock.advance(20_000);
  assert.deepEqual(await requests(), []);
  assert.deepEqual((await ask<RoutesAnswer>(viewer, 'routes?seconds=60')).routes, []);
  assert.deepEqual((await ask<GraphAnswer>(viewer, 'graph')).edges, []);
  assert.equal((await compare(viewer, 60)).untilUs, untilUs);
});

/** Reports of two processes with one resource, at the same pace. */
async function reportTwice(viewer: RunningViewer, ageMs: number, requests: number): Promise<void> {
  const points = [{ subset: 'v1', status: 200, requests }];
  for (const start of [startMs, startMs + 7]) {
    await report(viewer, ageMs, points, { startMs: start, timeMs: startMs + ageMs });
  }
}

test('replicas with one resource are told apart by their start', async (t) => {
  const viewer = await setUp(t);
  for (const [n, requests] of [100, 110, 120, 130].entries()) {
    await reportTwice(viewer, 5_000 * (n + 1), requests);
    viewer.clock.advance(5_000);
  }
  assert.equal((await subset(viewer, 'v1')).requests, 260);
  // One that is old, and heard of for the first time: it counts from its next report on.
  const old = { startMs: startMs - 3_600_000 };
  const points = (requests: number) => [{ subset: 'v1', status: 200, requests }];
  await report(viewer, 25_000, points(9_000), old);
  assert.equal((await subset(viewer, 'v1')).requests, 260);
  await report(viewer, 30_000, points(9_004), old);
  assert.equal((await subset(viewer, 'v1')).requests, 264);
  // One that began since, with an interval of a minute: all of its streams are new requests.
  const young = [...points(5), { subset: 'v2', status: 200, requests: 6 }];
  await report(viewer, 100_000, young, { startMs: startMs + 40_000 });
  assert.equal((await subset(viewer, 'v1')).requests, 269);
  assert.equal((await subset(viewer, 'v2')).requests, 6);
});

test('a point that was overtaken, or came twice, is not counted again', async (t) => {
  const viewer = await setUp(t);
  const points = (requests: number) => [{ subset: 'v1', status: 200, requests }];
  await report(viewer, 10_000, points(200));
  await report(viewer, 5_000, points(150));
  await report(viewer, 10_000, points(200));
  assert.equal((await subset(viewer, 'v1')).requests, 200);
  const delta = { isDelta: true, pod: 'web-2' };
  for (let times = 0; times < 2; times++) await report(viewer, 10_000, points(3), delta);
  assert.equal((await subset(viewer, 'v1')).requests, 203);
});

test('streams of processes that have ended make room', async (t) => {
  const viewer = await setUp(t, { metricStreamsMax: 3 });
  const restart = (n: number) =>
    report(viewer, 5_000, [{ subset: 'v1', status: 200, requests: 1 }], {
      startMs: startMs + n * 400_000,
      timeMs: startMs + n * 400_000 + 5_000,
    });
  for (let n = 0; n < 8; n++) {
    await restart(n);
    viewer.clock.advance(400_000);
  }
  const { subsets } = await compare(viewer, 3_600);
  assert.deepEqual([subsets[0]!.requests], [8]);
});
