/**
 * T7 of reference/tracing.md: errors are kept whole at sampling ratio 0, without a collector's help.
 *
 * Verdicts travel back in server-timing, along the path of the error; what was finished before is called
 * back by keep messages. What is kept is read from a collector that all sidecars send to.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributeOf, describe, KeptMesh, type KeptSpan } from './kept-mesh.ts';

const requests = 10_000;
const planted = 6_180;
/** Far more than any of these takes; only a hang meets it. */
const timeout = 120_000;

/** Slow ones depend on the machine: only errors are kept here. */
const flags = () => ['--keep-slow', '0'];

/** Every span of a request that all four services had a part in, and how they hang together. */
function assertWhole(trace: readonly KeptSpan[]): void {
  assert.deepEqual(trace.map(describe).toSorted(), [
    'CLIENT reviews',
    'CLIENT web',
    'CLIENT web',
    'SERVER details',
    'SERVER ratings',
    'SERVER reviews',
    'SERVER web',
  ]);
  const ids = new Set(trace.map(({ spanId }) => spanId));
  const roots = trace.filter(({ parentSpanId = '' }) => !ids.has(parentSpanId));
  assert.deepEqual(roots.map(describe), ['SERVER web']);
}

test('T7: one deep 500 in 10 000 requests is kept whole at ratio 0, and hardly anything else', {
  timeout,
}, async (t) => {
  const mesh = await KeptMesh.start(t, {
    fault: (service, path) => (service === 'ratings' && path === `/${planted}` ? 500 : undefined),
    isCalled: (service, path) => service !== 'details' || path.endsWith('0'),
    // The defaults: the ratio alone is said.
    flags: () => [],
  });
  await mesh.askAll(requests, (index) => `/${index}`);
  const trace = await mesh.traceOf(`/${planted}`, 7);
  assertWhole(trace);
  const reasons = Object.fromEntries(
    trace.map((span) => [describe(span), attributeOf(span, 'tracecar.sampled_by')]),
  );
  assert.equal(reasons['SERVER ratings'], 'error');
  assert.equal(reasons['SERVER details'], 'retro');
  // How many requests are slower than three times the 99th percentile is the machine's; each is one of the
  // budget of a second and route, and nothing but those is kept beside the error.
  const others = [...mesh.traces().values()].filter(
    (each) => !each.some(({ spanId }) => spanId === trace[0]!.spanId),
  );
  const isSlow = (each: readonly KeptSpan[]): boolean =>
    each.some((span) => attributeOf(span, 'tracecar.sampled_by') === 'slow');
  const unasked = others.filter((each) => !isSlow(each));
  assert.ok(unasked.length <= requests / 1_000, `${unasked.length} other traces`);
  t.diagnostic(`${others.length} slow ones beside it`);
});

test('T7: a verdict that comes after the head reaches callers that had been answered', {
  timeout,
}, async (t) => {
  // The others see no error: their callers' half answers are none of theirs.
  const mesh = await KeptMesh.start(t, {
    fault: (service, path) => (service === 'ratings' && path === '/late' ? 'cut' : undefined),
    flags: (service) => [
      '--keep-slow',
      '0',
      ...(service === 'ratings' ? [] : ['--keep-errors', '0']),
    ],
  });
  await mesh.askAll(20, (index) => `/${index}`);
  await mesh.ask('/late');
  const trace = await mesh.traceOf('/late', 7);
  assertWhole(trace);
  assert.equal(mesh.traces().size, 1);
  const { kept, sent } = await mesh.keepReport('ratings');
  assert.deepEqual(kept, { error: 1 });
  assert.equal(sent, 1, 'ratings has told its caller');
  for (const service of ['web', 'details', 'reviews'] as const) {
    assert.deepEqual((await mesh.keepReport(service)).kept, {}, service);
  }
});

