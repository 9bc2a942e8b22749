/**
 * What injection writes is what the other programs read: the sidecar's flags and variables, those of
 * `tracecar init`, and OTEL_* of telemetry, for every golden pod.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { decide } from '../../../injector/decide.ts';
import { parseInitOptions } from '../../../injector/init/options.ts';
import { type InjectionSettings, injectPod } from '../../../injector/patch.ts';
import type { Container } from '../../../injector/pod.ts';
import { readProxySettings } from '../../../src/main/proxy-settings.ts';
import { readTelemetrySettings } from '../../../src/telemetry/settings/settings.ts';
import { settings } from './pod-fixtures.ts';

const folder = join(import.meta.dirname, '../../golden/injector');
const fields: Readonly<Record<string, string>> = {
  POD_NAME: 'web-1',
  POD_NAMESPACE: 'shop',
  POD_UID: '0c1',
  POD_IP: '10.0.0.1',
  POD_IPS: '10.0.0.1,fd00::1',
  NODE_NAME: 'node-1',
  TRACECAR_ZONE: 'zone-1',
  TRACECAR_SERVICE_ACCOUNT: 'web',
};

/** Variables as the kubelet sets them: `$$` is `$`, `$(NAME)` an earlier variable. */
function environmentOf(container: Container): Record<string, string> {
  const result: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env ?? []) {
    const known = valueFrom ? fields[name] : value;
    assert.ok(known !== undefined && known !== null, `${name} has no value`);
    result[name] = known.replaceAll(/\$\$|\$\(([^)]*)\)/g, (whole, variable) => {
      return whole === '$$' ? '$' : (result[variable] ?? whole);
    });
  }
  return result;
}

function injected(name: string, told: Partial<InjectionSettings> = {}): readonly Container[] {
  const input = parse(readFileSync(join(folder, `${name}.in.yaml`), 'utf8'));
  const namespace = { labels: {}, annotations: {}, ...input.namespace };
  const chosen = { ...settings, ...input.settings, ...told };
  if (!decide(input.pod, namespace, chosen).inject) return [];
  return injectPod(input.pod, namespace, chosen).spec.initContainers ?? [];
}

const argsOf = (container: Container) => (container.args as string[]).slice(1);

test('the sidecar and tracecar init understand every golden pod', () => {
  const names = readdirSync(folder).filter((name) => name.endsWith('.in.yaml'));
  let count = 0;
  for (const name of names.map((each) => each.slice(0, -'.in.yaml'.length))) {
    const [sidecar, init] = injected(name);
    if (!init || !sidecar) continue;
    count += 1;
    const { awaitProxyMs } = parseInitOptions(argsOf(init), environmentOf(init));
    assert.ok(awaitProxyMs > 0, `${name}: the application is not held back`);
    const environment = environmentOf(sidecar);
    const read = readProxySettings(argsOf(sidecar), environment);
    assert.equal(read.namespace, 'shop');
    assert.deepEqual(read.podAddresses, ['10.0.0.1', 'fd00::1']);
    assert.equal(readTelemetrySettings(environment).warnings.join(), '', name);
  }
  assert.ok(count > 20, `${count} pods injected`);
});

test('spans of a stateful set carry what its annotations say, decoded', () => {
  const [sidecar] = injected('stateful-set');
  const { resource } = readTelemetrySettings(environmentOf(sidecar!)).settings;
  assert.equal(resource['service.name'], 'the database, $(HOME)');
  assert.equal(resource.team, 'a b, c=d');
  assert.equal(resource['service.namespace'], 'storage');
  assert.equal(resource['service.version'], '16.1');
  assert.equal(resource['service.instance.id'], 'shop.web-1.app');
  assert.equal(resource['k8s.statefulset.name'], 'db');
  assert.equal(resource['k8s.node.name'], 'node-1');
});

