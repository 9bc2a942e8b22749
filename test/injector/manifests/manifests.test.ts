/**
 * What `tracecar install` and `tracecar uninstall` print: read back with a YAML parser, compared with a
 * golden file, and checked for what must hold of it. UPDATE_GOLDEN=1 writes the golden file anew.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse, parseAllDocuments } from 'yaml';
import { readInstallSettings } from '../../../injector/manifests/install-settings.ts';
import { manifests, removals } from '../../../injector/manifests/manifests.ts';
import type { Manifest } from '../../../injector/manifests/names.ts';
import { printYamlDocuments } from '../../../injector/manifests/yaml-text.ts';
import { readInjectorSettings } from '../../../injector/settings.ts';
import { readCaSettings } from '../../../src/main/ca-settings.ts';
import { UsageError } from '../../../src/main/flags.ts';

const everyFlag = [
  ...['--image', 'registry.example/tracecar:1', '--viewer', '--propagation', 'node'],
  ...['--otlp-endpoint', 'http://jaeger.observability:4318/', '--image-pull-policy', 'Always'],
];

function installed(...args: string[]): Manifest[] {
  const text = printYamlDocuments(manifests(readInstallSettings(args, {}), '1.2.3'));
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Manifest;
  });
}

function only(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const found = objects.filter((each) => each.kind === kind && each.metadata.name === name);
  assert.equal(found.length, 1, `${kind} ${name}`);
  return found[0]!;
}

/** What is read out of a manifest is taken as it comes; a wrong path fails the test. */
function at(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce((inner, key) => (inner as Record<string | number, unknown>)[key], value);
}

test('the printed manifests are those of the golden file', () => {
  const text = printYamlDocuments(manifests(readInstallSettings(everyFlag, {}), '1.2.3'));
  const path = join(import.meta.dirname, 'install.golden.yaml');
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, text);
  assert.equal(text, readFileSync(path, 'utf8'));
});

test('an installation without an image, or with a wrong flag, is one line', () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [[], /^needs --image REF: there is no released image yet/],
    [['--image', 'has space'], /^--image is an image reference/],
    [['--image', 'x', '--propagation', 'java'], /^--propagation is one of off, node, not 'java'/],
    [['--image', 'x', '--replicas', '0'], /^--replicas is 1 to 9, not '0'/],
    [['--image', 'x', '--otlp-endpoint', 'jaeger:4318'], /^--otlp-endpoint is a URL/],
    [['--image', 'x', '--otlp-endpoint', 'http://a b'], /^--otlp-endpoint is a URL/],
    [['--image', 'x', '--identity', 'maybe'], /^--identity is one of on, off, not 'maybe'/],
    [['--image', 'x', '--trust-domain', 'a b'], /^--trust-domain is a name such as cluster.local/],
    [['--image', 'x', '--issuer-secret', 'A'], /^--issuer-secret is the name of a Secret/],
    [['--image', 'x', '--identity', 'off', '--trust-domain', 'a'], /of no use with --identity off/],
    [['--image', 'x', '--viewr'], /^unknown flag --viewr; did you mean --viewer\?/],
  ];
  for (const [args, expected] of cases) {
    assert.throws(
      () => readInstallSettings(args, {}),
      (error) => error instanceof UsageError && expected.test(error.message),
      args.join(' '),
    );
  }
});

test('the same flags print the same bytes', () => {
  const print = () => printYamlDocuments(manifests(readInstallSettings(everyFlag, {}), '1'));
  assert.equal(print(), print());
});

test('every container passes Pod Security restricted, which the namespace enforces', () => {
  const objects = installed(...everyFlag);
  const namespace = only(objects, 'Namespace', 'tracecar-system');
  assert.equal(namespace.metadata.labels['pod-security.kubernetes.io/enforce'], 'restricted');
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  assert.equal(deployments.length, 3);
  for (const deployment of deployments) {
    const pod = at(deployment, 'spec', 'template', 'spec');
    assert.equal(at(pod, 'securityContext', 'runAsNonRoot'), true);
    assert.equal(at(pod, 'securityContext', 'seccompProfile', 'type'), 'RuntimeDefault');
    const container = at(pod, 'containers', 0);
    assert.deepEqual(at(container, 'securityContext'), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const probe of ['readinessProbe', 'livenessProbe']) {
      assert.ok(at(container, probe, 'httpGet'), probe);
    }
  }
});

