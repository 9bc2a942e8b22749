/**
 * The promise of the project, whole and on a real Kubernetes node: install, annotate, deploy; HTTPS in,
 * 60/40 between two versions, one whole trace in Jaeger for every request of unchanged programs.
 *
 * Steps build on each other, in order. Needs root and the peers of `npm run peers cluster`; skipped
 * with that command where they are missing.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { whyNoCluster } from './cluster/availability.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { imageReferences } from './cluster/images.ts';
import { type Jaeger, startJaeger } from './jaeger.ts';
import {
  deployments,
  freshPrefix,
  install,
  makeCertificate,
  namespace,
  openShop,
  printInstall,
  rolledOut,
  uninstall,
  writeWeights,
} from './story/shop.ts';
import { problemsOf, type ShopAnswer, ShopLoad, splitOf } from './story/shop-load.ts';
import { countHops, countTraces } from './story/shop-traces.ts';

const skip = whyNoCluster() ?? false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

/** Kinds of objects that an installation makes, by the path of their list. */
const lists = [
  '/api/v1/namespaces',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
  '/apis/apps/v1/deployments',
  '/api/v1/services',
  '/api/v1/secrets',
  '/api/v1/serviceaccounts',
  '/apis/rbac.authorization.k8s.io/v1/roles',
  '/apis/rbac.authorization.k8s.io/v1/rolebindings',
  '/apis/policy/v1/poddisruptionbudgets',
];

