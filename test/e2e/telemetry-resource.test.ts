/**
 * Telemetry resources in a running sidecar: an edit of the file changes how traces are sampled and what
 * spans carry, as a collector sees it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { OtlpSink, type SinkSpan } from '../telemetry/otlp-sink.ts';
import {
  application,
  getUntil,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from './sidecar-process.ts';

function telemetryYaml(tracing: string): string {
  return `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  tracing: [${tracing}]
`;
}

const tags = `customTags: {
      shop.color: {literal: {value: green}},
      shop.pod: {environment: {name: SHOP_POD}},
      shop.none: {environment: {name: SHOP_NONE, defaultValue: unset}},
      shop.tenant: {header: {name: X-Tenant, defaultValue: nobody}},
      shop.absent: {header: {name: x-absent}}}`;

function attributeOf(span: SinkSpan, key: string): unknown {
  const { value } = span.attributes.find((each) => each.key === key) ?? {};
  return value?.arrayValue?.values.map(({ stringValue }) => stringValue) ?? value?.stringValue;
}

test('sampling and custom tags of an edited Telemetry are those of the next spans', async (t) => {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const port = await application(t, (incoming, response) => {
    if (incoming.url === '/tagged') response.setHeader('x-build', 'a1');
    response.end('ok');
  });
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  writeConfig(folder, 'telemetry.yaml', telemetryYaml('{randomSamplingPercentage: 0}'));
  const sidecar = await startSidecar(t, folder, ['--drain-seconds=0.1'], {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_BSP_SCHEDULE_DELAY: '20',
    OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS: 'x-tenant,x-list',
    OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS: 'x-build',
    SHOP_POD: 'web-1',
  });
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${inbound}${path}`, { headers });
    assert.equal(await response.text(), 'ok');
  };
  const edit = async (tracing: string, generation: number) => {
    writeConfig(folder, 'telemetry.yaml', telemetryYaml(tracing));
    const isInForce = (body: { generation: number }) => body.generation === generation;
    await getUntil<{ generation: number }>(sidecar.admin, '/stats', isInForce);
  };

  // Of OTEL_TRACES_SAMPLER=always_on every one would be exported.
  for (let sent = 0; sent < 20; sent++) await ask('/before');

  await edit(`{randomSamplingPercentage: 100, ${tags}}`, 2);
  await ask('/tagged', { 'x-tenant': 'acme', 'x-list': 'a, b' });
  // Records that are alike are encoded by what they have in common.
  for (let sent = 0; sent < 3; sent++) await ask('/untagged');
  await sink.until(() => sink.spans.length >= 4);
  const [tagged, untagged] = ['/tagged', '/untagged'].map(
    (path) => sink.spans.find((span) => attributeOf(span, 'url.path') === path)!,
  );
  assert.equal(attributeOf(tagged!, 'shop.color'), 'green');
  assert.equal(attributeOf(tagged!, 'shop.pod'), 'web-1');
  assert.equal(attributeOf(tagged!, 'shop.none'), 'unset');
  assert.equal(attributeOf(tagged!, 'shop.tenant'), 'acme');
  assert.equal(attributeOf(tagged!, 'shop.absent'), undefined);
  assert.deepEqual(attributeOf(tagged!, 'http.request.header.x-tenant'), ['acme']);
  assert.deepEqual(attributeOf(tagged!, 'http.request.header.x-list'), ['a, b']);
  assert.deepEqual(attributeOf(tagged!, 'http.response.header.x-build'), ['a1']);
  for (const span of sink.spans.filter((each) => each !== tagged)) {
    assert.equal(attributeOf(span, 'shop.tenant'), 'nobody');
    assert.equal(attributeOf(span, 'shop.color'), 'green');
  }
  assert.equal(attributeOf(untagged!, 'http.request.header.x-tenant'), undefined);

  const red = '{customTags: {shop.color: {literal: {value: red}}}}';
  await edit(`${red}, {match: {mode: CLIENT}, disableSpanReporting: true}`, 3);
  await ask('/red');
  await edit('{match: {mode: SERVER}, disableSpanReporting: true}', 4);
  await ask('/unreported');

  sidecar.child.kill('SIGTERM');
  assert.equal((await sidecar.ended).status, 0);
  const paths = [...new Set(sink.spans.map((span) => attributeOf(span, 'url.path')))].toSorted();
  assert.deepEqual(paths, ['/red', '/tagged', '/untagged']);
  const last = sink.spans.find((span) => attributeOf(span, 'url.path') === '/red')!;
  assert.equal(attributeOf(last, 'shop.color'), 'red');
  assert.equal(attributeOf(last, 'shop.tenant'), undefined);
});
