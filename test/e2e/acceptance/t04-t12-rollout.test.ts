/**
 * T4 and T12 of reference/tracing.md: the demo's three services, which hold no tracing code, behind
 * real sidecars, 1000 requests with 50 in flight; everything is read back through the query API.
 *
 * Five spans a request: SERVER web, CLIENT web, SERVER reviews, CLIENT reviews, SERVER ratings. That
 * the applications are untouched is checked in test/e2e/rollout.test.ts.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Load } from '../../../examples/ab-rollout/driver/load.ts';
import { type Measured, measure } from '../../../examples/ab-rollout/driver/measure.ts';
import { type Mesh, startMesh } from '../../../examples/ab-rollout/driver/mesh.ts';
import { type DemoPlan, readPlan } from '../../../examples/ab-rollout/driver/plan.ts';
import { copyOnFreePorts } from '../demo-copy.ts';
import { readSpans, type ViewedSpan } from './viewed-spans.ts';

const requests = 1000;
const inFlight = 50;
/** A span's times are whole nanoseconds of doubles, its attributes whole microseconds. */
const roundingUs = 2;

let folder: { path: string; remove(): void };
let plan: DemoPlan;
let mesh: Mesh;
let load: Load;
let measured: Measured;
let spans: readonly ViewedSpan[];

before(async () => {
  folder = await copyOnFreePorts();
  plan = readPlan(folder.path);
  const onLoss = (lastWords: string) => assert.fail(lastWords);
  mesh = await startMesh(plan, folder.path, () => {}, onLoss);
  load = new Load(plan.workloads[0]!.inbound, inFlight);
  measured = await measure(plan, mesh, load, { requests, concurrency: inFlight }, () => {});
  spans = await readSpans(mesh.viewer, 'web', requests);
});

after(async () => {
  load?.close();
  await mesh?.end();
  folder?.remove();
});

/** Each CLIENT span with the SERVER span that it caused. */
function hops(): (readonly [client: ViewedSpan, server: ViewedSpan])[] {
  const clients = new Map<string, ViewedSpan>();
  for (const span of spans) {
    if (span.kind === 'CLIENT') clients.set(`${span.traceId} ${span.spanId}`, span);
  }
  return spans.flatMap((span) => {
    const client = clients.get(`${span.traceId} ${span.parentId}`);
    return span.kind === 'SERVER' && client !== undefined ? [[client, span] as const] : [];
  });
}

test('T4: of 1000 requests at 50 in flight, each is one trace of five spans', () => {
  assert.deepEqual(measured.problems, []);
  assert.equal(measured.figures.failed, 0);
  assert.equal(measured.figures.traces.started, requests);
  assert.equal(measured.figures.traces.complete, requests);
  assert.equal(spans.length, 5 * requests);
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, requests);
});

test('T4: no span has a wrong parent, and what joined them is the preload', () => {
  assert.equal(measured.figures.traces.wrongParents, 0);
  const clients = spans.filter(({ kind }) => kind === 'CLIENT');
  assert.equal(clients.length, 2 * requests);
  assert.deepEqual(
    [...new Set(clients.map(({ attributes }) => attributes['tracecar.join']))],
    ['preload'],
  );
});

test('T12: the split of 60/40 is read back from the spans', () => {
  const counts: Record<string, number> = {};
  const weights: Record<string, Set<unknown>> = {};
  for (const { service, kind, attributes } of spans) {
    if (service !== 'web' || kind !== 'CLIENT') continue;
    const subset = String(attributes['tracecar.subset']);
    counts[subset] = (counts[subset] ?? 0) + 1;
    weights[subset] ??= new Set();
    weights[subset].add(attributes['tracecar.weight']);
  }
  assert.deepEqual(weights, { v1: new Set([60]), v2: new Set([40]) });
  for (const [version, share] of plan.configured) {
    const counted = (counts[version] ?? 0) / requests;
    assert.ok(Math.abs(counted - share) <= 0.02, `${version}: ${counted} of ${share}`);
    // What the spans say is what the applications received.
    assert.equal(counts[version], measured.figures.split[version]);
  }
});

/**
 * A process that is set aside in the midst of its own work counts the others' work as its own; with
 * nine processes on two cores that is one hop of fifteen. The law without a scheduler, for every hop,
 * is in t12-proxy-time.test.ts.
 */
test("T12: a hop's own time is no more than what CLIENT lasts longer than SERVER", (t) => {
  const found = hops();
  assert.equal(found.length, 2 * requests);
  const within = found.filter(([client, server]) => {
    const own = client.attributes['tracecar.time.proxy_us'];
    assert.ok(typeof own === 'number' && own > 0, `proxy_us is ${own}`);
    return own <= client.durationUs - server.durationUs + roundingUs;
  });
  t.diagnostic(`${within.length} of ${found.length} hops`);
  assert.ok(within.length > found.length / 2, `${within.length} of ${found.length} hops`);
});
