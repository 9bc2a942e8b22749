/**
 * Identities and mutual TLS on a real Kubernetes node, as `tracecar install` sets them up: a namespace that
 * takes mutual TLS alone beside one that takes everything, callers with a sidecar and without.
 *
 * Steps build on each other, in order. Needs root and the peers of `npm run peers cluster`; skipped
 * with that command where they are missing.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { readTrustBundle } from '../../src/identity/trust-bundle.ts';
import { whyNoCluster } from './cluster/availability.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { imageReferences } from './cluster/images.ts';
import { hasCondition, type KubernetesObject } from './cluster/objects.ts';
import { tracecar } from './story/shop.ts';

const skip = whyNoCluster() ?? false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

const system = 'tracecar-system';
const strict = {
  apiVersion: 'security.istio.io/v1',
  kind: 'PeerAuthentication',
  metadata: { name: 'default', namespace: 'strict' },
  spec: { mtls: { mode: 'STRICT' } },
};

/** Answers with what it heard of its caller; has a metrics page, and a second port that speaks no HTTP. */
const server = `
  const http = require('http');
  http.createServer((request, response) => {
    if (request.url === '/metrics') return response.end('shop_orders_total 7\\n');
    response.end(request.headers['x-forwarded-client-cert'] ?? 'nobody');
  }).listen(8080);
  require('net').createServer((socket) => socket.end('hello\\n')).listen(7070);`;

const idle = 'setInterval(() => {}, 1000)';

/** What a pod says of a URL: status, cause and body, or the error's code. */
const ask = (url: string): string => `
  fetch('${url}').then(async (answer) => {
    console.log(answer.status, answer.headers.get('x-tracecar-cause') ?? '-', await answer.text());
  }, (error) => console.log(error.cause?.code ?? error.message));`;

