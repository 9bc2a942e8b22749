/**
 * Flags of tracing in a running sidecar, each as the collector and the applications see it. What decides
 * in detail is tested where it is decided; here it is that a flag arrives there.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { SinkSpan } from '../telemetry/otlp-sink.ts';
import { attributeIn, startPair, startServer } from './acceptance/traced-pair.ts';
import { get } from './sidecar-process.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const traceparent = `00-${traceId}-${parentId}-01`;
const SERVER = 2;
const CLIENT = 3;

async function start(
  t: TestContext,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
) {
  const asked: IncomingHttpHeaders[] = [];
  const origin = await startServer(t, (incoming, response) => {
    asked.push(incoming.headers);
    const isMissing = incoming.url?.startsWith('/missing') === true;
    response.writeHead(isMissing ? 404 : 200, { 'x-build': 'b7' }).end('ok');
  });
  const services = { origin: [origin] };
  // Nobody is left at its end.
  const quick = ['--drain-seconds=0.1', ...args];
  const pair = await startPair(t, { services, args: quick, environment });
  const ask = async (path: string, headers: Readonly<Record<string, string>> = {}) => {
    const sent = request(`http://127.0.0.1:${pair.inbound}${path}`, {
      headers,
      agent: false,
    }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    await once(response.resume(), 'end');
  };
  /** All spans that the sidecar had for the collector. */
  const ended = async () => {
    pair.sidecar.child.kill('SIGTERM');
    await pair.sidecar.ended;
    return pair.sink.spans;
  };
  return { ...pair, asked, ask, ended };
}

const pathOf = (span: SinkSpan) =>
  attributeIn(span, 'url.path') ?? new URL(String(attributeIn(span, 'url.full'))).pathname;

test('--spans client, --untraced-path and --zone', async (t) => {
  const flags = ['--spans=client', '--untraced-path=/healthz', '--zone=zone-1'];
  const { ask, ended, sidecar } = await start(t, flags);
  await ask('/healthz/deep', { traceparent });
  await ask('/work', { traceparent });
  const metrics = (await get(sidecar.metrics, '/metrics')).body;
  assert.match(metrics, /^tracecar_bytes_total\{direction="outbound",source_zone="zone-1"/m);
  const spans = await ended();
  assert.deepEqual(
    spans.map((span) => [span.kind, pathOf(span), span.traceId, span.parentSpanId]),
    // The SERVER span that is not there is nobody's parent.
    [[CLIENT, '/work', traceId, parentId]],
  );
});

test('--spans server, --debug-token and captured headers', async (t) => {
  const token = '0123456789abcdef0123';
  const { ask, asked, ended } = await start(t, ['--spans=server'], {
    TRACECAR_DEBUG_TOKEN: token,
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS: 'x-tenant',
  });
  await ask('/unasked');
  await ask('/wrong', { 'x-tracecar-debug': `${token.slice(1)}4` });
  await ask('/asked', { 'x-tracecar-debug': token, 'x-tenant': 'acme' });
  const spans = await ended();
  assert.deepEqual(
    spans.map((span) => [span.kind, pathOf(span), attributeIn(span, 'tracecar.sampled_by')]),
    [[SERVER, '/asked', 'debug']],
  );
  assert.deepEqual(attributeIn(spans[0]!, 'http.request.header.x-tenant'), ['acme']);
  assert.equal(asked.length, 3);
  for (const headers of asked) assert.equal(headers['x-tracecar-debug'], undefined);
});

for (const edge of ['ignore', 'link'] as const) {
  test(`--edge ${edge} begins a trace of its own`, async (t) => {
    const { ask, asked, ended } = await start(t, [`--edge=${edge}`]);
    await ask('/in', { traceparent, 'x-request-id': 'theirs' });
    const spans = await ended();
    const server = spans.find(({ kind }) => kind === SERVER)!;
    assert.notEqual(server.traceId, traceId);
    assert.equal(server.parentSpanId ?? '', '');
    const { links = [] } = server;
    const linked = links.map((link) => [link.traceId, link.spanId]);
    assert.deepEqual(linked, edge === 'link' ? [[traceId, parentId]] : []);
    assert.equal(asked[0]!.traceparent?.slice(3, 35), server.traceId);
    assert.notEqual(asked[0]!['x-request-id'], 'theirs');
  });
}

test('--keep 4xx, and --keep-errors 0 keeps nothing', async (t) => {
  const unsampled = { OTEL_TRACES_SAMPLER: 'parentbased_always_off' };
  const kept = await start(t, ['--keep=4xx'], unsampled);
  await kept.ask('/missing');
  const spans = await kept.ended();
  assert.deepEqual(spans.map(({ kind }) => kind).toSorted(), [SERVER, CLIENT]);
  for (const span of spans) assert.equal(attributeIn(span, 'tracecar.sampled_by'), 'error');
  const none = await start(t, ['--keep=4xx', '--keep-errors=0'], unsampled);
  await none.ask('/missing');
  assert.deepEqual(await none.ended(), []);
});
