/**
 * `tracecar inject` and `uninject`: files in, files out, every complaint with its line.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { runInject, runUninject } from '../../../injector/offline/main.ts';
import { isObject } from '../../../injector/pod.ts';
import { UsageError } from '../../../src/main/flags.ts';
import { readProxySettings } from '../../../src/main/proxy-settings.ts';
import { makeRoot } from '../../support/mesh-material.ts';

async function run(
  program: typeof runInject,
  text: string | Buffer,
  args: readonly string[] = [],
  files: Readonly<Record<string, string>> = {},
) {
  let written = '';
  let complained = '';
  const status = await program(['-f', '-', ...args], {
    read: async (file) => Buffer.from(file === '-' ? text : (files[file] ?? 'no such file')),
    write: (each) => {
      written += each;
    },
    complain: (each) => {
      complained += each;
    },
  });
  return { status, written, complained };
}

const inject = (text: string | Buffer, args: readonly string[] = []) =>
  run(runInject, text, ['--image', 'tracecar:test', ...args]);

function initNames(spec: unknown): string[] {
  const list = isObject(spec) ? spec.initContainers : undefined;
  return Array.isArray(list) ? list.map((each) => each.name) : [];
}

const both = ['tracecar-proxy', 'tracecar-init'];

const deployment = `# the shop's front
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2 # two
  template:
    metadata:
      labels: { app: web }
    spec:
      containers:
        - name: web
          image: web:1
`;

test('documents keep their order, comments and what is no workload', async () => {
  const service = 'kind: Service\nmetadata:\n  name: web # same name\n';
  const { status, written, complained } = await inject(
    `${service}---\n${deployment}---\n${service}`,
  );
  assert.equal(status, 0);
  assert.equal(complained, '');
  const documents = parseAllDocuments(written).map((each) => each.toJS());
  assert.deepEqual(
    documents.map(({ kind }) => kind),
    ['Service', 'Deployment', 'Service'],
  );
  assert.ok(written.startsWith(service));
  assert.match(written, /# the shop's front/);
  assert.match(written, /replicas: 2 # two/);
  assert.deepEqual(initNames(documents[1].spec.template.spec), both);
  const { env } = documents[1].spec.template.spec.initContainers[0];
  const values = Object.fromEntries(
    env.map(({ name, value }: Record<string, string>) => [name, value]),
  );
  assert.equal(values.OTEL_SERVICE_NAME, 'web');
  assert.match(values.OTEL_RESOURCE_ATTRIBUTES, /k8s\.deployment\.name=web/);
  assert.equal(values.TRACECAR_LABELS, 'app=web');
});

test('with the roots of the mesh pods get an identity; without them none, and no half of one', async () => {
  const { roots } = makeRoot();
  const args = ['--image', 'x', '--trust-bundle', 'roots.pem', '--trust-domain', 'a.example'];
  const { written, status } = await run(runInject, deployment, args, { 'roots.pem': roots });
  assert.equal(status, 0);
  const { template } = parseAllDocuments(written)[0]!.toJS().spec;
  assert.deepEqual(template.metadata.labels, { app: 'web', 'security.istio.io/tlsMode': 'istio' });
  const [sidecar] = template.spec.initContainers;
  const settings = readProxySettings(sidecar.args.slice(1), {
    TRACECAR_TRUST_BUNDLE: sidecar.env.find(
      ({ name }: { name: string }) => name === 'TRACECAR_TRUST_BUNDLE',
    ).value,
  });
  assert.equal(settings.identity?.authority.host, 'tracecar-ca.tracecar-system.svc');
  assert.equal(settings.trustDomain, 'a.example');
  assert.deepEqual(
    await run(runUninject, written),
    await run(runUninject, deployment).then((plain) => ({ ...plain, complained: '' })),
  );

  const plain = await inject(deployment);
  assert.doesNotMatch(plain.written, /--identity|tlsMode/);
  await assert.rejects(
    inject(deployment, ['--identity', 'ca:1']),
    /--identity needs --trust-bundle/,
  );
  await assert.rejects(
    run(runInject, deployment, args, { 'roots.pem': 'none' }),
    /--trust-bundle roots.pem: it holds no certificate/,
  );
});

test('every kind of workload is found, in Lists too', async () => {
  const pod = { metadata: {}, spec: { containers: [{ name: 'app' }] } };
  const spec = { template: pod };
  const kinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job'];
  const items = [
    ...kinds.map((kind) => ({ kind, metadata: { name: kind.toLowerCase() }, spec })),
    { kind: 'CronJob', metadata: { name: 'c' }, spec: { jobTemplate: { spec } } },
    { kind: 'Pod', ...pod },
  ];
  const { status, written } = await inject(JSON.stringify({ kind: 'List', items }));
  assert.equal(status, 0);
  const list = JSON.parse(written);
  const specs = list.items.map(
    (item: { kind: string; spec: { template: typeof pod; jobTemplate: { spec: typeof spec } } }) =>
      item.kind === 'Pod' ? item.spec : (item.spec.jobTemplate?.spec ?? item.spec).template.spec,
  );
  assert.deepEqual(
    specs.map(initNames),
    items.map(() => both),
  );
});

test('injecting the output again changes nothing, uninject gives the input back', async () => {
  const once = await inject(deployment, ['--propagation', 'node']);
  const twice = await inject(once.written, ['--propagation', 'node']);
  assert.equal(twice.written, once.written);
  assert.match(twice.complained, /nothing was changed/);
  const back = await run(runUninject, once.written);
  assert.deepEqual(
    parseAllDocuments(back.written).map((each) => each.toJS()),
    parseAllDocuments(deployment).map((each) => each.toJS()),
  );
});

test('a document with aliases is injected without touching what shares them', async () => {
  const text = `kind: Pod
metadata: { name: web }
spec:
  volumes: &v [{ name: data, emptyDir: {} }]
  containers: [{ name: app }]
other: *v
`;
  const { written } = await inject(text);
  const [document] = parseAllDocuments(written).map((each) => each.toJS());
  assert.deepEqual(document.other, [{ name: 'data', emptyDir: {} }]);
  assert.deepEqual(initNames(document.spec), both);
});

test('mistakes name file and line, and nothing is printed', async () => {
  const text = `${deployment}---
kind: Pod
metadata:
  name: wrong
  annotations: { tracecar.dev/propagation: nodejs }
spec: { containers: [] }
---
kind: Pod
spec:
  containers: { name: app }
`;
  const { status, written, complained } = await inject(text);
  assert.equal(status, 1);
  assert.equal(written, '');
  assert.deepEqual(complained.trim().split('\n'), [
    "stdin:15: error: Pod wrong: annotation tracecar.dev/propagation of the pod is node or off, not 'nodejs'",
    'stdin:21: error: Pod: spec.containers is not a list',
  ]);
});

test('YAML that cannot be read is an error with its line', async () => {
  const { status, complained } = await inject('kind: Pod\nspec: [\n');
  assert.equal(status, 1);
  assert.match(complained, /^stdin:3: error: /);
});

test('a pod that is skipped passes with its reason as a warning', async () => {
  const text = 'kind: Pod\nspec:\n  hostNetwork: true\n  containers: []\n';
  const { status, written, complained } = await inject(text);
  assert.equal(status, 0);
  assert.equal(written, text);
  assert.match(complained, /^stdin:1: warning: Pod: no sidecar: .*hostNetwork/);
});

test('flags that are missing or wrong are named', async () => {
  await assert.rejects(runInject(['-f', 'x']), { name: 'UsageError', message: /--image REF/ });
  await assert.rejects(runInject(['--image', 'a']), { message: /needs -f FILE/ });
  await assert.rejects(runInject(['--image', 't:1 bad', '-f', 'x']), {
    name: 'UsageError',
    message: "--image is an image reference such as registry/tracecar:1, not 't:1 bad'",
  });
  await assert.rejects(runUninject(['-f', '/nowhere/pod.yaml']), (error: unknown) => {
    return error instanceof UsageError && /cannot read \/nowhere\/pod.yaml/.test(error.message);
  });
});

test('the same input gives the same output, and it holds no secret', async () => {
  const [first, second] = [await inject(deployment), await inject(deployment)];
  assert.equal(first.written, second.written);
  const { initContainers } = parseAllDocuments(first.written)[0]!.toJS().spec.template.spec;
  const { env, lifecycle } = initContainers[0];
  const told = env.filter(({ name }: Record<string, string>) => name!.includes('SECRET'));
  const file = '/tmp/tracecar-drain-secret';
  assert.deepEqual(told, [{ name: 'TRACECAR_DRAIN_SECRET_FILE', value: file }]);
  // Each sidecar makes one in its own volume, and its hook reads it there.
  assert.equal(lifecycle.preStop.exec.command[0], 'node');
  assert.ok(lifecycle.preStop.exec.command[2].includes(`readFileSync('${file}'`));
});

test('the pull policy is chosen by a flag', async () => {
  const { written } = await inject(deployment, ['--image-pull-policy', 'Never']);
  const { initContainers } = parseAllDocuments(written)[0]!.toJS().spec.template.spec;
  assert.deepEqual(
    initContainers.map(({ imagePullPolicy }: Record<string, string>) => imagePullPolicy),
    ['Never', 'Never'],
  );
});

test('what is no text or no Kubernetes object is refused, and nothing is printed', async () => {
  const inputs: [string | Buffer, string][] = [
    [Buffer.from([0x80, 0xfe, 0x31]), 'stdin:1: error: this is no text in UTF-8\n'],
    ['kind: \u0007', 'stdin:1: error: this is no text in UTF-8\n'],
    ['xkcd 4\n', 'stdin:1: error: this is no Kubernetes object: a mapping is expected\n'],
    [
      'kind: Service\n---\n- a\n',
      'stdin:3: error: this is no Kubernetes object: a mapping is expected\n',
    ],
    ['&all\nkind: List\nitems: [*all]\n', 'stdin:2: error: an alias stands within what it names\n'],
  ];
  for (const [text, complained] of inputs) {
    assert.deepEqual(await inject(text), { status: 1, written: '', complained }, String(text));
  }
});

test('a document without a change passes byte for byte, an empty one too', async () => {
  const before =
    '# first\n---\n---\n\n---\nkind:   ConfigMap\ndata: {a:  0644,\n  b: x }\nc: >-\n  x\n  y\n';
  const after = '---\n# last\n\n---\nkind: Service # no newline';
  const once = await inject(`${before}---\n${deployment}${after}`);
  assert.equal(once.complained, '');
  assert.ok(once.written.startsWith(`${before}---\n# the shop`), once.written);
  assert.ok(once.written.endsWith(after));
  const twice = await inject(once.written);
  assert.equal(twice.written, once.written);
  assert.match(twice.complained, /nothing was changed/);
});
