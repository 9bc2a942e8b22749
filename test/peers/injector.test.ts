/**
 * The injector on a real Kubernetes node where it is easiest to lose a sidecar without a word: before
 * it is up, at the first annotation, with a watch that is dead, and with names that are misspelt.
 *
 * Steps build on each other, in order. Needs root and the peers of `npm run peers cluster`; skipped
 * with that command where they are missing.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { whyNoCluster } from './cluster/availability.ts';
import { type Cluster, type StartedProgram, startCluster } from './cluster/cluster.ts';
import { imageReferences } from './cluster/images.ts';
import type { KubernetesObject } from './cluster/objects.ts';
import { tracecar, uninstall } from './story/shop.ts';

const skip = whyNoCluster() ?? false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

const key = 'tracecar.dev/inject';
const system = ['-n', 'tracecar-system'];
const unanswered = /failed calling webhook "namespaces\.inject\.tracecar\.dev"/;

/**
 * Between the injector and the API server: SIGUSR2 freezes every connection that is open, as a router
 * that forgot them would; new ones pass.
 */
const freezer = (address: string) => `
  const { connect, createServer } = require('node:net');
  const open = new Set();
  createServer((near) => {
    const far = connect(6443, '127.0.0.1');
    open.add([near, far]);
    for (const each of [near, far]) each.on('error', () => {});
    near.pipe(far).pipe(near);
  }).listen(7443, '${address}');
  process.on('SIGUSR2', () => {
    for (const [near, far] of open) {
      near.unpipe();
      far.unpipe();
      near.pause();
      far.pause();
    }
    open.clear();
    console.log('frozen');
  });`;

