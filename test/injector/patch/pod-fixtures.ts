/**
 * Settings and arbitrary pods for the tests of the patch: what an API server could hand over, with
 * wrong and half-injected parts among them.
 */

import fc from 'fast-check';
import type { InjectionSettings } from '../../../injector/patch.ts';
import type { IdentitySettings } from '../../../injector/patch-identity.ts';
import type { NamespaceFacts, Pod } from '../../../injector/pod.ts';

export const settings: InjectionSettings = {
  image: 'localhost/tracecar:test',
  imagePullPolicy: 'IfNotPresent',
  version: '0.1.0',
  propagation: 'off',
  otlpEndpoint: 'http://tracecar-view.tracecar-system:4318',
  drainSecret: 'secret-of-the-test',
};

export const meshed: NamespaceFacts = {
  name: 'shop',
  labels: { 'tracecar.dev/inject': 'enabled' },
  annotations: {},
};

/** As `tracecar install` sets it up. */
export const identity: IdentitySettings = {
  authority: 'tracecar-ca.tracecar-system.svc:15010',
  trustDomain: 'cluster.local',
  trustBundle: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
};

const option = '--require /tracecar/preload/tracecar-propagate.cjs';
const name = fc.constantFrom('app', 'web', 'logs', 'a/b~c', 'tracecar-init', 'tracecar-proxy', '-');
const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const listOf = <T>(value: fc.Arbitrary<T>) => some(fc.array(value, { maxLength: 3 }));

const port = fc.oneof(
  fc.constantFrom<number | string>(8080, 15021, 'http', 'none', '81', 0, 70_000),
  fc.constant(null),
);
const action = fc.record(
  {
    port,
    path: fc.constantFrom('/', '/app-health/app/readyz', '/app-health/app/prestop'),
    host: fc.constant('10.0.0.1'),
  },
  { requiredKeys: ['port'] },
);
const probe = fc.record(
  { httpGet: action, tcpSocket: action, grpc: action, timeoutSeconds: fc.nat({ max: 9 }) },
  { requiredKeys: [] },
);
const env = fc.record(
  {
    name: fc.constantFrom('A', 'NODE_OPTIONS', 'TRACECAR_PROBES', 'TRACECAR_DRAIN_SECRET'),
    value: fc.constantFrom('', option, `${option} `, `${option} --x`, '--x', '$(A)', '{"a":1}'),
    valueFrom: fc.constant({ fieldRef: { fieldPath: 'metadata.name' } }),
  },
  { requiredKeys: ['name'] },
);
const container = fc.record(
  {
    name,
    image: fc.constantFrom('web', 'r:5000/web:1', 'web:1@sha256:00'),
    restartPolicy: some(fc.constant('Always')),
    env: listOf(env),
    envFrom: listOf(fc.record({ prefix: some(fc.constantFrom('', 'NODE_', 'X')) })),
    ports: listOf(
      fc.record({ name: fc.constantFrom('http', 'other'), containerPort: fc.constant(8080) }),
    ),
    volumeMounts: listOf(
      fc.record({
        name: fc.constantFrom('data', 'tracecar-preload'),
        mountPath: fc.constantFrom('/data', '/tracecar/preload'),
      }),
    ),
    startupProbe: some(probe),
    livenessProbe: some(probe),
    readinessProbe: some(probe),
    lifecycle: some(fc.record({ postStart: probe, preStop: probe }, { requiredKeys: [] })),
  },
  { requiredKeys: ['name'] },
);
const annotation = fc.constantFrom(
  ['tracecar.dev/propagation', 'node'],
  ['tracecar.dev/propagation', 'off'],
  ['tracecar.dev/tls-secret', 'a.b,c'],
  ['tracecar.dev/skip-inbound-ports', '22'],
  ['tracecar.dev/status', '{"version":"1","containers":["tracecar-proxy"],"annotations":["a"]}'],
  ['tracecar.dev/status', '{]'],
  ['tracecar.dev/status', '{"version":"1","labels":["app"],"replaced":{"prometheus.io/port":1}}'],
  ['tracecar.dev/identity', 'off'],
  ['tracecar.dev/merge-metrics', 'off'],
  ['prometheus.io/scrape', 'true'],
  ['prometheus.io/port', '8080'],
  ['prometheus.io/port', '15020'],
  ['prometheus.io/path', 'metrics?a=$(B)'],
  ['prometheus.io/path', '/metrics'],
  ['kubectl.kubernetes.io/default-container', 'web'],
  ['cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes', 'a,tracecar-tmp'],
  ['a/b~c', '1'],
  ['__proto__', 'x'],
);
const textMap = fc
  .array(annotation, { maxLength: 6 })
  // JSON.parse, unlike an assignment, makes a key `__proto__` an own one, as the webhook's does.
  .map((pairs) => pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`))
  .map((members) => JSON.parse(`{${[...new Set(members)].join(',')}}`) as Record<string, string>);
const metadata = fc.record(
  {
    name: fc.constant('web-1'),
    generateName: fc.constant('web-'),
    labels: some(
      fc.constantFrom(
        { app: 'web', 'pod-template-hash': 'abc' },
        { 'security.istio.io/tlsMode': 'disabled' },
        { 'security.istio.io/tlsMode': 'istio' },
      ),
    ),
    annotations: some(textMap),
    ownerReferences: listOf(
      fc.record({
        kind: fc.constantFrom('ReplicaSet', 'Job', 'toString'),
        name: fc.constantFrom('web-abc', 'job-28391820'),
        controller: fc.boolean(),
      }),
    ),
  },
  { requiredKeys: [] },
);
const volume = fc.record({
  name: fc.constantFrom('data', 'tracecar-tmp', 'tracecar-tls-0', 'x'),
  emptyDir: fc.constant({}),
});

export const arbitraryPod: fc.Arbitrary<Pod> = fc
  .record(
    {
      metadata: some(metadata),
      spec: fc.record(
        {
          containers: listOf(container),
          initContainers: listOf(container),
          volumes: listOf(volume),
        },
        { requiredKeys: [] },
      ),
      kind: fc.constant('Pod'),
    },
    { requiredKeys: ['spec'] },
  )
  // As a review brings it: plain objects without undefined.
  .map((pod) => JSON.parse(JSON.stringify(pod)) as Pod);