test('spans of a deployment are named after it, without the hash of its replica set', () => {
  const [sidecar] = injected('deployment');
  const environment = environmentOf(sidecar!);
  const { resource } = readTelemetrySettings(environment).settings;
  assert.equal(resource['service.name'], 'reviews-v1');
  assert.equal(resource['k8s.deployment.name'], 'reviews-v1');
  assert.equal(resource['service.version'], '1.2.3');
  const { labels } = readProxySettings(argsOf(sidecar!), environment);
  assert.equal(labels.version, 'v1');
});

test('probes and their odd values reach the sidecar unchanged', () => {
  const [sidecar] = injected('named-port-probes');
  const { probes } = readProxySettings(argsOf(sidecar!), environmentOf(sidecar!));
  assert.deepEqual(
    probes.map(({ path, timeoutMs }) => [path, timeoutMs]),
    [
      ['/app-health/app/startupz', 1_000],
      ['/app-health/app/readyz', 3_000],
      ['/app-health/app/livez', 1_000],
    ],
  );
  assert.deepEqual(probes[1]!.action, {
    kind: 'http',
    path: '/ok',
    port: 8080,
    isTls: true,
    headers: [['x', '$(y)']],
  });
});

test('without a collector a sidecar exports nothing, unless its pod names one', () => {
  const exporterOf = (name: string) => {
    const [sidecar] = injected(name, { otlpEndpoint: '' });
    return readTelemetrySettings(environmentOf(sidecar!)).settings;
  };
  assert.equal(exporterOf('deployment').exporter, 'none');
  const named = exporterOf('every-option');
  assert.equal(named.exporter, 'otlp');
  assert.equal(named.otlp.url, 'https://otlp.example.org:4318/base/v1/traces');
});

test('a sidecar is told how it gets its identity', () => {
  const [sidecar] = injected('identity');
  const { identity, trustDomain } = readProxySettings(argsOf(sidecar!), environmentOf(sidecar!));
  assert.equal(trustDomain, 'shop.example');
  const mounts = new Map((sidecar!.volumeMounts ?? []).map((each) => [each.name, each.mountPath]));
  assert.deepEqual(identity, {
    authority: {
      host: 'tracecar-ca.tracecar-system.svc',
      port: 15_010,
      id: 'spiffe://shop.example/ns/tracecar-system/sa/tracecar-ca',
    },
    tokenFile: `${mounts.get('tracecar-token')}/token`,
    bundle: { pem: '-----BEGIN CERTIFICATE-----\nMIIBfirst\n-----END CERTIFICATE-----\n' },
    expectedId: 'spiffe://shop.example/ns/shop/sa/web',
    folder: mounts.get('tracecar-identity'),
    instance: 'web-1',
  });
  const [plain] = injected('identity-off');
  assert.equal(readProxySettings(argsOf(plain!), environmentOf(plain!)).identity, undefined);
});

test('every option reaches its program', () => {
  const [sidecar, init] = injected('every-option');
  const { backend, rules } = parseInitOptions(argsOf(init!), environmentOf(init!));
  assert.equal(backend, 'iptables');
  assert.deepEqual(rules.skipInbound[1], { first: 9000, last: 9010 });
  assert.deepEqual(rules.skipOutbound, [{ first: 5432, last: 5432 }]);
  assert.equal(rules.skipPrefixes.length, 2);
  const environment = environmentOf(sidecar!);
  assert.equal(readProxySettings(argsOf(sidecar!), environment).drainMs, 5_000);
  const { tracing } = readProxySettings(argsOf(sidecar!), environment);
  assert.deepEqual([tracing.spans, tracing.keep.historyBytes], ['server', 16 * 1024 * 1024]);
  const telemetry = readTelemetrySettings(environment).settings;
  assert.deepEqual(telemetry.sampler, { isParentBased: true, ratio: 0.25 });
  assert.equal(telemetry.otlp.url, 'https://otlp.example.org:4318/base/v1/traces');
});