test('T7: in an outage whole traces are kept as the budget allows, and every error is counted', {
  timeout,
}, async (t) => {
  const failing = 600;
  const mesh = await KeptMesh.start(t, {
    fault: (service) => (service === 'ratings' ? 503 : undefined),
    flags: () => ['--keep-slow', '0', '--keep-errors', '5'],
  });
  await mesh.askAll(failing, (index) => `/${index}`);
  const { kept, refused } = await mesh.keepReport('ratings');
  assert.ok(kept.error! >= 5 && kept.error! < failing, `${kept.error} kept`);
  assert.equal(kept.error! + refused.error!, failing);
  assert.equal(await mesh.metric('ratings', 'tracecar_kept_traces_total{by="error"}'), kept.error);
  const over = 'tracecar_keep_refused_total{by="error"}';
  assert.equal(await mesh.metric('ratings', over), refused.error);
  // One error is one, however many hops it passes.
  for (const service of ['web', 'reviews'] as const) {
    const report = await mesh.keepReport(service);
    assert.deepEqual([report.kept, report.refused], [{}, {}], service);
  }
  await mesh.sink.until(() => mesh.spans().length >= 7 * kept.error!);
  const traces = [...mesh.traces().values()];
  assert.equal(traces.length, kept.error);
  for (const trace of traces) assertWhole(trace);
});

test('T7: a request that is slower than the set limit is kept whole', { timeout }, async (t) => {
  const held = Promise.withResolvers<undefined>();
  const mesh = await KeptMesh.start(t, {
    fault: (service, path) =>
      service === 'ratings' && path === '/held' ? held.promise : undefined,
    // Only ratings knows what is slow; on a busy machine others are slow too, and kept as well.
    flags: (service) =>
      service === 'ratings' ? ['--slow-ms', '5', '--keep-slow', '1000'] : ['--keep-slow', '0'],
  });
  const answered = mesh.ask('/held');
  await mesh.askAll(300, (index) => `/${index}`);
  held.resolve(undefined);
  assert.equal(await answered, 200);
  const trace = await mesh.traceOf('/held', 7);
  assertWhole(trace);
  const server = trace.find((span) => describe(span) === 'SERVER ratings');
  assert.equal(attributeOf(server!, 'tracecar.sampled_by'), 'slow');
});

test('T7: ids of nobody bring nothing out, and too many of them are refused', {
  timeout,
}, async (t) => {
  const mesh = await KeptMesh.start(t, { fault: () => undefined, flags });
  await mesh.askAll(10, (index) => `/${index}`);
  const statuses = new Set<number>();
  let next = 1;
  // 100 s worth of what is taken.
  for (let message = 0; message < 1_000; message++) {
    const ids = Array.from({ length: 100 }, () => (next++).toString(16).padStart(32, '0'));
    statuses.add(await mesh.sendKeep(ids.join(',')));
  }
  assert.deepEqual([...statuses].toSorted(), [204, 429]);
  assert.equal(await mesh.ask('/after'), 200);
  const { received, known, overRate } = await mesh.keepReport('web');
  assert.equal(received + overRate, 100_000);
  assert.equal(known, 0);
  assert.deepEqual(mesh.spans(), []);
});

test('T7: with --spans server the servers’ spans of an error are whole, and hang together', {
  timeout,
}, async (t) => {
  const mesh = await KeptMesh.start(t, {
    fault: (service, path) => (service === 'ratings' && path === '/bad' ? 500 : undefined),
    flags: () => [...flags(), '--spans', 'server'],
  });
  await mesh.askAll(20, (index) => `/${index}`);
  await mesh.ask('/bad');
  const trace = await mesh.traceOf('/bad', 4);
  assert.deepEqual(trace.map(describe).toSorted(), [
    'SERVER details',
    'SERVER ratings',
    'SERVER reviews',
    'SERVER web',
  ]);
  const ids = new Set(trace.map(({ spanId }) => spanId));
  const roots = trace.filter(({ parentSpanId = '' }) => !ids.has(parentSpanId));
  assert.deepEqual(roots.map(describe), ['SERVER web']);
  assert.equal(mesh.traces().size, 1);
});

test('T7: an edge takes keep messages of those alone whom --peer names', { timeout }, async (t) => {
  for (const [peer, status] of [
    [[], 403],
    [['--peer', '127.0.0.0/8'], 204],
  ] as const) {
    const mesh = await KeptMesh.start(t, {
      fault: () => undefined,
      flags: (service) => (service === 'web' ? [...flags(), '--edge', 'ignore', ...peer] : flags()),
    });
    assert.equal(await mesh.sendKeep('1'.padStart(32, '0')), status);
    assert.equal((await mesh.keepReport('web')).received, status === 204 ? 1 : 0);
  }
});