suite('the injector on a real Kubernetes node', { skip }, () => {
  let cluster: Cluster;
  let between: StartedProgram;

  before(async () => {
    const log = (line: string): void => void process.stdout.write(`${line}\n`);
    cluster = await startCluster({ images: ['tracecar', 'sample'], log });
    between = cluster.start('freezer', [process.execPath, '-e', freezer(cluster.nodeAddress)]);
    await cluster.untilListening(cluster.nodeAddress, 7443);
  });

  after(() => cluster?.close());

  const annotate = (namespace: string, ...pairs: readonly string[]): Promise<string> =>
    cluster.kubectl(['annotate', 'namespace', namespace, ...pairs, '-o', 'json']);

  async function apply(image: string): Promise<void> {
    const flags = ['--image', image, '--image-pull-policy', 'Never', '--replicas', '1'];
    await cluster.kubectl(['apply', '-f', '-'], await tracecar('install', ...flags));
  }

  /** A pod that is never started: no node has what it selects. */
  function pod(metadata: object): string {
    const spec = {
      nodeSelector: { nowhere: 'true' },
      containers: [{ name: 'app', image: imageReferences.sample }],
    };
    return JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec });
  }

  async function create(metadata: object, ...flags: readonly string[]): Promise<KubernetesObject> {
    const text = ['create', ...flags, '-o', 'json', '-f', '-'];
    return JSON.parse(await cluster.kubectl(text, pod(metadata))) as KubernetesObject;
  }

  const hasSidecar = ({ spec }: KubernetesObject): boolean =>
    (spec?.initContainers ?? []).some(({ name }) => name === 'tracecar-proxy');

  async function makeNamespaces(...names: readonly string[]): Promise<void> {
    for (const name of names) await cluster.kubectl(['create', 'namespace', name]);
    for (const name of names) {
      // Controllers make it, and a pod needs it.
      await cluster.waitFor(`/api/v1/namespaces/${name}/serviceaccounts/default`, Boolean);
    }
  }

  test('a namespace cannot be annotated while no injector answers: kubectl says why', async () => {
    await makeNamespaces('early', 'ended', 'shop', 'plain', 'late');
    // Before anything is installed nobody objects.
    await annotate('early', `${key}=enabled`);
    await annotate('ended', `${key}=enabled`);
    await apply('localhost/nowhere:1');
    // The API server hears of the configuration a moment after kubectl has written it.
    const configuration = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    await cluster.waitFor(`${configuration}/tracecar-injector`, Boolean);
    const asked = ['annotate', 'namespace', 'shop', `${key}=enabled`, '--dry-run=server'];
    const isAsked = () =>
      cluster.kubectl(asked).then(
        () => false,
        () => true,
      );
    const deadline = performance.now() + 10_000;
    while (!(await isAsked())) assert.ok(performance.now() < deadline, 'nobody was asked in 10 s');
    for (const word of ['enabled', 'disabled', 'true']) {
      await assert.rejects(annotate('shop', `${key}=${word}`), unanswered);
    }
    await assert.rejects(
      cluster.kubectl(['label', 'namespace', 'early', 'team=a']),
      unanswered,
      'its annotation has no label yet',
    );
    const shop = await cluster.get('/api/v1/namespaces/shop');
    assert.equal(shop?.metadata.annotations?.[key], undefined);
  });

  test('an injector that is away stops nobody else', async () => {
    await makeNamespaces('other');
    await cluster.kubectl(['label', 'namespace', 'other', 'team=a']);
    await annotate('other', 'example.dev/a=b', 'tracecar.dev/sampler=1');
    await annotate('kube-system', `${key}=enabled`);
    await annotate('kube-system', `${key}-`);
    await annotate('tracecar-system', 'example.dev/a=b');
    assert.equal(hasSidecar(await create({ name: 'a', namespace: 'other' })), false);
    const withSetting = {
      name: 'b',
      namespace: 'other',
      annotations: { 'tracecar.dev/sampler': '1' },
    };
    assert.equal(hasSidecar(await create(withSetting)), false);
    await cluster.kubectl(['delete', 'namespace', 'ended', '--timeout=30s']);
  });

  test('once rollout status returns, annotating labels a namespace at once', async () => {
    await apply(imageReferences.tracecar);
    const host = [`KUBERNETES_SERVICE_HOST=${cluster.nodeAddress}`, 'KUBERNETES_SERVICE_PORT=7443'];
    const deployment = 'deployment/tracecar-injector';
    await cluster.kubectl([...system, 'set', 'env', deployment, ...host]);
    await cluster.kubectl([...system, 'rollout', 'status', deployment, '--timeout=60s']);
    const answered = JSON.parse(await annotate('shop', `${key}=enabled`)) as KubernetesObject;
    assert.equal(answered.metadata.labels?.[key], 'enabled', 'in the answer to kubectl itself');
    assert.equal(hasSidecar(await create({ name: 'a', namespace: 'shop' })), true);
    const labelled = (namespace: KubernetesObject | undefined) =>
      namespace?.metadata.labels?.[key] === 'enabled';
    await cluster.waitFor('/api/v1/namespaces/early', labelled);
  });

  test('a namespace that is created with the annotation has its label at once', async () => {
    const make = (name: string, word: string) => {
      const metadata = { name, annotations: { [key]: word } };
      const text = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata });
      return cluster.kubectl(['create', '-o', 'json', '-f', '-'], text);
    };
    const made = JSON.parse(await make('made', 'enabled')) as KubernetesObject;
    assert.equal(made.metadata.labels?.[key], 'enabled');
    await assert.rejects(make('wrong', 'yes'), /is enabled or disabled, not 'yes'/);
  });

  test('an annotation that goes takes its label along', async () => {
    const without = JSON.parse(await annotate('shop', `${key}-`)) as KubernetesObject;
    assert.equal(without.metadata.labels?.[key], undefined);
    const again = JSON.parse(await annotate('shop', `${key}=enabled`)) as KubernetesObject;
    assert.equal(again.metadata.labels?.[key], 'enabled');
    const body = JSON.stringify({ metadata: { labels: { [key]: 'disabled' } } });
    const label = ['patch', 'namespace', 'shop', '--type=merge', '-p', body, '-o', 'json'];
    const kept = JSON.parse(await cluster.kubectl(label)) as KubernetesObject;
    assert.equal(kept.metadata.labels?.[key], 'enabled');
  });

  test('what is misspelt or misplaced is refused, on namespaces and on pods', async () => {
    const refusals: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
      [() => annotate('plain', `${key}=true`), /is enabled or disabled, not 'true'/],
      [() => annotate('plain', 'tracecar.dev/injct=enabled'), /injct .*did you mean .*inject/],
      [() => annotate('shop', 'tracecar.dev/sampler=banana'), /sampler .* not 'banana'/],
      [
        () => cluster.kubectl(['label', 'namespace', 'plain', 'tracecar.dev/enject=enabled']),
        /label tracecar\.dev\/enject of the namespace is unknown/,
      ],
      ...['shop', 'plain'].flatMap((namespace) => {
        const make = (metadata: object) => () => create({ name: 'x', namespace, ...metadata });
        return [
          [make({ labels: { 'tracecar.dev/enject': 'enabled' } }), /enject of the pod is unknown/],
          [make({ labels: { 'tracecar.dev/propagation': 'off' } }), /as an annotation only/],
          [make({ annotations: { 'tracecar.dev/injct': 'enabled' } }), /injct of the pod is unk/],
        ] as const;
      }),
    ];
    for (const [write, said] of refusals) await assert.rejects(write(), said);
    await annotate('plain', 'tracecar.dev/sampler=always_on');
  });

  test('with a watch that is dead a pod gets its sidecar or is refused, never neither', async (t) => {
    process.kill(between.pid, 'SIGUSR2');
    const started = performance.now();
    const answered = JSON.parse(await annotate('late', `${key}=enabled`)) as KubernetesObject;
    assert.equal(answered.metadata.labels?.[key], 'enabled');
    let refusals = 0;
    let made: KubernetesObject | undefined;
    while (made === undefined) {
      try {
        made = await create({ name: 'a', namespace: 'late' });
      } catch (error) {
        refusals += 1;
        assert.match((error as Error).message, /pods\.inject\.tracecar\.dev/);
        const text = `refused ${refusals} times: ${(error as Error).message}`;
        assert.ok(performance.now() - started < 30_000, text);
      }
    }
    t.diagnostic(`${refusals} refusals, ${(performance.now() - started).toFixed(0)} ms`);
    assert.match(between.output(), /frozen/);
    assert.equal(hasSidecar(made), true);
    assert.equal(hasSidecar(await create({ name: 'b', namespace: 'late' })), true);
  });

  test("uninstalled, it stands in nobody's way", async () => {
    await uninstall(cluster);
    await annotate('shop', `${key}=disabled`, '--overwrite');
    assert.equal(hasSidecar(await create({ name: 'b', namespace: 'shop' })), false);
  });
});
