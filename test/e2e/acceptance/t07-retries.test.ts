/**
 * T7 of reference/tracing.md, the rest of what is always kept: both attempts of a request that was sent
 * again, at sampling ratio 0 and whatever the budget for errors is.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { OtlpSink } from '../../telemetry/otlp-sink.ts';
import {
  get,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from '../sidecar-process.ts';
import { attributeOf } from './kept-mesh.ts';
import { RawCaller, rawService } from './raw-http.ts';

test('T7: a retry is kept with the attempt before it, and a request without one is not', {
  timeout: 60_000,
}, async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const [inbound, outbound, nobody] = await freePorts(3);
  const service = await rawService(t, async () => 200);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'sidecar.yaml', sidecarYaml(inbound!, service) + egress(outbound!));
  writeConfig(folder, 'twice.yaml', serviceEntry([service, nobody!]));
  const { admin } = await startSidecar(t, folder, ['--keep-slow', '0', '--keep-errors', '0'], {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  });
  const caller = new RawCaller(outbound!);
  t.after(() => caller.close());
  // Few are enough, and of many the retries would be more than their budget.
  let requests = 0;
  let retries = 0;
  while (retries === 0 || retries === requests) {
    assert.equal(await caller.ask(`/${requests}`), 200);
    requests++;
    const { keep } = JSON.parse((await get(admin, '/stats')).body) as KeptSoFar;
    retries = keep.kept.retry ?? 0;
  }
  const tracesOf = () => [...Map.groupBy(sink.spans, ({ traceId }) => traceId).values()];
  await sink.until(() => tracesOf().some(({ length }) => length === 2));
  const traces = tracesOf().filter(({ length }) => length === 2);
  assert.ok(traces.length < requests);
  for (const trace of traces) {
    const reasons = trace.map((span) => attributeOf(span, 'tracecar.sampled_by'));
    assert.deepEqual(reasons.toSorted(), ['retro', 'retry']);
    const attempts = trace.map((span) => attributeOf(span, 'http.request.resend_count') ?? 0);
    assert.deepEqual(attempts.toSorted(), [0, 1]);
  }
});

interface KeptSoFar {
  readonly keep: { readonly kept: { readonly retry?: number } };
}

function egress(port: number): string {
  return `  egress:
    - port:
        number: ${port}
        protocol: HTTP
        name: http
      bind: 127.0.0.1
      captureMode: NONE
      hosts:
        - default/twice.example
`;
}

function serviceEntry(ports: readonly number[]): string {
  const endpoints = ports.map(
    (port) => `    - address: 127.0.0.1\n      ports:\n        http: ${port}\n`,
  );
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: twice
  namespace: default
spec:
  hosts:
    - twice.example
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - number: 80
      name: http
      protocol: HTTP
  endpoints:
${endpoints.join('')}`;
}
