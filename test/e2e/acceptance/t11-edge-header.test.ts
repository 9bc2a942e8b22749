/**
 * T11 of reference/tracing.md: what a caller outside of the mesh is told of its trace, by mode of the
 * edge; and that what upstreams outside of it say of traces goes no further.
 */

import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import {
  application,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from '../sidecar-process.ts';

const timeout = 60_000;
const trace = '0af7651916cd43dd8448eb211c80319c';
const asSampled = `00-${trace}-b7ad6b7169203331-01`;
const asUnsampled = `00-${trace}-b7ad6b7169203331-00`;

/** Spans are made, and nobody takes them. */
const environment = {
  OTEL_TRACES_EXPORTER: 'otlp',
  OTEL_METRICS_EXPORTER: 'none',
  OTEL_TRACES_SAMPLER: 'parentbased_always_off',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
};

/** Fields of the answer to one GET. */
function fieldsOf(
  port: number,
  headers: Readonly<Record<string, string>>,
  path = '/',
): Promise<IncomingHttpHeaders> {
  return new Promise((settle, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers, agent: false });
    sent.on('response', (response) => {
      response.resume();
      response.on('end', () => settle(response.headers));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** An edge in front of an application that has a metric of its own; returns its port. */
async function startEdge(t: TestContext, flags: readonly string[]): Promise<number> {
  const [inbound] = await freePorts(1);
  const behind = await application(t, (asked, response) => {
    const status = asked.url === '/broken' ? 500 : 200;
    response.writeHead(status, { 'server-timing': 'db;dur=5' }).end();
  });
  const folder = temporaryFolder(t);
  writeConfig(folder, 'edge.yaml', sidecarYaml(inbound!, behind));
  await startSidecar(t, folder, flags, environment);
  return inbound!;
}

test('T11: an edge that was told nothing says nothing', { timeout }, async (t) => {
  for (const flags of [[], ['--edge', 'honour'], ['--edge', 'honour', '--peer', 'none']]) {
    const port = await startEdge(t, flags);
    const fields = await fieldsOf(port, { traceparent: asSampled });
    assert.equal(fields['server-timing'], 'db;dur=5', flags.join(' '));
  }
});

test('T11: at an edge a sidecar is who comes from a --peer that was given, not who says so', {
  timeout,
}, async (t) => {
  const fields = { traceparent: asSampled, tracestate: 'tracecar=02beef01f40' };
  const outside = await startEdge(t, ['--edge', 'honour']);
  assert.equal((await fieldsOf(outside, fields))['server-timing'], 'db;dur=5');
  const inside = await startEdge(t, ['--edge', 'honour', '--peer', '127.0.0.0/8']);
  const said = String((await fieldsOf(inside, fields))['server-timing']);
  assert.ok(said.startsWith(`db;dur=5, trace;desc=00-${trace}-`), said);
});

for (const [mode, begin, end] of [
  ['trace', 'trace;desc=', ''],
  ['traceparent', 'traceparent;desc="', '"'],
] as const) {
  test(`T11: mode ${mode} names the trace, and whether it is kept`, { timeout }, async (t) => {
    const port = await startEdge(t, ['--edge', 'honour', '--edge-response-header', mode]);
    const said = async (traceparent: string, path = '/') => {
      const timing = String((await fieldsOf(port, { traceparent }, path))['server-timing']);
      const [own, ours = ''] = timing.split(', ');
      assert.equal(own, 'db;dur=5');
      assert.ok(ours.startsWith(begin) && ours.endsWith(end), ours);
      const value = ours.slice(begin.length, ours.length - end.length);
      assert.match(value, new RegExp(`^00-${trace}-[0-9a-f]{16}-0[01]$`));
      return value.at(-1);
    };
    assert.equal(await said(asSampled), '1');
    assert.equal(await said(asUnsampled), '0');
    // The error is known when the head is written: its trace will be there.
    assert.equal(await said(asUnsampled, '/broken'), '1');
  });
}

test('T11: what an upstream outside the mesh says of traces is taken out', {
  timeout,
}, async (t) => {
  const [inbound, outbound] = await freePorts(2);
  const outside = await application(t, (_asked, response) => {
    const timing = [`trace;desc=${asSampled}`, 'cache;desc="a,b", Traceparent;desc="x"'];
    response.writeHead(200, { 'server-timing': timing }).end();
  });
  const folder = temporaryFolder(t);
  writeConfig(folder, 'sidecar.yaml', sidecarYaml(inbound!, outside) + egress(outbound!));
  writeConfig(folder, 'outside.yaml', serviceEntry(outside));
  await startSidecar(t, folder, ['--peer', 'none'], environment);
  const fields = await fieldsOf(outbound!, { traceparent: asUnsampled });
  assert.equal(fields['server-timing'], 'cache;desc="a,b"');
});

function egress(port: number): string {
  return `  egress:
    - port:
        number: ${port}
        protocol: HTTP
        name: http
      bind: 127.0.0.1
      captureMode: NONE
      hosts:
        - default/outside.example
`;
}

function serviceEntry(port: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: outside
  namespace: default
spec:
  hosts:
    - outside.example
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
    - number: 80
      name: http
      protocol: HTTP
  endpoints:
    - address: 127.0.0.1
      ports:
        http: ${port}
`;
}