suite('the story on a real Kubernetes node', { skip }, () => {
  let cluster: Cluster;
  let jaeger: Jaeger;
  let load: ShopLoad;
  let address: { port: number; ca: string };
  let answers: readonly ShopAnswer[] = [];

  before(async () => {
    const log = (line: string): void => void process.stdout.write(`${line}\n`);
    cluster = await startCluster({ images: ['tracecar', 'sample'], log });
    jaeger = await startJaeger({ inNamespaceOf: cluster });
  });

  after(async () => {
    load?.close();
    await cluster?.close();
  });

  /** `kind namespace/name version` of everything that carries our label. */
  async function installed(): Promise<string[]> {
    const found: string[] = [];
    for (const path of lists) {
      const list = await cluster.get(`${path}?labelSelector=app.kubernetes.io/part-of=tracecar`);
      const items = (list?.items ?? []) as { metadata: Record<string, string> }[];
      for (const { metadata } of items) {
        found.push(
          `${path.split('/').at(-1)} ${metadata.namespace ?? ''}/${metadata.name} ${metadata.resourceVersion}`,
        );
      }
    }
    return found;
  }

  test('tracecar install brings an injector that is ready', async (t) => {
    const started = performance.now();
    await install(cluster, jaeger.otlpUrl);
    t.diagnostic(`ready after ${(performance.now() - started).toFixed(0)} ms`);
  });

  test('installing a second time changes nothing', async () => {
    const isStatusless = (line: string) => !/^(deployments|poddisruptionbudgets) /.test(line);
    const first = (await installed()).filter(isStatusless);
    assert.ok(first.length >= 9, first.join('\n'));
    const budget =
      '/apis/policy/v1/namespaces/tracecar-system/poddisruptionbudgets/tracecar-injector';
    const version = async () => (await cluster.get(budget))?.metadata.resourceVersion;
    const budgetBefore = await version();
    const said = await cluster.kubectl(['apply', '-f', '-'], await printInstall(jaeger.otlpUrl));
    const changed = said.split('\n').filter((line) => line !== '' && !line.endsWith(' unchanged'));
    // Of a budget kubectl never says `unchanged`: its selector is sent always (patch strategy
    // `replace`). The API server writes nothing for it.
    assert.deepEqual(changed, ['poddisruptionbudget.policy/tracecar-injector configured']);
    assert.equal(await version(), budgetBefore);
    assert.deepEqual((await installed()).filter(isStatusless), first);
    await cluster.kubectl(['diff', '-f', '-'], await printInstall(jaeger.otlpUrl));
  });

  test('pods of an annotated namespace become ready with a sidecar', async (t) => {
    const certificate = await makeCertificate();
    const started = performance.now();
    await openShop(cluster, {
      certificate,
      annotations: { 'tracecar.dev/inject': 'enabled', 'tracecar.dev/sampler': 'always_on' },
    });
    t.diagnostic(`four Deployments ready after ${(performance.now() - started).toFixed(0)} ms`);
    for (const name of deployments) {
      const pods = await cluster.kubectl([
        ...['-n', namespace, 'get', 'pods', '-o', 'json'],
        ...[
          '-l',
          name.startsWith('reviews') ? `app=reviews,version=${name.slice(8)}` : `app=${name}`,
        ],
      ]);
      const { items } = JSON.parse(pods) as {
        items: { spec: { initContainers: { name: string }[] } }[];
      };
      const names = items.flatMap(({ spec }) => spec.initContainers.map((each) => each.name));
      assert.deepEqual(names, ['tracecar-proxy', 'tracecar-init'], name);
    }
    const opened = await cluster.open('web.shop.svc.cluster.local', 443);
    address = { port: opened.port, ca: certificate.cert };
  });

  test('HTTPS to web is answered, 60 of 100 requests by v1', async (t) => {
    load = new ShopLoad(address, freshPrefix());
    answers = await load.send(1000, 8);
    assert.deepEqual(problemsOf(answers), []);
    const split = splitOf(answers);
    t.diagnostic(`v1 ${split.v1}, v2 ${split.v2}`);
    assert.ok(Math.abs(split.v1 - 600) <= 20, `v1 answered ${split.v1} of 1000`);
    assert.equal(split.v1 + split.v2, 1000);
  });

  test('every request is one whole trace in Jaeger, and no span has a wrong parent', async (t) => {
    const counts = await countTraces(jaeger, new Set(answers.map(({ id }) => id)));
    t.diagnostic(`${counts.whole} of ${counts.requests} whole, ${counts.spans} spans`);
    assert.equal(counts.wrongParents, 0);
    assert.equal(counts.whole, counts.requests, counts.gaps.join('\n'));
    assert.equal(counts.traces, counts.requests);
  });

  test('every hop between sidecars is mutual TLS: both ends say who the other one is', async (t) => {
    const ids = new Set(answers.map(({ id }) => id));
    const { hops, unverified } = await countHops(jaeger, ids);
    t.diagnostic(`${hops - unverified.length} of ${hops} spans with a verified peer`);
    assert.deepEqual(unverified.slice(0, 5), []);
    assert.equal(hops, 4 * ids.size);
  });

  test('edited weights are followed', async (t) => {
    const started = performance.now();
    await writeWeights(cluster, 20, 80);
    const isFollowed = async () => {
      const { v1 } = splitOf(await load.send(20, 4));
      return v1 <= 6;
    };
    while (!(await isFollowed())) {
      assert.ok(performance.now() - started < 30_000, 'the weights were not followed in 30 s');
    }
    t.diagnostic(`followed after ${(performance.now() - started).toFixed(0)} ms`);
    const after = await load.send(200, 8);
    assert.deepEqual(problemsOf(after), []);
    assert.equal(splitOf(after).v1, 40);
  });

  test('a rolling restart under 200 requests a second loses none of them', async (t) => {
    let isOver = false;
    const perSecond = 200;
    const sent = load.sendSteadily(perSecond, 32, () => isOver);
    await cluster.kubectl(['-n', namespace, 'rollout', 'restart', 'deployment']);
    await rolledOut(cluster);
    isOver = true;
    const { offered, answers: through, offeredMs, elapsedMs } = await sent;
    const rate = (through.length * 1000) / elapsedMs;
    t.diagnostic(
      `${through.length} of ${offered} requests answered; offered over ${(offeredMs / 1000).toFixed(1)} s, ` +
        `answered after ${(elapsedMs / 1000).toFixed(1)} s: ${rate.toFixed(0)} a second`,
    );
    assert.deepEqual(problemsOf(through), []);
    // All that were due at 200 a second for as long as the restart took.
    const due = Math.floor((offeredMs * perSecond) / 1000);
    assert.ok(offered >= due && due > 0, `${offered} of ${due} were offered`);
    assert.equal(through.length, offered);
    assert.equal(new Set(through.map(({ id }) => id)).size, offered);
  });

  test('uninstalling leaves nothing, and new pods of the namespace are plain', async () => {
    await uninstall(cluster);
    assert.deepEqual(await installed(), []);
    assert.equal(await cluster.get('/api/v1/namespaces/tracecar-system'), undefined);
    const pod = ['run', 'plain', '--restart=Never', `--image=${imageReferences.sample}`];
    await cluster.kubectl(['-n', namespace, ...pod, '--', '-e', 'setInterval(() => {}, 1000)']);
    const plain = await cluster.waitForPod(namespace, 'plain');
    assert.equal(plain.spec?.initContainers, undefined);
    const labelled = ['get', 'namespaces', '-l', 'tracecar.dev/inject', '-o', 'name'];
    assert.equal(await cluster.kubectl(labelled), `namespace/${namespace}\n`);
    // What `tracecar uninstall` says on stderr.
    const key = 'tracecar.dev/inject';
    await cluster.kubectl(['label', 'namespace', '-l', key, `${key}-`]);
    assert.equal(await cluster.kubectl(labelled), '');
  });
});
