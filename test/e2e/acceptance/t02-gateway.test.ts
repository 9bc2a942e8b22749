/**
 * T2 at a Gateway, in real processes: a request through it and a sidecar is one whole trace, in which each
 * span's parent is the one that called.
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { OtlpSink, type SinkSpan } from '../../telemetry/otlp-sink.ts';
import {
  serviceEntryYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from '../sidecar-process.ts';
import { attributeIn, startPair, startServer } from './traced-pair.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const [SERVER, CLIENT] = [2, 3];

function gatewayYaml(port: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {app: app}
  servers:
    - port: {number: ${port}, name: http, protocol: HTTP}
      hosts: ['*']
      bind: 127.0.0.1
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: ['*']
  gateways: [shop]
  http: [{match: [{uri: {prefix: /shop}}], route: [{destination: {host: web}}]}]
`;
}

/** The test ─► [ gateway ] ─► what listens on port `web`; returns where it is to be asked. */
async function startGateway(
  t: TestContext,
  web: number,
  sink: OtlpSink,
  args: readonly string[] = [],
): Promise<number> {
  const [gateway] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'gateway.yaml', gatewayYaml(gateway!));
  writeConfig(folder, 'services.yaml', serviceEntryYaml('web', [web]));
  await startSidecar(t, folder, args, {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_TRACES_SAMPLER: 'parentbased_always_on',
    OTEL_BSP_SCHEDULE_DELAY: '50',
    OTEL_SERVICE_NAME: 'ingress',
  });
  return gateway!;
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

/** From the span without a parent among `spans` to the last one: each with its only child. */
function chainOf(spans: readonly SinkSpan[]): SinkSpan[] {
  const isInside = (span: SinkSpan) => spans.some(({ spanId }) => spanId === span.parentSpanId);
  const chain = spans.filter((span) => !isInside(span));
  assert.equal(chain.length, 1, 'one root');
  for (let at = 0; at < spans.length - 1; at++) {
    const children = spans.filter(({ parentSpanId }) => parentSpanId === chain[at]!.spanId);
    assert.equal(children.length, 1, `one child of span ${at}`);
    chain.push(children[0]!);
  }
  return chain;
}

test('T2: a request through a gateway and a sidecar is one whole trace', async (t) => {
  const origin = await startServer(t, (_, response) => response.end('ok'));
  const mesh = await startPair(t, { services: { origin: [origin] } });
  const gateway = await startGateway(t, mesh.inbound, mesh.sink);
  const traceparent = `00-${TRACE}-${PARENT}-01`;
  const headers = { traceparent, host: 'shop.example.com', 'user-agent': 'phone' };
  assert.equal(await ask(gateway, '/shop/whole', headers), 200);
  const chain = chainOf(await mesh.spansOf('/shop/whole', 4));
  assert.deepEqual(
    chain.map(({ kind }) => kind),
    [SERVER, CLIENT, SERVER, CLIENT],
  );
  assert.ok(chain.every(({ traceId }) => traceId === TRACE));
  const [arrival, attempt, inside] = chain;
  assert.equal(arrival!.parentSpanId, PARENT);
  for (const [key, value] of [
    ['http.response.status_code', 200],
    ['url.path', '/shop/whole'],
    ['server.address', 'shop.example.com'],
    ['client.address', '127.0.0.1'],
    ['user_agent.original', 'phone'],
    ['tracecar.direction', 'inbound'],
    ['tracecar.route', 'default/web'],
    ['tracecar.cluster', undefined],
    ['tracecar.endpoint', undefined],
  ] as const) {
    const seen = attributeIn(arrival!, key);
    assert.equal(typeof value === 'number' ? Number(seen) : seen, value, key);
  }
  assert.equal(attributeIn(attempt!, 'tracecar.join'), 'gateway');
  assert.equal(attributeIn(attempt!, 'tracecar.join.confidence'), 1);
  assert.equal(attributeIn(attempt!, 'tracecar.endpoint'), `127.0.0.1:${mesh.inbound}`);
  assert.equal(attributeIn(attempt!, 'client.address'), undefined);
  const times = (span: SinkSpan) =>
    [span.startTimeUnixNano, span.endTimeUnixNano].map((each) => BigInt(each)) as [bigint, bigint];
  for (const [outer, inner] of [
    [arrival!, attempt!],
    [attempt!, inside!],
  ] as const) {
    const [[from, to], [innerFrom, innerTo]] = [times(outer), times(inner)];
    if (inner === attempt) assert.ok(from <= innerFrom && innerTo <= to, 'within its parent');
    else assert.ok(from <= to && innerFrom <= innerTo);
  }
});

test('T2: what a gateway answers by itself is one span, the root of its trace', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const origin = await startServer(t, (_, response) => response.end('ok'));
  const gateway = await startGateway(t, origin, sink, ['--edge=link']);
  const traceparent = `00-${TRACE}-${PARENT}-01`;
  assert.equal(await ask(gateway, '/nowhere', { traceparent }), 404);
  assert.equal(await ask(gateway, '/shop/linked', { traceparent }), 200);
  await sink.until(() => sink.spans.length >= 3);
  const isAlone = (span: SinkSpan) => attributeIn(span, 'url.path') === '/nowhere';
  const [arrival, ...others] = chainOf(sink.spans.filter((span) => !isAlone(span)));
  assert.equal(arrival!.parentSpanId ?? '', '');
  const links = arrival!.links?.map(({ traceId, spanId }) => [traceId, spanId]);
  assert.deepEqual(links, [[TRACE, PARENT]]);
  assert.equal(others.length, 1);
  const alone = sink.spans.filter(isAlone);
  assert.deepEqual(
    alone.map((span) => [span.kind, attributeIn(span, 'tracecar.cause')]),
    [[SERVER, 'no-route']],
  );
});
