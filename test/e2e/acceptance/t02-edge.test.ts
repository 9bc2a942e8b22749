/**
 * T2: whose word about a trace counts, in real sidecar processes: at an edge, by a token, for probes.
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { SinkSpan } from '../../telemetry/otlp-sink.ts';
import { attributeIn, startPair, startServer, type TracedPair } from './traced-pair.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const traceparent = `00-${TRACE}-${PARENT}-01`;

async function start(
  t: TestContext,
  args: readonly string[],
  environment = {},
): Promise<TracedPair> {
  const origin = await startServer(t, (_, response) => response.end('ok'));
  return startPair(t, { services: { origin: [origin] }, args, environment });
}

function ask(port: number, path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers, agent: false });
    sent.on('error', reject);
    sent.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.end();
  });
}

/** The SERVER span of a path, which has come. */
async function serverOf(pair: TracedPair, path: string): Promise<SinkSpan> {
  const spans = await pair.spansOf(path, 2);
  return spans.find(({ kind }) => kind === 2)!;
}

test('T2: --edge=link begins a trace that links to the caller’s, on all spans of it', async (t) => {
  const pair = await start(t, ['--edge=link']);
  assert.equal(await ask(pair.inbound, '/linked', { traceparent }), 200);
  const server = await serverOf(pair, '/linked');
  assert.notEqual(server.traceId, TRACE);
  assert.equal(server.parentSpanId ?? '', '');
  assert.deepEqual(
    server.links?.map(({ traceId, spanId }) => [traceId, spanId]),
    [[TRACE, PARENT]],
  );
  const [client] = (await pair.spansOf('/linked', 2)).filter(({ kind }) => kind === 3);
  assert.equal(client!.traceId, server.traceId);
  assert.equal(client!.parentSpanId, server.spanId);
});

test('T2: --edge=honour continues the caller’s trace', async (t) => {
  const pair = await start(t, ['--edge=honour']);
  await ask(pair.inbound, '/honoured', { traceparent });
  const server = await serverOf(pair, '/honoured');
  assert.deepEqual([server.traceId, server.parentSpanId], [TRACE, PARENT]);
});

test('T2: a token has a trace exported at ratio 0, whole, and says so', async (t) => {
  const token = 'open-sesame-open-sesame';
  const pair = await start(t, ['--edge=ignore'], {
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    TRACECAR_DEBUG_TOKEN: token,
  });
  await ask(pair.inbound, '/quiet', { traceparent });
  await ask(pair.inbound, '/guessed', {
    traceparent,
    'x-tracecar-debug': 'open-sesame-open-sesama',
  });
  await ask(pair.inbound, '/loud', { traceparent, 'x-tracecar-debug': token });
  const server = await serverOf(pair, '/loud');
  assert.equal(attributeIn(server, 'tracecar.sampled_by'), 'debug');
  assert.equal(pair.sink.spans.length, 2, 'and nothing else');
});

test('T2: probes, paths that are named and an application’s own export make no spans', async (t) => {
  const pair = await start(t, ['--untraced-path=/healthz']);
  await ask(pair.inbound, '/healthz/deep');
  await ask(pair.inbound, '/probed', { 'user-agent': 'kube-probe/1.34' });
  await ask(pair.inbound, '/seen');
  await pair.spansOf('/seen', 2);
  // The call of a probed application begins a trace: nobody has told it of another one.
  const paths = pair.sink.spans.map((span) => [span.kind, attributeIn(span, 'url.path')]);
  assert.deepEqual(
    paths.filter(([kind]) => kind === 2),
    [[2, '/seen']],
  );
  const page = await (await fetch(`http://${pair.sidecar.metrics}/metrics`)).text();
  const counted = [...page.matchAll(/^tracecar_requests_total\{direction="inbound".*\} (\d+)$/gm)];
  assert.equal(
    counted.reduce((sum, [, value]) => sum + Number(value), 0),
    3,
    'but they count',
  );
});
