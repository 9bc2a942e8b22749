/**
 * The query API of our viewer over real HTTP: the cases that it shares with Jaeger, and its own.
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, test } from 'node:test';
import { queryApiTests, spansOf } from './query-api-cases.ts';
import { demoTrace, exportBody, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const viewer = await startViewer();
after(() => viewer.close());

queryApiTests(async () => viewer);

const startMs = 1_795_627_913_000;
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

async function found(parameters: Readonly<Record<string, string>>): Promise<number> {
  const all = {
    'query.startTimeMin': '2026-11-25T17:31:00Z',
    'query.startTimeMax': '2026-11-25T18:31:00+00:30',
    ...parameters,
  };
  const response = await fetch(`${viewer.query}/api/v3/traces?${new URLSearchParams(all)}`);
  if (response.status === 404) return 0;
  assert.equal(response.status, 200);
  return new Set(spansOf(await response.json()).map((span) => span.traceId)).size;
}

test('parameters are taken in camelCase, and a search without a depth is fine', async () => {
  const spans = demoTrace(traceId, startMs);
  assert.equal((await sendSpans(viewer.otlp, exportBody(spans))).status, 200);
  assert.equal(await found({ 'query.serviceName': 'web' }), 1);
  assert.equal(await found({ 'query.serviceName': 'web', 'query.operationName': 'GET' }), 1);
  assert.equal(await found({ 'query.serviceName': 'web', 'query.searchDepth': '1' }), 1);
  assert.equal(await found({ 'query.serviceName': 'web', 'query.durationMin': '2.3ms' }), 1);
  assert.equal(await found({ 'query.serviceName': 'web', 'query.durationMax': '1us' }), 0);
  const operations = await fetch(`${viewer.query}/api/v3/operations?service=web&spanKind=client`);
  assert.deepEqual(await operations.json(), { operations: [{ name: 'GET', spanKind: 'client' }] });
});

test('a search by attributes compares texts and knows the special words', async () => {
  const by = (attributes: Record<string, string>): Promise<number> =>
    found({ 'query.serviceName': 'web', 'query.attributes': JSON.stringify(attributes) });
  assert.equal(await by({ 'tracecar.subset': 'v1', 'tracecar.weight': '60' }), 1);
  assert.equal(await by({ 'tracecar.subset': 'v2' }), 0);
  assert.equal(await by({ 'span.kind': 'client', 'tracecar.subset': 'v1' }), 1);
  assert.equal(await by({ 'span.kind': 'server', 'tracecar.subset': 'v1' }), 0);
  assert.equal(await by({ error: 'true' }), 0);
  assert.equal(await by({ 'resource.service.name': 'web', 'scope.name': 'tracecar' }), 1);
  const bad = new URLSearchParams({
    'query.startTimeMin': '2026-11-25T17:31:00Z',
    'query.startTimeMax': '2026-11-25T17:33:00Z',
    'query.attributes': '{"a":1}',
  });
  assert.equal((await fetch(`${viewer.query}/api/v3/traces?${bad}`)).status, 400);
});

test('what is not a GET or not a path of the API is refused', async () => {
  const post = await fetch(`${viewer.query}/api/v3/services`, { method: 'POST' });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get('allow'), 'GET, HEAD');
  assert.equal((await fetch(`${viewer.query}/api/v3/nothing`)).status, 404);
  assert.equal((await fetch(`${viewer.query}/nothing`)).status, 404);
  assert.equal((await fetch(`${viewer.query}/api/v3/traces/%00%ff`)).status, 400);
});

test('a name that is not this machine is refused, against DNS rebinding', async () => {
  const { port } = new URL(viewer.query);
  const status = await new Promise((resolve, reject) => {
    const headers = { host: `evil.example:${port}` };
    request({ port, path: '/api/v3/services', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 403);
});

test('health tells what was taken, refused and dropped', async () => {
  await sendSpans(viewer.otlp, '{');
  const health = (await (await fetch(`${viewer.query}/healthz`)).json()) as {
    status: string;
    receiver: Record<string, number>;
    store: Record<string, number>;
  };
  assert.equal(health.status, 'ok');
  assert.ok(health.receiver.refusedRequests! >= 1);
  assert.equal(health.receiver.acceptedSpans, health.store.spans);
  assert.equal(health.store.evictedTraces, 0);
});
