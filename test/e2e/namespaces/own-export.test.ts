/**
 * The exporter's connections take the sidecar's own outbound path: a collector behind routes is reached
 * by them, one that REGISTRY_ONLY forbids is not reached at all, and no export makes spans.
 *
 *   outsider ─► routed ┄► 10.98.0.9:4318, which nobody has ┄► collector     (a VirtualService)
 *            ─► strict ┄► collector:4318, by IPv6, which nobody has defined   (REGISTRY_ONLY)
 */

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { mesh, startSidecar } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const skip = skipWithout(import.meta.filename, whyNoPods());

const application = `
require('node:http').createServer((request, response) => response.end('ok'))
  .listen(8080, () => console.log('listens'));
`;

/** Prints a line for each request and each span. */
const collector = `
const http = require('node:http');
http.createServer(async (request, response) => {
  const { resourceSpans = [] } = await new Response(request).json();
  response.setHeader('content-type', 'application/json').end('{}');
  const { url, headers: { host, traceparent = 'untraced' } } = request;
  console.log('request ' + url + ' ' + host + ' ' + traceparent);
  for (const { resource, scopeSpans } of resourceSpans) {
    const { value } = resource.attributes.find(({ key }) => key === 'service.name');
    for (const { attributes } of scopeSpans.flatMap(({ spans }) => spans)) {
      const path = attributes.find(({ key }) => key === 'url.path' || key === 'url.full').value;
      console.log('span ' + value.stringValue + ' ' + path.stringValue);
    }
  }
}).listen(4318, () => console.log('listens'));
`;

const virtual = '10.98.0.9';
const configFolder = mkdtempSync(join(tmpdir(), 'tracecar-own-export-'));
let network: PodNetwork | undefined;
let outsider: Pod;
let routed: Pod;
let strict: Pod;
let sink: PodProcess;

const routes = (pod: Pod) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: otel}
spec:
  hosts: [otel.example]
  addresses: ["${virtual}"]
  resolution: STATIC
  location: MESH_EXTERNAL
  ports: [{number: 4318, name: http, protocol: HTTP}]
  endpoints: [{address: "${pod.v4}", labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: otel}
spec: {host: otel.example, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: otel}
spec:
  hosts: [otel.example]
  http: [{name: to-collector, route: [{destination: {host: otel.example, subset: v1}}]}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: strict}
spec:
  workloadSelector: {labels: {app: strict}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
`;

before(async () => {
  if (skip !== false) return;
  network = makePods(4);
  let end: Pod;
  [outsider, routed, strict, end] = network.pods as [Pod, Pod, Pod, Pod];
  writeFileSync(join(configFolder, 'all.yaml'), routes(end));
  chmodSync(configFolder, 0o755);
  await Promise.all([routed, strict].map((pod) => run(pod, application)));
});

after(async () => {
  await network?.close();
  rmSync(configFolder, { recursive: true, force: true });
});

async function run(pod: Pod, script: string): Promise<PodProcess> {
  const process_ = pod.start(users.app, [process.execPath, '-e', script]);
  await process_.says(/^listens$/);
  return process_;
}

/** Arguments and environment of a sidecar. */
function settings(endpoint: string, batchMs: string): [string[], Record<string, string>] {
  const environment = {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_METRIC_EXPORT_INTERVAL: '500',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_BSP_SCHEDULE_DELAY: batchMs,
  };
  return [[`--config=${configFolder}`], environment];
}

function meshed(pod: Pod, app: string, endpoint: string): Promise<PodProcess> {
  return mesh(pod, app, ...settings(endpoint, '50'));
}

function call(pod: Pod, path: string): void {
  assert.match(outsider.get(users.app, pod.v4, 8080, path), /^HTTP\/1\.1 200 /, path);
}

const exported = /"path":"\/v1\/(traces|metrics)"/;

test('spans and metrics go by the route to a collector, late too, and no export is traced', {
  skip,
  timeout: 120_000,
}, async () => {
  const sidecar = await meshed(routed, 'routed', `http://${virtual}:4318`);
  call(routed, '/early');
  // It is ready and serves while the collector is down.
  await sidecar.says(
    /spans wait, http:.*:4318\/v1\/traces does not take .*a sidecar .* connect-refused/,
  );
  sink = await run(network!.pods[3]!, collector);
  await sink.says(/^span routed \/early$/);
  await sink.says(/^request \/v1\/metrics 10\.98\.0\.9:4318 untraced$/);
  call(routed, '/second');
  await sink.says(/^span routed \/second$/);
  const lines = await sidecar.until(() => {
    const found = sidecar.lines.filter((line) => exported.test(line) && /"status":200/.test(line));
    return found.some((line) => line.includes('/v1/traces')) ? found : undefined;
  }, 'the log of an export');
  assert.equal((JSON.parse(lines[0]!) as Record<string, unknown>).route, 'to-collector');
  sidecar.child.kill('SIGTERM');
  assert.equal(await sidecar.ended, 0);
  // Its batches are sent by the end of the process alone, when nothing else is taken any more.
  const last = startSidecar(routed, 'routed', ...settings(`http://${virtual}:4318`, '600000'));
  await last.says(/"message":"ready"/);
  call(routed, '/last');
  last.child.kill('SIGTERM');
  await sink.says(/^span routed \/last$/);
  assert.equal(await last.ended, 0);
  const spans = sink.lines.filter((line) => line.startsWith('span '));
  assert.deepEqual(spans.toSorted(), [
    'span routed /early',
    'span routed /last',
    'span routed /second',
  ]);
});

test('REGISTRY_ONLY: spans wait for a ServiceEntry, which the warning writes, and then leave', {
  skip,
  timeout: 120_000,
}, async () => {
  const { v6 } = network!.pods[3]!;
  const sidecar = await meshed(strict, 'strict', `http://[${v6}]:4318`);
  call(strict, '/held');
  await sidecar.says(/metrics were not delivered to .* not known here .*ServiceEntry/);
  const line = await sidecar.says(/spans wait, .*ServiceEntry/);
  const { message } = JSON.parse(line) as { readonly message: string };
  assert.ok(message.includes(`[${v6}]:4318 is not known here and may not be called`), message);
  assert.ok(!sink.lines.some((said) => said.includes(v6)), 'nothing has left');
  const [, pasted] = /(\{apiVersion: .*\}\})/.exec(message)!;
  writeFileSync(join(configFolder, 'pasted.yaml'), pasted!);
  await sink.says(/^span strict \/held$/);
});
