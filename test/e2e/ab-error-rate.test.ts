/**
 * A against B with 1 % sampling and 1 % errors, through a real sidecar: the viewer's error rate is 1 %
 * (within 0.2), because it comes from counters. From the spans that were exported it could not: errors
 * are kept whole, good requests one in a hundred.
 */

import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { AbAnswer, AbSubset } from '../../src/viewer/view-answers.ts';
import { startViewer } from '../viewer/viewer-fixture.ts';
import { startPair, startServer } from './acceptance/traced-pair.ts';

const requests = 3_000;
const host = 'reviews.default.svc.cluster.local';
const route = 'default/reviews-route';

function reviewsYaml(ports: readonly number[]): string {
  const [first, second] = ports;
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: default}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9080, name: http, protocol: HTTP}]
  endpoints:
    - {address: 127.0.0.1, ports: {http: ${first}}, labels: {version: v1}}
    - {address: 127.0.0.1, ports: {http: ${second}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: ${host}
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews-route, namespace: default}
spec:
  hosts: [${host}]
  http:
    - route:
        - {destination: {host: ${host}, subset: v1}, weight: 60}
        - {destination: {host: ${host}, subset: v2}, weight: 40}
`;
}

/** v1 answers 200; v2 answers 500 to one request in a hundred. */
async function startReviews(t: TestContext): Promise<number[]> {
  let served = 0;
  const first = await startServer(t, (_asked, response) => response.end('v1'));
  const second = await startServer(t, (_asked, response) => {
    served++;
    response.writeHead(served % 100 === 0 ? 500 : 200).end('v2');
  });
  return [first, second];
}

function ask(port: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${host}:9080` };
    const sent = request({ host: '127.0.0.1', port, headers, agent });
    sent.on('response', (response) => response.on('end', resolve).resume());
    sent.on('error', reject).end();
  });
}

test('with 1 % sampling and 1 % errors the A/B view says 1 %, within 0.2', {
  timeout: 60_000,
}, async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  const pair = await startPair(t, {
    services: {},
    yaml: reviewsYaml(await startReviews(t)),
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: viewer.otlp,
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_METRIC_EXPORT_INTERVAL: '100',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
    },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  t.after(() => agent.destroy());
  for (let sent = 0; sent < requests; sent += 100) {
    await Promise.all(Array.from({ length: 100 }, () => ask(pair.outbound, agent)));
  }
  const parameters = new URLSearchParams({ route, seconds: '3600' });
  let subsets: readonly AbSubset[];
  do {
    const response = await fetch(`${viewer.query}/api/view/ab?${parameters}`);
    subsets = ((await response.json()) as AbAnswer).subsets;
  } while (subsets.reduce((sum, each) => sum + each.requests, 0) < requests);
  const [v1, v2] = subsets;
  assert.deepEqual([v1?.subset, v1?.requests, v1?.errorShare], ['v1', requests * 0.6, 0]);
  assert.equal(v2?.requests, requests * 0.4);
  assert.ok(Math.abs(v2!.errorShare! - 0.01) <= 0.002, String(v2!.errorShare));
  assert.ok(v2!.errorShareLow! < 0.01 && v2!.errorShareHigh! > 0.01);
});
