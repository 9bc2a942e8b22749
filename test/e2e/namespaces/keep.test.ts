/**
 * A verdict that comes late, in captured pods: the sidecar that meets the error tells the one that asked
 * it, at a port where nobody listens (15004), and that one tells whom it had asked before.
 *
 *   outsider ─► web ─┬─► details
 *                    └─► reviews: half an answer
 *
 * Nothing is configured: every connection goes where it was going, as it was sent.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mesh } from '../../support/meshed-pods.ts';
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

/** Asks each of UPSTREAMS in turn, with the trace context of the request, and answers. */
const application = `
const http = require('node:http');
const upstreams = (process.env.UPSTREAMS ?? '').split(' ').filter(Boolean);
http.createServer(async ({ url, headers: { traceparent, tracestate = '' } }, response) => {
  for (const host of upstreams) {
    await new Promise((settle) => {
      const headers = { traceparent, tracestate, connection: 'close' };
      const asked = http.get({ host, port: 8080, path: url, headers }, (answer) => {
        answer.resume().on('error', () => {}).on('close', settle);
      });
      asked.on('error', settle);
    });
  }
  response.writeHead(200, { 'content-length': 2 });
  if (process.env.CUTS === url) response.write('o', () => response.destroy());
  else response.end('ok');
}).listen(8080, () => console.log('listens'));
`;

/** Prints a line for each span. */
const collector = `
const http = require('node:http');
http.createServer(async (request, response) => {
  const { resourceSpans } = await new Response(request).json();
  response.setHeader('content-type', 'application/json').end('{}');
  for (const { resource, scopeSpans } of resourceSpans) {
    const { value } = resource.attributes.find(({ key }) => key === 'service.name');
    for (const { kind, traceId } of scopeSpans.flatMap(({ spans }) => spans)) {
      const word = kind === 2 ? 'SERVER ' : 'CLIENT ';
      console.log('span ' + traceId + ' ' + word + value.stringValue);
    }
  }
}).listen(4318, () => console.log('listens'));
`;

let network: PodNetwork | undefined;
let outsider: Pod;
let web: Pod;
let sink: PodProcess;

before(async () => {
  if (skip !== false) return;
  network = makePods(5);
  const [first, second, third, fourth, fifth] = network.pods as [Pod, Pod, Pod, Pod, Pod];
  outsider = first;
  web = second;
  const details = third;
  const reviews = fourth;
  sink = await run(fifth, collector);
  await run(web, application, { UPSTREAMS: `${details.v4} ${reviews.v4}` });
  await run(details, application);
  await run(reviews, application, { CUTS: '/late' });
  await Promise.all([
    meshed(web, 'web', ['--keep-errors=0'], fifth.v4),
    meshed(details, 'details', ['--keep-errors=0'], fifth.v4),
    meshed(reviews, 'reviews', [], fifth.v4),
  ]);
});

after(() => network?.close());

async function run(pod: Pod, script: string, environment = {}): Promise<PodProcess> {
  const process_ = pod.start(users.app, [process.execPath, '-e', script], environment);
  await process_.says(/^listens$/);
  return process_;
}

/** Rules and a sidecar whose head sampler chooses nothing. */
function meshed(pod: Pod, app: string, args: readonly string[], collectorAddress: string) {
  return mesh(pod, app, [...args, '--keep-slow=0'], {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://${collectorAddress}:4318`,
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  });
}

test('T7: in captured pods a late verdict reaches the caller, and whom it had asked', {
  skip,
  timeout: 120_000,
}, async () => {
  for (const path of ['/1', '/2', '/late', '/3']) {
    assert.match(outsider.get(users.app, web.v4, 8080, path), /^HTTP\/1\.1 200 /, path);
  }
  const spans = await sink.until(() => {
    const found = sink.lines.filter((line) => line.startsWith('span '));
    return found.length >= 5 ? found : undefined;
  }, 'five spans');
  assert.deepEqual(spans.map((line) => line.split(' ').slice(2).join(' ')).toSorted(), [
    'CLIENT web',
    'CLIENT web',
    'SERVER details',
    'SERVER reviews',
    'SERVER web',
  ]);
  assert.equal(new Set(spans.map((line) => line.split(' ')[1])).size, 1);
});
