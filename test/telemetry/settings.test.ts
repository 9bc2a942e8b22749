/**
 * OTEL_* variables: what each does, and that a bad one is a warning and never an error.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  Propagator,
  readTelemetrySettings,
  type TelemetrySettings,
} from '../../src/telemetry/settings/settings.ts';
import { usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';

function read(env: Record<string, string>): TelemetrySettings {
  const { settings, warnings } = readTelemetrySettings(env);
  assert.deepEqual(warnings, []);
  return settings;
}

const local = {
  protocol: 'http/json',
  headers: {},
  timeoutMs: 10_000,
  compression: 'none',
  certificates: {},
} as const;

test('without variables everything has its documented default', () => {
  assert.deepEqual(read({}), {
    ...usualChoices,
    exporter: 'otlp',
    propagators: Propagator.W3c | Propagator.Baggage,
    sampler: { isParentBased: true, ratio: 0.01 },
    batch: { delayMs: 5_000, timeoutMs: 30_000, queueMax: 2_048, batchMax: 512 },
    otlp: { ...local, url: 'http://localhost:4318/v1/traces' },
    metrics: {
      exporter: 'otlp',
      otlp: { ...local, url: 'http://localhost:4318/v1/metrics' },
      intervalMs: 5_000,
      timeoutMs: 30_000,
    },
    exemplars: 'trace_based',
    capturedHeaders: {
      inbound: { request: [], response: [] },
      outbound: { request: [], response: [] },
    },
    resource: { 'service.name': 'unknown_service:node' },
    knownMethods: undefined,
    attributesMax: 128,
    attributeLengthMax: Number.POSITIVE_INFINITY,
  });
});

test('an empty variable is an unset one', () => {
  const env = {
    OTEL_TRACES_SAMPLER: '',
    OTEL_TRACES_EXPORTER: ' ',
    OTEL_EXPORTER_OTLP_ENDPOINT: '',
    OTEL_SERVICE_NAME: '',
    OTEL_BSP_MAX_QUEUE_SIZE: '',
  };
  assert.deepEqual(read(env), read({}));
});

const endpoints: readonly (readonly [env: Record<string, string>, url: string])[] = [
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, 'http://c:4318/v1/traces'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/' }, 'http://c:4318/v1/traces'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/otlp' }, 'https://c/otlp/v1/traces'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/otlp/?k=v' }, 'https://c/otlp/v1/traces?k=v'],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:9/my/path' }, 'http://c:9/my/path'],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:9' }, 'http://c:9/'],
  [
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://general',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://own/t',
    },
    'http://own/t',
  ],
];

for (const [env, url] of endpoints) {
  test(`${Object.values(env).join(' and ')} is ${url}`, () => {
    assert.equal(read(env).otlp.url, url);
  });
}

test("the signal's own variables beat the general ones", (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [ca, key] = ['ca.pem', 'key.pem'].map((name) => join(folder, name)) as [string, string];
  for (const file of [ca, key]) writeFileSync(file, '-----BEGIN NOTHING-----\n');
  const { otlp } = read({
    OTEL_EXPORTER_OTLP_HEADERS: 'a=1,b=two%20words',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'b=own',
    OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '2000',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_CERTIFICATE: ca,
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: key,
  });
  assert.deepEqual(otlp.headers, { a: '1', b: 'own' });
  assert.equal(otlp.timeoutMs, 2_000);
  assert.equal(otlp.compression, 'gzip');
  assert.deepEqual(otlp.certificates, {
    OTEL_EXPORTER_OTLP_CERTIFICATE: ca,
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: key,
  });
  assert.deepEqual(read({ OTEL_EXPORTER_OTLP_HEADERS: 'b=two%20words' }).otlp.headers, {
    b: 'two words',
  });
});

test('OTEL_SERVICE_NAME beats the resource attribute', () => {
  const resource = 'service.name=old,team=a%2Cb, k8s.pod.name = web-1 ';
  assert.deepEqual(read({ OTEL_RESOURCE_ATTRIBUTES: resource }).resource, {
    'service.name': 'old',
    team: 'a,b',
    'k8s.pod.name': 'web-1',
  });
  assert.equal(
    read({ OTEL_RESOURCE_ATTRIBUTES: resource, OTEL_SERVICE_NAME: 'web' }).resource['service.name'],
    'web',
  );
});

test('the exporter is none when the SDK is disabled', () => {
  assert.equal(read({ OTEL_SDK_DISABLED: 'TRUE' }).exporter, 'none');
  assert.equal(read({ OTEL_SDK_DISABLED: 'false' }).exporter, 'otlp');
  assert.equal(read({ OTEL_TRACES_EXPORTER: 'Console' }).exporter, 'console');
  assert.equal(read({ OTEL_TRACES_EXPORTER: 'none' }).exporter, 'none');
});

test('a sampler that is named without an argument keeps all', () => {
  assert.equal(read({ OTEL_TRACES_SAMPLER: 'traceidratio' }).sampler.ratio, 1);
  assert.equal(read({ OTEL_TRACES_SAMPLER_ARG: '0.25' }).sampler.ratio, 0.25);
});

test('OTEL_BSP variables and attribute limits are read', () => {
  const settings = read({
    OTEL_BSP_SCHEDULE_DELAY: '100',
    OTEL_BSP_EXPORT_TIMEOUT: '200',
    OTEL_BSP_MAX_QUEUE_SIZE: '300',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '40',
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '50',
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '60',
    OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS: 'GET, POST',
  });
  assert.deepEqual(settings.batch, { delayMs: 100, timeoutMs: 200, queueMax: 300, batchMax: 40 });
  assert.equal(settings.attributesMax, 50);
  assert.equal(settings.attributeLengthMax, 60);
  assert.deepEqual(settings.knownMethods, ['GET', 'POST']);
  assert.equal(read({ OTEL_BSP_MAX_QUEUE_SIZE: '64' }).batch.batchMax, 64);
});

test('OTEL_PROPAGATORS names the context headers that are written', () => {
  const masks: readonly (readonly [value: string, mask: number])[] = [
    ['tracecontext', 1],
    ['b3', 2],
    ['b3multi', 4],
    ['jaeger', 8],
    ['baggage', 16],
    [' TraceContext, b3 ,baggage,', 19],
    ['none', 0],
  ];
  for (const [value, mask] of masks) {
    assert.equal(read({ OTEL_PROPAGATORS: value }).propagators, mask, value);
  }
});

test('bytes are compressed unless they stay on this machine or somebody says otherwise', () => {
  const compression = (env: Record<string, string>) => read(env).otlp.compression;
  assert.equal(compression({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }), 'gzip');
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]']) {
    assert.equal(compression({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://${host}:4318` }), 'none');
  }
  const named = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  assert.equal(compression({ ...named, OTEL_EXPORTER_OTLP_COMPRESSION: 'none' }), 'none');
  assert.equal(compression({ OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' }), 'gzip');
});

test('both protocols over HTTP are known, and grpc is answered with the port to use', () => {
  const own = { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'HTTP/Protobuf' };
  assert.equal(read(own).otlp.protocol, 'http/protobuf');
  const { warnings } = readTelemetrySettings({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' });
  assert.match(warnings.join(), /port 4318; http\/json is used$/);
});

test('metrics are JSON, with one warning where protobuf is asked of those that are sent', () => {
  const all = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' };
  const own = { OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/protobuf' };
  for (const env of [all, own, { ...all, ...own }]) {
    const { settings, warnings } = readTelemetrySettings(env);
    assert.equal(settings.metrics.otlp.protocol, 'http/json');
    assert.equal(
      settings.otlp.protocol,
      'OTEL_EXPORTER_OTLP_PROTOCOL' in env ? 'http/protobuf' : 'http/json',
    );
    const [variable] = Object.keys(env).toReversed();
    assert.deepEqual(warnings, [
      `${variable} is http/protobuf; metrics are sent as http/json all the same`,
    ]);
  }
  read({ ...all, OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json' });
  read({ ...all, OTEL_METRICS_EXPORTER: 'none' });
  read({ ...all, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:4318/v1/traces' });
});

test('a certificate that cannot be used is a warning, and not one', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const noPem = join(folder, 'no.pem');
  writeFileSync(noPem, 'hello');
  for (const [file, why] of [
    [join(folder, 'absent.pem'), /cannot be read \(ENOENT\); it is ignored/],
    [folder, /cannot be read \(EISDIR\)/],
    [noPem, /is no PEM file/],
  ] as const) {
    const { settings, warnings } = readTelemetrySettings({ OTEL_EXPORTER_OTLP_CERTIFICATE: file });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, why);
    assert.deepEqual(settings.otlp.certificates, {});
  }
});

test('a header that HTTP does not allow is named, and its value is not', () => {
  for (const line of ['s3cret%0d%0ax', 's3cret%0ax', 's3cret%00', 's3cret%e2%82%ac']) {
    const value = `x-tenant=a,x-token=${line}`;
    const { settings, warnings } = readTelemetrySettings({ OTEL_EXPORTER_OTLP_HEADERS: value });
    assert.deepEqual(settings.otlp.headers, {}, line);
    assert.deepEqual(settings.metrics.otlp.headers, {}, line);
    assert.deepEqual(warnings, [
      'OTEL_EXPORTER_OTLP_HEADERS has a value of x-token that HTTP does not allow; it is ignored',
    ]);
  }
  const { warnings } = readTelemetrySettings({ OTEL_EXPORTER_OTLP_HEADERS: 'Bearer s3cret=' });
  assert.equal(warnings.length, 1);
  assert.ok(!warnings[0]!.includes('s3cret'));
});

test('the longest time that a timer knows is taken, and as a number of spans so is more', () => {
  const longest = '2147483647';
  const { metrics, batch, otlp } = read({
    OTEL_METRIC_EXPORT_INTERVAL: longest,
    OTEL_METRIC_EXPORT_TIMEOUT: longest,
    OTEL_BSP_SCHEDULE_DELAY: longest,
    OTEL_BSP_EXPORT_TIMEOUT: longest,
    OTEL_EXPORTER_OTLP_TIMEOUT: longest,
    OTEL_BSP_MAX_QUEUE_SIZE: '3000000000',
  });
  const { intervalMs, timeoutMs } = metrics;
  const times = [intervalMs, timeoutMs, batch.delayMs, batch.timeoutMs, otlp.timeoutMs];
  assert.deepEqual(new Set(times), new Set([Number(longest)]));
  assert.equal(batch.queueMax, 3_000_000_000);
});

test('a warning never says that infinity is used', () => {
  const { warnings } = readTelemetrySettings({ OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: 'long' });
  assert.match(warnings.join(), /not a whole number from 0 to \d+; there is no limit$/);
});

test('metrics go where traces go, unless only traces were given a place', () => {
  const place = 'http://127.0.0.1:4319';
  const exporter = (env: Record<string, string>) => read(env).metrics.exporter;
  const { metrics } = read({ OTEL_EXPORTER_OTLP_ENDPOINT: place });
  assert.deepEqual([metrics.exporter, metrics.otlp.url], ['otlp', `${place}/v1/metrics`]);
  assert.equal(exporter({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: place }), 'none');
  assert.equal(exporter({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: place }), 'otlp');
  assert.equal(exporter({ OTEL_TRACES_EXPORTER: 'console' }), 'none');
  assert.equal(exporter({ OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'otlp' }), 'otlp');
  assert.equal(exporter({ OTEL_METRICS_EXPORTER: 'prometheus' }), 'none');
  assert.equal(exporter({ OTEL_METRICS_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'true' }), 'none');
});

test('names of captured header fields are lower-case, each once, and have a limit', () => {
  const name = 'OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS';
  const { inbound, outbound } = read({ [name]: 'X-Tenant, x-tenant,Accept' }).capturedHeaders;
  assert.deepEqual(inbound, { request: ['x-tenant', 'accept'], response: [] });
  assert.deepEqual(outbound, { request: [], response: [] });
  const many = Array.from({ length: 17 }, (_, at) => `x-${at}`).join();
  const { settings, warnings } = readTelemetrySettings({ [name]: many });
  assert.equal(settings.capturedHeaders.inbound.request.length, 16);
  assert.match(warnings.join(), /more than 16 names/);
});

test("a span's own limits beat the general ones", () => {
  const env = { OTEL_ATTRIBUTE_COUNT_LIMIT: '10', OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '20' };
  const { attributesMax, attributeLengthMax } = read(env);
  assert.deepEqual([attributesMax, attributeLengthMax], [10, 20]);
  assert.equal(read({ ...env, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '30' }).attributesMax, 30);
});

test('what OpenTelemetry has no variable for comes beside them', () => {
  const choices = { ...usualChoices, zone: 'z1', spans: 'server' } as const;
  const { settings } = readTelemetrySettings({}, choices);
  assert.deepEqual([settings.zone, settings.spans], ['z1', 'server']);
});

const bad: readonly (readonly [name: string, value: string])[] = [
  ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
  ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
  ['OTEL_TRACES_SAMPLER_ARG', 'half'],
  ['OTEL_TRACES_EXPORTER', 'zipkin'],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '0'],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '-1'],
  ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '4096'],
  ['OTEL_BSP_SCHEDULE_DELAY', 'soon'],
  ['OTEL_BSP_EXPORT_TIMEOUT', '1.5'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'localhost:4318'],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'ftp://x'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '0'],
  ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zz'],
  ['OTEL_RESOURCE_ATTRIBUTES', 'a=1,=2'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'http/xml'],
  ['OTEL_PROPAGATORS', 'tracecontext,baggage,xray'],
  ['OTEL_PROPAGATORS', 'tracecontext,none,baggage'],
  ['OTEL_METRICS_EXPORTER', 'console'],
  ['OTEL_METRIC_EXPORT_INTERVAL', '0'],
  ['OTEL_METRICS_EXEMPLAR_FILTER', 'always_on'],
  ['OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS', 'x y'],
  ['OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS', 'Set-Cookie'],
  ['OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS', 'X-Tracecar-Debug'],
  ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'many'],
  ['OTEL_SDK_DISABLED', 'yes'],
  ['OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS', ','],
  ['OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS', 'GET;POST'],
  ['OTEL_EXPORTER_OTLP_CLIENT_KEY', '/nope.pem'],
  ['OTEL_EXPORTER_OTLP_METRICS_HEADERS', 'x-a=a%0d%0ab'],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '1e3'],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '0x10'],
  ['OTEL_METRIC_EXPORT_INTERVAL', '3000000000'],
  ['OTEL_METRIC_EXPORT_TIMEOUT', '2147483648'],
  ['OTEL_BSP_SCHEDULE_DELAY', '2147483648'],
  ['OTEL_BSP_EXPORT_TIMEOUT', '2147483648'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '2147483648'],
  ['OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', '2147483648'],
  ['OTEL_EXPORTER_OTLP_METRICS_TIMEOUT', '2147483648'],
];

for (const [name, value] of bad) {
  test(`${name}=${value} is a warning that names it, and not used`, () => {
    const { settings, warnings } = readTelemetrySettings({ [name]: value });
    assert.equal(warnings.length, 1);
    assert.ok(warnings[0]!.startsWith(`${name} `), warnings.join());
    const defaults = read({});
    // A batch over the queue is used as far as it goes: the whole queue.
    const isClamped = name === 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE';
    const expected = isClamped
      ? { ...defaults, batch: { ...defaults.batch, batchMax: defaults.batch.queueMax } }
      : defaults;
    assert.deepEqual(settings, expected);
  });
}

test('a warning about headers never quotes them', () => {
  const { warnings } = readTelemetrySettings({ OTEL_EXPORTER_OTLP_HEADERS: 'x=s3cret%zz' });
  assert.ok(!warnings.join().includes('s3cret'));
});
