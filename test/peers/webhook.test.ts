/**
 * The webhook as a real API server asks it: its span belongs to the API server's own trace, and a pod
 * that is asked about twice is injected once.
 *
 * The API server calls again by itself: it mounts a token into the containers that were added, and
 * whoever was asked before that is asked again. Needs root and `npm run peers cluster`; skipped with
 * that command where they are missing.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { whyNoCluster } from './cluster/availability.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { type Jaeger, startJaeger } from './jaeger.ts';
import { injector, isReview, untilApiServerTraces, untilTraced } from './review-traces.ts';
import { install } from './story/shop.ts';

const skip = whyNoCluster() ?? false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

suite('the webhook beside a real API server', { skip }, () => {
  let cluster: Cluster;
  let jaeger: Jaeger;

  before(async () => {
    const log = (line: string): void => void process.stdout.write(`${line}\n`);
    cluster = await startCluster({ images: ['tracecar'], apiServerTracing: true, log });
    jaeger = await startJaeger({ inNamespaceOf: cluster });
    await install(cluster, jaeger.otlpUrl);
    await untilApiServerTraces(jaeger);
    await cluster.kubectl(['create', 'namespace', 'shop']);
    await cluster.kubectl(['annotate', 'namespace', 'shop', 'tracecar.dev/inject=enabled']);
    // Controllers make it, and a pod needs it.
    await cluster.waitFor('/api/v1/namespaces/shop/serviceaccounts/default', Boolean, 20_000);
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web', namespace: 'shop' },
        // No node has it: the pod is created and never runs.
        spec: {
          nodeSelector: { nowhere: 'true' },
          containers: [{ name: 'app', image: 'example/app:1' }],
        },
      },
    ]);
  });

  after(() => cluster?.close());

  test("its span is a child of the API server's call, in the API server's trace", async (t) => {
    const trace = await untilTraced(jaeger);
    const own = trace.spans.find(isReview)!;
    const parent = trace.spans.find(({ spanId }) => spanId === own.parentSpanId)!;
    assert.equal(parent.service, 'apiserver');
    const names = trace.spans
      .filter(({ parentSpanId }) => parentSpanId === own.spanId)
      .map(({ name }) => name);
    assert.deepEqual(names.sort(), ['match', 'patch']);
    t.diagnostic(`${parent.service} ${parent.name} -> ${own.service} ${own.name}`);
  });

  test('a pod that the API server asks about twice is said to be injected once', async (t) => {
    const text = await cluster.kubectl([
      ...['-n', 'tracecar-system', 'logs', '-l', `app.kubernetes.io/name=${injector}`],
      ...['--tail=-1'],
    ]);
    const lines = text.split('\n').filter((line) => line.includes('"namespace":"shop"'));
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).message),
      ['injected'],
    );
    const reviews = (await jaeger.traces(injector, 1_000))
      .flatMap(({ spans }) => spans)
      .filter(isReview);
    t.diagnostic(`${reviews.length} reviews, ${lines.length} line`);
  });
});
