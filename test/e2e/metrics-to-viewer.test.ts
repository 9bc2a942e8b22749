/**
 * Metrics of a real sidecar: by OTLP to the viewer, A against B exact to the request with no trace
 * sampled; what crosses zones; and docs/metrics.md names what its page has.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { AbAnswer } from '../../src/viewer/view-answers.ts';
import { readPage, sumOf } from '../telemetry/metric-page.ts';
import { startViewer } from '../viewer/viewer-fixture.ts';
import { startPair, startServer, type TracedPair } from './acceptance/traced-pair.ts';
import { get } from './sidecar-process.ts';

const limit = { timeout: 60_000 };
const requests = 200;
const body = 'x'.repeat(100);

function reviewsYaml(ports: readonly number[]): string {
  const endpoints = ports.map(
    (port, index) => `    - address: 127.0.0.1
      ports: {http: ${port}}
      labels: {version: v${index + 1}}
      locality: eu/eu-1${'ab'[index]}
`,
  );
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9080, name: http, protocol: HTTP}]
  endpoints:
${endpoints.join('')}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews.default.svc.cluster.local
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews-route, namespace: default}
spec:
  hosts: [reviews.default.svc.cluster.local]
  http:
    - route:
        - {destination: {host: reviews.default.svc.cluster.local, subset: v1}, weight: 75}
        - {destination: {host: reviews.default.svc.cluster.local, subset: v2}, weight: 25}
`;
}

/** v1 answers 200, every second time v2 answers 500. */
async function startReviews(t: TestContext, environment: Record<string, string>) {
  const served = [0, 0];
  const ports = await Promise.all(
    served.map((_, index) =>
      startServer(t, (_asked, response) => {
        const isBad = served[index]! % 2 === 1 && index === 1;
        served[index]!++;
        response.writeHead(isBad ? 500 : 200).end(body);
      }),
    ),
  );
  const args = ['--zone=eu-1a'];
  const yaml = reviewsYaml(ports);
  return { served, pair: await startPair(t, { services: {}, yaml, args, environment }) };
}

function askReviews({ outbound }: TracedPair): Promise<void> {
  const headers = { host: 'reviews.default.svc.cluster.local:9080' };
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: outbound, headers, agent: false });
    sent.on('response', (response) => response.on('end', resolve).resume());
    sent.on('error', reject).end();
  });
}

test('A against B is exact to the request though no trace is sampled', limit, async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: viewer.otlp,
    OTEL_METRICS_EXPORTER: 'otlp',
    OTEL_METRIC_EXPORT_INTERVAL: '100',
    OTEL_TRACES_SAMPLER: 'always_off',
  };
  // Two replicas: their names are the same, and their counts are not mixed up.
  const replicas = [await startReviews(t, environment), await startReviews(t, environment)];
  for (const { pair } of replicas) {
    for (let index = 0; index < requests / 2; index++) await askReviews(pair);
  }
  const route = encodeURIComponent('default/reviews-route');
  let answer: AbAnswer;
  do {
    const response = await fetch(`${viewer.query}/api/view/ab?route=${route}&seconds=3600`);
    answer = (await response.json()) as AbAnswer;
  } while (answer.subsets.reduce((sum, each) => sum + each.requests, 0) < requests);
  assert.deepEqual(
    answer.subsets.map(({ subset, requests: count, errors }) => [subset, count, errors]),
    [
      ['v1', 150, 0],
      ['v2', 50, 2 * (25 >> 1)],
    ],
  );

  const [{ served, pair }] = replicas as [Awaited<ReturnType<typeof startReviews>>];
  assert.deepEqual(served, [75, 25]);
  const page = readPage((await get(pair.sidecar.metrics, '/metrics')).body);
  const bytes = (source_zone: string, destination_zone: string) =>
    sumOf(page, 'tracecar_bytes_total', { direction: 'outbound', source_zone, destination_zone });
  assert.equal(bytes('eu-1a', 'eu-1a'), 75 * body.length);
  assert.equal(bytes('eu-1b', 'eu-1a'), 25 * body.length);
});

test('docs/metrics.md names every family of the page and no other', limit, async (t) => {
  const { pair } = await startReviews(t, {});
  const { types } = readPage((await get(pair.sidecar.metrics, '/metrics')).body);
  const docs = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
  // The first two columns of its tables.
  const named = [...docs.matchAll(/^\|(.*?)\|(.*?)\|/gm)]
    .flatMap(([, first, second]) => [...`${first}${second}`.matchAll(/`([a-z_]+_[a-z_]+)`/g)])
    .map(([, name]) => name!)
    .filter((name) => /^(tracecar|otel|http|istio|traces|process)_/.test(name));
  const shown = [...types.keys()];
  assert.deepEqual(
    {
      undocumented: shown.filter((name) => !named.includes(name)),
      // This sidecar has no identity: what is about one is not on its page.
      gone: named.filter(
        (name) => !shown.includes(name) && !/^tracecar_(cert|identity)_/.test(name),
      ),
    },
    { undocumented: [], gone: [] },
  );
});
