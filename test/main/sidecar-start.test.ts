/**
 * The start of a sidecar, in this process: what is taken when, and that its warm-up leaves nothing.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { systemClock } from '../../src/base/clock.ts';
import { Log } from '../../src/main/log.ts';
import { readProxySettings } from '../../src/main/proxy-settings.ts';
import { Sidecar } from '../../src/main/sidecar.ts';
import { metricsPage } from '../../src/main/sidecar-state.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { get, getUntil, sidecarYaml } from '../e2e/sidecar-process.ts';

interface Place {
  readonly sidecar: Sidecar;
  readonly inbound: number;
  readonly log: string[];
  /** Of its configuration. */
  readonly folder: string;
  /** Resolves when `isSo` holds, looked at in every turn of the loop. */
  until(isSo: () => boolean): Promise<void>;
}

const place = (t: TestContext, ...flags: readonly string[]) => placeWith(t, {}, flags);

async function placeWith(
  t: TestContext,
  environment: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Promise<Place> {
  const application = createServer((_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  const [inbound] = (await freePorts(1)) as [number];
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-start-'));
  const { port } = application.address() as AddressInfo;
  writeFileSync(join(folder, 'mesh.yaml'), sidecarYaml(inbound, port));
  const ports = ['admin', 'health', 'metrics'].map((flag) => `--${flag}=127.0.0.1:0`);
  const args = [`--config=${folder}`, '--labels=app=app', '--drain-seconds=0', ...ports, ...flags];
  const log: string[] = [];
  const sidecar = new Sidecar(
    readProxySettings(args, environment),
    readTelemetrySettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }).settings,
    new Log('debug', { write: (text) => log.push(text) }, systemClock),
  );
  t.after(async () => {
    await sidecar.drain();
    application.closeAllConnections();
    application.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
  };
  return { sidecar, inbound, log, folder, until };
}

test('traffic is served before ready, and ready comes after the warm-up', async (t) => {
  const { sidecar, inbound, log, until } = await place(t);
  assert.equal(sidecar.whyNotOpen, 'starting');
  const started = sidecar.start();
  await until(() => sidecar.whyNotOpen === '');
  assert.equal(sidecar.whyNotReady, 'warming up');
  assert.equal((await get(`127.0.0.1:${inbound}`, '/')).body, 'hello');
  assert.equal(sidecar.whyNotReady, 'warming up');
  await started;
  assert.equal(sidecar.whyNotReady, '');
  const told = ['"warmed up"', '"ready"'].map((text) =>
    log.findIndex((line) => line.includes(text)),
  );
  assert.ok(told[0]! >= 0 && told[0]! < told[1]!, log.join(''));
  assert.ok(JSON.parse(log[told[0]!]!).exchanges > 0);
});

function pageOf(sidecar: Sidecar): string {
  return [...metricsPage(sidecar)].join('');
}

test('nobody sees anything of a warm-up: no metric, span, record, name or connection', async (t) => {
  const { sidecar } = await place(t);
  await sidecar.start();
  const { telemetry, proxy } = sidecar;
  const { started, unsampled, sent, dropped, queued } = telemetry.counts();
  assert.deepEqual([started, unsampled, sent, dropped, queued], [0, 0, 0, 0, 0]);
  const counted = pageOf(sidecar)
    .split('\n')
    .filter((line) => /^tracecar_(requests|request_|connections)/.test(line))
    .filter((line) => !/ 0$/.test(line));
  assert.deepEqual(counted, []);
  assert.doesNotMatch(pageOf(sidecar), /warm-up/);
  assert.doesNotMatch(telemetry.names.names().join(' '), /warm-up/);
  const { connections, counts, listeners } = proxy.snapshot();
  for (const [name, count] of Object.entries({ ...connections, ...counts })) {
    assert.equal(count, 0, name);
  }
  assert.equal(listeners.length, 1);
});

test('--warm-up-ms 0 switches it off', async (t) => {
  const { sidecar, log } = await place(t, '--warm-up-ms=0');
  await sidecar.start();
  assert.equal(sidecar.whyNotReady, '');
  const line = log.find((each) => each.includes('"warmed up"'))!;
  assert.equal(JSON.parse(line).exchanges, 0);
});

test('a drain during the warm-up ends it, and the sidecar is never ready', async (t) => {
  const { sidecar, log, until } = await place(t, '--warm-up-ms=10000');
  const started = sidecar.start();
  await until(() => sidecar.whyNotOpen === '');
  const drained = sidecar.drain();
  await started;
  await drained;
  assert.equal(sidecar.whyNotReady, 'draining');
  assert.ok(!log.some((line) => line.includes('"message":"ready"')), log.join(''));
});

test('STRICT for a sidecar without an identity is said, and refuses', async (t) => {
  const { sidecar, inbound, log, folder } = await place(t, '--warm-up-ms=0');
  const strict = `apiVersion: security.istio.io/v1\nkind: PeerAuthentication
metadata: {name: all}\nspec: {mtls: {mode: STRICT}}\n`;
  writeFileSync(join(folder, 'strict.yaml'), strict);
  await sidecar.start();
  const [found] = sidecar.diagnostics;
  assert.equal(found?.code, 'TC1602');
  assert.deepEqual(found?.resource, {
    ...{ kind: 'PeerAuthentication', namespace: 'default', name: 'all' },
  });
  assert.deepEqual([found?.file, found?.line], [join(folder, 'strict.yaml'), 1]);
  assert.ok(log.some((line) => line.includes('STRICT refuses everybody')));
  const { status, body } = await get(`127.0.0.1:${inbound}`, '/');
  assert.equal(status, 403);
  assert.match(body, /^no-identity/);
});

test('the metrics of the application are on one page with ours, but for what both have', async (t) => {
  const application = createServer((request, response) =>
    response.end(request.url === '/stats' ? 'process_cpu_seconds_total 7\norders_total 3\n' : ''),
  );
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  t.after(() => application.close());
  const { port } = application.address() as AddressInfo;
  const environment = {
    TRACECAR_APP_METRICS: `${port}/stats`,
    TRACECAR_MERGED_METRICS: '127.0.0.1:0',
  };
  const { sidecar, log } = await placeWith(t, environment, ['--warm-up-ms=0']);
  await sidecar.start();
  const { merged } = JSON.parse(log.find((line) => line.includes('"message":"ready"'))!);
  const { body } = await get(merged, '/metrics');
  const lines = ['orders_total 3', 'process_cpu_seconds_total 7', 'tracecar_app_metrics_up 1'];
  for (const line of lines) assert.ok(body.split('\n').includes(line), `${line} in\n${body}`);
  assert.match(body, /^tracecar_config_generation 1$/m);
  assert.equal(body.match(/^process_cpu_seconds_total/gm)?.length, 1);
});

test('with probes the health port has a thread of its own, which says what this one does', async (t) => {
  const probes = { '/app-health/app/readyz': { httpGet: { path: '/', port: 1 } } };
  const environment = { TRACECAR_PROBES: JSON.stringify(probes), TRACECAR_DRAIN_SECRET: 's' };
  const { sidecar, log } = await placeWith(t, environment, ['--warm-up-ms=0']);
  await sidecar.start();
  const { health } = JSON.parse(log.find((line) => line.includes('"message":"ready"'))!);
  assert.equal((await get(health, '/healthz/ready')).status, 200);
  assert.equal((await get(health, '/app-health/app/readyz')).status, 503);
  const isClosed = getUntil<{ ready: boolean; reason: string }>(
    health,
    '/healthz/ready',
    ({ ready }) => !ready,
  );
  sidecar.leave();
  assert.equal((await isClosed).reason, 'draining');
  await sidecar.drain();
  await assert.rejects(get(health, '/healthz/live'), /ECONNREFUSED/);
});

test('an end before the health port has its thread leaves none behind', async (t) => {
  const probes = { '/app-health/app/readyz': { tcpSocket: { port: 1 } } };
  const { sidecar, until } = await placeWith(t, { TRACECAR_PROBES: JSON.stringify(probes) });
  const started = sidecar.start();
  await until(() => sidecar.proxy.addresses().length > 0);
  await sidecar.drain();
  await started;
  assert.equal(sidecar.whyNotReady, 'draining');
});
