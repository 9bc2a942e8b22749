/**
 * T14, second half (reference/tracing.md section 11): the demo's own spans, in our viewer and in a
 * real Jaeger: `/api/v3` answers the same of both.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Load } from '../../../examples/ab-rollout/driver/load.ts';
import { startMesh } from '../../../examples/ab-rollout/driver/mesh.ts';
import { readPlan } from '../../../examples/ab-rollout/driver/plan.ts';
import { copyOnFreePorts } from '../../e2e/demo-copy.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { findGoProgram } from '../go-peers.ts';
import { startJaeger } from '../jaeger.ts';

const requests = 40;
const skip = skipWithout(
  'test/peers/acceptance/t14-same-answers.test.ts',
  findGoProgram('jaeger') === undefined
    ? 'Jaeger is not built; run: npm run peers jaeger'
    : undefined,
);

interface Keyed {
  readonly key: string;
}

interface Span {
  readonly spanId: string;
  readonly attributes?: readonly Keyed[];
}

interface Group {
  readonly resource: { readonly attributes: readonly Keyed[] };
  readonly scopeSpans: readonly { readonly scope: unknown; readonly spans: readonly Span[] }[];
}

interface Answer {
  readonly result: { readonly resourceSpans: readonly Group[] };
}

async function get<T>(base: string, path: string): Promise<T> {
  const response = await fetch(`${base}/api/v3/${path}`);
  assert.equal(response.status, 200, `${base} ${path}`);
  return (await response.json()) as T;
}

/** By key, without Jaeger's own notes on a span (of clocks that differ, of parents not yet come). */
function byKey(attributes: readonly Keyed[] = []): readonly Keyed[] {
  return attributes
    .filter(({ key }) => key !== '@jaeger@warnings')
    .sort((one, other) => (one.key < other.key ? -1 : 1));
}

/** Every span with its resource and scope, by id: neither says in which order they come. */
function spansOf({ result }: Answer) {
  return result.resourceSpans
    .flatMap(({ resource, scopeSpans }) =>
      scopeSpans.flatMap(({ scope, spans }) =>
        spans.map((span) => ({
          resource: byKey(resource.attributes),
          scope,
          span: { ...span, attributes: byKey(span.attributes) },
        })),
      ),
    )
    .sort((one, other) => (one.span.spanId < other.span.spanId ? -1 : 1));
}

test("T14: /api/v3 says the same of the demo's spans as a real Jaeger does", {
  skip,
  timeout: 180_000,
}, async (t) => {
  const folder = await copyOnFreePorts();
  t.after(() => folder.remove());
  const plan = readPlan(folder.path);
  const lost = (words: string) => assert.fail(words);
  const mesh = await startMesh(plan, folder.path, () => {}, lost);
  t.after(() => mesh.end());
  const load = new Load(plan.workloads[0]!.inbound, 4);
  t.after(() => load.close());
  const answers: string[] = [];
  await load.send(requests, 4, ({ problem }) => answers.push(problem));
  assert.deepEqual(new Set(answers), new Set(['']));
  const ids = await untilWhole(mesh.viewer);
  const jaeger = await startJaeger();
  t.after(() => jaeger.close());
  const sent = new Map<string, ReturnType<typeof spansOf>>();
  for (const id of ids) {
    const answer = await get<Answer>(mesh.viewer, `traces/${id}`);
    sent.set(id, spansOf(answer));
    // What the query API answers is an export request again.
    const response = await fetch(`${jaeger.otlpUrl}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(answer.result),
    });
    assert.equal(response.status, 200);
  }
  for (const [id, ours] of sent) {
    await jaeger.waitForTrace(id, ({ spans }) => spans.length === ours.length);
    assert.deepEqual(spansOf(await get<Answer>(jaeger.queryUrl, `traces/${id}`)), ours);
  }
  const sorted = async (base: string, path: string) => {
    const [list] = Object.values(await get<Record<string, unknown[]>>(base, path));
    return list!.map((each) => JSON.stringify(each)).sort();
  };
  for (const path of ['services', ...['web', 'reviews', 'ratings'].map(operationsOf)]) {
    assert.deepEqual(await sorted(mesh.viewer, path), await sorted(jaeger.queryUrl, path), path);
  }
  const search = new URLSearchParams({
    'query.service_name': 'reviews',
    'query.start_time_min': new Date(Date.now() - 3_600_000).toISOString(),
    'query.start_time_max': new Date(Date.now() + 3_600_000).toISOString(),
    'query.num_traces': '1000',
  });
  const [ours, theirs] = await Promise.all(
    [mesh.viewer, jaeger.queryUrl].map((base) => get<Answer>(base, `traces?${search}`)),
  );
  assert.equal(spansOf(ours!).length, requests * 5);
  assert.deepEqual(spansOf(ours!), spansOf(theirs!));
});

function operationsOf(service: string): string {
  return `operations?service=${service}`;
}

/** Ids of the traces once each has its five spans; sidecars send them every 200 ms. */
async function untilWhole(viewer: string): Promise<readonly string[]> {
  for (let tries = 0; tries < 2_000; tries++) {
    const response = await fetch(`${viewer}/api/view/search?limit=1000`);
    const { traces } = (await response.json()) as { traces: { id: string; spans: number }[] };
    if (traces.length === requests && traces.every(({ spans }) => spans === 5)) {
      return traces.map(({ id }) => id);
    }
  }
  assert.fail('the traces of the demo are never whole');
}