suite('mutual TLS on a real Kubernetes node', { skip }, () => {
  let cluster: Cluster;

  before(async () => {
    const log = (line: string): void => void process.stdout.write(`${line}\n`);
    cluster = await startCluster({ images: ['tracecar', 'sample'], log });
  });

  after(() => cluster?.close());

  function pod(name: string, namespace: string, program: string, more: object = {}): object {
    const container = {
      name: 'app',
      image: imageReferences.sample,
      command: ['node', '-e', program],
      ...(program === server
        ? { readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 } }
        : {}),
    };
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: name }, ...more },
      spec: {
        serviceAccountName: name,
        containers: [container],
        terminationGracePeriodSeconds: 0,
      },
    };
  }

  const service = (namespace: string): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'server', namespace },
    spec: {
      selector: { app: 'server' },
      ports: [
        { name: 'http', port: 80, targetPort: 8080 },
        { name: 'tcp', port: 7070 },
      ],
    },
  });

  const account = (name: string, namespace: string): object => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace },
  });

  const config = (namespace: string, documents: readonly object[]): object => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'tracecar-config', namespace },
    data: { 'mesh.yaml': documents.map((each) => JSON.stringify(each)).join('\n---\n') },
  });

  async function inside(namespace: string, name: string, program: string, container = 'app') {
    const exec = ['-n', namespace, 'exec', name, '-c', container, '--', 'node', '-e', program];
    return (await cluster.kubectl(exec)).trimEnd();
  }

  test('the authority publishes its root, and the injector waits for it', async (t) => {
    const started = performance.now();
    const image = ['--image', imageReferences.tracecar, '--image-pull-policy', 'Never'];
    await cluster.kubectl(
      ['apply', '-f', '-'],
      await tracecar('install', ...image, '--replicas', '1'),
    );
    await cluster.waitForDeployment(system, 'tracecar-ca', 60_000);
    await cluster.waitForDeployment(system, 'tracecar-injector', 60_000);
    t.diagnostic(`both are ready after ${(performance.now() - started).toFixed(0)} ms`);
    const map = await cluster.get(`/api/v1/namespaces/${system}/configmaps/tracecar-trust-bundle`);
    const roots = (map?.data as Record<string, string> | undefined)?.['roots.pem'] ?? '';
    const bundle = readTrustBundle(roots);
    assert.ok('roots' in bundle, roots);
    assert.equal(bundle.roots.length, 1);
  });

  test('pods of a STRICT namespace become ready: their probes are no callers', async (t) => {
    const key = 'tracecar.dev/inject=enabled';
    for (const namespace of ['strict', 'lax', 'callers', 'plain']) {
      await cluster.kubectl(['create', 'namespace', namespace]);
      if (namespace !== 'plain') await cluster.kubectl(['annotate', 'ns', namespace, key]);
    }
    const scraped = {
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '8080' },
    };
    await cluster.apply([
      config('strict', [strict]),
      ...['strict', 'lax'].flatMap((namespace) => [
        account('server', namespace),
        service(namespace),
      ]),
      ...['callers', 'plain'].map((namespace) => account('caller', namespace)),
    ]);
    const started = performance.now();
    await cluster.apply([
      pod('server', 'strict', server, scraped),
      pod('server', 'lax', server),
      pod('caller', 'plain', idle),
    ]);
    await Promise.all([
      cluster.waitForPod('strict', 'server', 60_000),
      cluster.waitForPod('lax', 'server', 60_000),
      cluster.waitForPod('plain', 'caller', 60_000),
    ]);
    for (const name of ['server.strict', 'server.lax']) {
      await cluster.untilListening(`${name}.svc.cluster.local`, 80);
    }
    t.diagnostic(`three pods are ready after ${(performance.now() - started).toFixed(0)} ms`);
  });

  test('a caller without a sidecar is refused where STRICT holds, with the cause, and nowhere else', async () => {
    for (const url of ['http://server.strict', `http://${await addressOf('strict')}:8080`]) {
      const refused = await inside('plain', 'caller', ask(url));
      assert.match(refused, /^403 no-identity /, url);
      assert.doesNotMatch(refused, /nobody/, 'the application was not asked');
    }
    const closed = await inside('plain', 'caller', dial('server.strict'));
    assert.doesNotMatch(closed, /hello/);
    assert.match(await inside('plain', 'caller', ask('http://server.lax')), /^200 - nobody$/);
    assert.match(await inside('plain', 'caller', dial('server.lax')), /^hello/);
  });

  const dial = (host: string): string => `
    let said = '';
    const socket = require('net').connect(7070, '${host}', () => socket.write('x\\n'));
    socket.on('data', (chunk) => { said += chunk; });
    socket.on('error', ({ code }) => { said += code; });
    socket.on('close', () => console.log(said + '.'));`;

  async function addressOf(namespace: string): Promise<string> {
    const object = await cluster.get(`/api/v1/namespaces/${namespace}/pods/server`);
    return (object!.status as unknown as { podIP: string }).podIP;
  }

  test('a caller with a sidecar is served in both, and the application hears who it is', async () => {
    const kinds = 'services,endpointslices,pods';
    const lists = await Promise.all(
      ['strict', 'lax'].map(async (namespace) =>
        JSON.parse(await cluster.kubectl(['-n', namespace, 'get', kinds, '-o', 'json'])),
      ),
    );
    await cluster.apply([config('callers', lists), pod('caller', 'callers', idle)]);
    await cluster.waitForPod('callers', 'caller', 60_000);
    for (const namespace of ['strict', 'lax']) {
      const heard = await inside('callers', 'caller', ask(`http://server.${namespace}`));
      assert.match(
        heard,
        /^200 - By=spiffe:\/\/cluster\.local\/ns\/\w+\/sa\/server;Hash=[0-9a-f]{64};/,
      );
      assert.match(heard, /;URI=spiffe:\/\/cluster\.local\/ns\/callers\/sa\/caller$/);
    }
    assert.match(await inside('callers', 'caller', dial('server.strict')), /^hello/);
  });

  test('metrics of application and sidecar are one page for a scraper without an identity', async () => {
    const { metadata } = (await cluster.get('/api/v1/namespaces/strict/pods/server'))!;
    const { 'prometheus.io/port': port, 'prometheus.io/path': path } = metadata.annotations ?? {};
    const page = await inside(
      'plain',
      'caller',
      ask(`http://${await addressOf('strict')}:${port}${path}`),
    );
    assert.match(page, /^200 /);
    assert.match(page, /^shop_orders_total 7$/m);
    assert.match(page, /^tracecar_/m);
  });

  test('nobody but the sidecar has its token and key, and it shows neither', async () => {
    const look = `const { readdirSync } = require('fs');
      for (const path of ['/var/run/secrets/tracecar', '/var/run/tracecar/identity']) {
        try { console.log(path, readdirSync(path).length > 0); }
        catch ({ code }) { console.log(path, code); }
      }`;
    assert.match(await inside('strict', 'server', look), /tracecar ENOENT\n.*identity ENOENT$/);
    const own = await inside('strict', 'server', look, 'tracecar-proxy');
    assert.match(own, /tracecar true\n.*identity true$/);
    const state = `Promise.all(['config', 'stats', 'clusters', 'connections'].map((each) =>
      fetch('http://127.0.0.1:15000/' + each).then((answer) => answer.text()))).then(console.log)`;
    const shown = await inside('strict', 'server', state);
    assert.match(shown, /spiffe:\/\/cluster\.local\/ns\/strict\/sa\/server/);
    assert.doesNotMatch(shown, /PRIVATE KEY|eyJ/);
    const limits = "console.log(require('fs').readFileSync('/proc/1/limits', 'utf8'))";
    assert.match(
      await inside('strict', 'server', limits, 'tracecar-proxy'),
      /core file size +0 +0/,
    );
  });

  const authority = (...args: readonly string[]): Promise<string> => {
    const exec = ['-n', system, 'exec', 'deploy/tracecar-ca', '--', 'tracecar', 'ca'];
    return cluster.kubectl([...exec, ...args, '--kubernetes']);
  };

  test('the authority knows its sidecars, spreads a second root, and waits for them', async () => {
    const workloads = ['callers/sa/caller', 'lax/sa/server', 'strict/sa/server'];
    const ids = workloads.map((each) => `spiffe://cluster.local/ns/${each}`);
    const { sidecars } = JSON.parse(await authority('status', '--output', 'json')) as {
      sidecars: { id: string; hasBundle: boolean }[];
    };
    assert.deepEqual(sidecars.map(({ id }) => id).toSorted(), ids);
    assert.ok(sidecars.every(({ hasBundle }) => hasBundle));
    assert.match(await authority('rotate'), /root/);
    const rootsOf = (text = ''): number => text.split('BEGIN CERTIFICATE').length - 1;
    await cluster.waitFor(
      `/api/v1/namespaces/${system}/configmaps/tracecar-trust-bundle`,
      (map) => rootsOf((map?.data as Record<string, string> | undefined)?.['roots.pem']) === 2,
    );
    const create = ['create', '--dry-run=server', '-o', 'json', '-f', '-'];
    const fresh = JSON.stringify({ ...pod('caller', 'callers', idle), metadata: freshName });
    const deadline = performance.now() + 20_000;
    const trusted = async (): Promise<number> =>
      rootsOf(bundleOf(JSON.parse(await cluster.kubectl(create, fresh))));
    while ((await trusted()) !== 2) assert.ok(performance.now() < deadline, 'in 20 s');
    await assert.rejects(authority('rotate'), /spiffe:\/\/cluster\.local\/ns\/strict\/sa\/server/);
  });

  const freshName = { name: 'fresh', namespace: 'callers' };

  function bundleOf({ spec }: KubernetesObject): string {
    const { initContainers } = (spec ?? {}) as unknown as {
      initContainers?: { env?: { name: string; value?: string }[] }[];
    };
    const env = initContainers?.[0]?.env ?? [];
    return env.find(({ name }) => name === 'TRACECAR_TRUST_BUNDLE')?.value ?? '';
  }

  test('a sidecar that restarts while the authority is away is who it was', async () => {
    const scale = ['-n', system, 'scale', 'deployment/tracecar-ca', '--replicas=0'];
    await cluster.kubectl(scale);
    await cluster.waitFor(
      `/apis/apps/v1/namespaces/${system}/deployments/tracecar-ca`,
      (found) => !(found?.status as { replicas?: number } | undefined)?.replicas,
    );
    await inside('strict', 'server', "process.kill(1, 'SIGTERM')", 'tracecar-proxy');
    const hasRestarted = (found: KubernetesObject | undefined): boolean => {
      const { initContainerStatuses = [] } = (found?.status ?? {}) as unknown as {
        initContainerStatuses?: { name: string; restartCount: number }[];
      };
      const { restartCount = 0 } =
        initContainerStatuses.find(({ name }) => name === 'tracecar-proxy') ?? {};
      return restartCount === 1 && hasCondition(found, 'Ready');
    };
    await cluster.waitFor('/api/v1/namespaces/strict/pods/server', hasRestarted, 60_000);
    const heard = await inside('callers', 'caller', ask('http://server.strict'));
    assert.match(heard, /^200 - .*;URI=spiffe:\/\/cluster\.local\/ns\/callers\/sa\/caller$/);
  });
});