test('an outage of the injector stops only who asked for a sidecar', () => {
  const configuration = only(
    installed(...everyFlag),
    'MutatingWebhookConfiguration',
    'tracecar-injector',
  );
  const webhooks = configuration.webhooks as { name: string; failurePolicy: string }[];
  const policies = webhooks.map(({ name, failurePolicy }) => `${name} ${failurePolicy}`);
  assert.deepEqual(policies, [
    'pods.inject.tracecar.dev Fail',
    'optin.inject.tracecar.dev Fail',
    'namespaces.inject.tracecar.dev Fail',
    'settings.inject.tracecar.dev Ignore',
  ]);
  const [pods, optIn, ...ofNamespaces] = webhooks;
  const neverAsked = {
    key: 'kubernetes.io/metadata.name',
    operator: 'NotIn',
    values: ['kube-system', 'kube-public', 'kube-node-lease', 'tracecar-system'],
  };
  const key = 'tracecar.dev/inject';
  assert.deepEqual(at(pods, 'namespaceSelector', 'matchExpressions'), [
    { key, operator: 'In', values: ['enabled'] },
    neverAsked,
  ]);
  assert.deepEqual(at(optIn, 'namespaceSelector', 'matchExpressions', 1), neverAsked);
  assert.match(at(optIn, 'matchConditions', 1, 'expression') as string, /tracecar\.dev\//);
  for (const webhook of ofNamespaces) {
    assert.deepEqual(at(webhook, 'namespaceSelector', 'matchExpressions'), [neverAsked]);
  }
  const paths = webhooks.map((each) => at(each, 'clientConfig', 'service', 'path'));
  assert.deepEqual(paths, [
    '/inject/pods',
    '/inject/asking-pods',
    '/inject/namespaces',
    '/inject/namespaces',
  ]);
});

test('the authority is not in the manifests, so applying them again keeps the published one', () => {
  assert.doesNotMatch(printYamlDocuments(installed(...everyFlag)), /caBundle/);
});

function rulesOf(name: string): string[] {
  const objects = installed(...everyFlag);
  return [
    ...(only(objects, 'ClusterRole', name).rules as object[]),
    ...(only(objects, 'Role', name).rules as object[]),
  ].map((rule) => {
    const { resources, resourceNames, verbs } = rule as Record<string, string[]>;
    return `${resources} ${resourceNames ?? '*'} ${verbs}`;
  });
}

test('the authority may ask about tokens, read a pod, and keep three objects of its own', () => {
  assert.deepEqual(rulesOf('tracecar-ca'), [
    'tokenreviews * create',
    'pods * get',
    'secrets * create',
    'secrets tracecar-ca-state get,update',
    'configmaps * create',
    'configmaps tracecar-ca-sidecars,tracecar-trust-bundle get,update',
  ]);
});

test('the authority understands how it is started, an issuer from outside included', () => {
  for (const flags of [
    [],
    ['--issuer-secret', 'mesh-issuer'],
    ['--trust-domain', 'shop.example'],
  ]) {
    const objects = installed('--image', 'x', ...flags);
    const pod = at(only(objects, 'Deployment', 'tracecar-ca'), 'spec', 'template', 'spec');
    const args = at(pod, 'containers', 0, 'args') as string[];
    assert.equal(args[0], 'ca');
    const settings = readCaSettings(args.slice(1), { POD_NAMESPACE: 'tracecar-system' });
    assert.equal(settings.isKubernetes, true);
    assert.equal(settings.trustDomain, flags[1] === 'shop.example' ? flags[1] : 'cluster.local');
    const { outside } = settings;
    if (flags[0] !== '--issuer-secret') assert.equal(outside, undefined);
    else {
      const mounted = at(pod, 'containers', 0, 'volumeMounts', 0, 'mountPath') as string;
      assert.equal(outside?.certificate, `${mounted}/tls.crt`);
      assert.equal(at(pod, 'volumes', 0, 'secret', 'secretName'), 'mesh-issuer');
    }
    const service = only(objects, 'Service', 'tracecar-ca');
    assert.equal(at(service, 'spec', 'ports', 0, 'port'), settings.listen.port);
  }
});

test('sidecars get their identity where the authority listens, or none at all', () => {
  const argsOf = (...flags: string[]) => {
    const deployment = only(installed('--image', 'x', ...flags), 'Deployment', 'tracecar-injector');
    return at(deployment, 'spec', 'template', 'spec', 'containers', 0, 'args') as string[];
  };
  const told = readInjectorSettings(argsOf('--trust-domain', 'a.example').slice(1), {});
  assert.equal(told.identity, 'tracecar-ca.tracecar-system.svc:15010');
  assert.equal(told.trustDomain, 'a.example');
  assert.equal(readInjectorSettings(argsOf('--identity', 'off').slice(1), {}).identity, '');
  const plain = installed('--image', 'x', '--identity', 'off');
  assert.ok(plain.every(({ metadata }) => metadata.name !== 'tracecar-ca'));
});

test('the injector may not read pods, other Secrets or other webhooks', () => {
  assert.deepEqual(rulesOf('tracecar-injector'), [
    'namespaces * get,list,watch,patch',
    'mutatingwebhookconfigurations tracecar-injector get,list,watch,patch',
    'secrets * create',
    'secrets tracecar-injector-tls get,update',
    'configmaps tracecar-trust-bundle get,list,watch',
  ]);
});

test('spans go where an endpoint is named, else to the viewer, else nowhere', () => {
  const args = (...flags: string[]) => {
    const deployment = only(installed('--image', 'x', ...flags), 'Deployment', 'tracecar-injector');
    const container = at(deployment, 'spec', 'template', 'spec', 'containers', 0);
    const list = at(container, 'args') as string[];
    const env = at(container, 'env') as { name: string; value?: string }[];
    return {
      sidecars: list.includes('--otlp-endpoint')
        ? list[list.indexOf('--otlp-endpoint') + 1]
        : undefined,
      own: env.find(({ name }) => name === 'OTEL_EXPORTER_OTLP_ENDPOINT')?.value,
    };
  };
  const viewer = 'http://tracecar-view.tracecar-system:4318';
  assert.deepEqual(args(), { sidecars: undefined, own: undefined });
  assert.deepEqual(args('--viewer'), { sidecars: viewer, own: viewer });
  assert.deepEqual(args('--otlp-endpoint', 'http://j:4318'), {
    sidecars: 'http://j:4318',
    own: 'http://j:4318',
  });
});

test('one replica has no disruption budget: there is no other to keep', () => {
  const kinds = installed('--image', 'x', '--replicas', '1').map(({ kind }) => kind);
  assert.ok(!kinds.includes('PodDisruptionBudget'));
});

test('uninstalling removes the webhook first and everything that has no namespace', () => {
  const listed = removals('1').map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  assert.equal(listed[0], 'MutatingWebhookConfiguration tracecar-injector');
  const clusterWide = installed(...everyFlag)
    .filter(({ metadata }) => metadata.namespace === undefined)
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  assert.deepEqual(listed.toSorted(), clusterWide.toSorted());
});

test('the commands print documents and end with status 0', () => {
  const entry = resolve(import.meta.dirname, '../../../src/cli/tracecar.ts');
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['install', '--image', 'x', '--viewer'], /^$/],
    [['install', '--image', 'x', '--otlp-endpoint', 'http://j:4318'], /^$/],
    [['install', '--image', 'x'], /^tracecar install: no collector, so sidecars export no spans/],
    [
      ['uninstall'],
      /^ {2}kubectl label namespace -l tracecar\.dev\/inject tracecar\.dev\/inject-$/m,
    ],
  ];
  for (const [args, says] of cases) {
    const ended = spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8' });
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stderr, says);
    const documents = parseAllDocuments(ended.stdout).map((each) => each.toJS() as Manifest);
    assert.ok(documents.every(({ kind, apiVersion }) => kind !== '' && apiVersion !== ''));
  }
  const ended = spawnSync(process.execPath, [entry, 'install'], { encoding: 'utf8' });
  assert.equal(ended.status, 2);
  assert.equal(ended.stdout, '');
  assert.match(ended.stderr, /^tracecar install: needs --image REF/);
});

test('any plain data that is printed as YAML reads back the same', () => {
  const data = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean()),
    list: fc.array(tie('any'), { maxLength: 4 }),
    map: fc.dictionary(fc.string({ minLength: 1 }), tie('any'), { maxKeys: 4 }),
    any: fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('list'), tie('map')),
  }));
  const words = [
    'true',
    'No',
    'null',
    '~',
    '1',
    '0x1',
    '1e3',
    '.5',
    '-',
    'a: b',
    '- a',
    '2026-01-01',
  ];
  for (const word of [
    ...words,
    '',
    ' a',
    'a ',
    '#a',
    'a #b',
    '{',
    '[',
    '*a',
    '&a',
    '!a',
    '=',
    '<<',
  ]) {
    assert.deepEqual(parse(printYamlDocuments([{ word, list: [word] }])), { word, list: [word] });
  }
  fc.assert(
    fc.property(fc.dictionary(fc.string({ minLength: 1 }), data.any, { minKeys: 1 }), (value) => {
      const plain = JSON.parse(JSON.stringify(value));
      assert.deepEqual(parse(printYamlDocuments([plain])), plain);
    }),
    { numRuns: 300 },
  );
});
