/**
 * Two applications and their sidecars in real network namespaces, captured by real rules: what a
 * connection sees end to end, and what the sidecar does with connections that must not loop.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const root = resolve(import.meta.dirname, '../../..');
const tracecar = join(root, 'src/cli/tracecar.ts');
const applications = join(import.meta.dirname, 'applications.cjs');
const initModule = join(root, 'injector/init/main.ts');
const runInit = `import('${initModule}').then(async (init) => process.exit(await init.runInit([])))`;

const skip = skipWithout(import.meta.filename, whyNoPods());
const secret = 'only the kubelet knows';

let network: PodNetwork | undefined;
let web: Pod;
let reviews: Pod;
let outsider: Pod;
const sidecars = new Map<Pod, PodProcess>();
const configFolder = mkdtempSync(join(tmpdir(), 'tracecar-pods-'));
/** A Service address: nobody has it, and the sidecar never dials it for an authority it knows. */
const serviceAddress = '10.96.0.1';

const service = (name: string, pod: Pod) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: ${pod.v4}}]
`;

const init = (pod: Pod) => pod.run(users.init, [process.execPath, '-e', runInit]);

function startSidecar(pod: Pod, app: string): PodProcess {
  // With probes the health port has a thread of its own; without, it is served by that of traffic.
  const readyz = { httpGet: { path: '/healthz', port: 8080 } };
  const probes = app === 'web' ? { '/app-health/app/readyz': readyz } : {};
  const sidecar = pod.start(
    users.proxy,
    [
      process.execPath,
      tracecar,
      'proxy',
      '--capture=redirect',
      '--access-log=json',
      '--drain-seconds=2',
      `--config=${configFolder}`,
      `--labels=app=${app}`,
    ],
    {
      POD_IPS: `${pod.v4},${pod.v6}`,
      POD_NAMESPACE: 'default',
      TRACECAR_WARM_UP_MS: '0',
      TRACECAR_DRAIN_SECRET: secret,
      TRACECAR_PROBES: JSON.stringify(probes),
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_SERVICE_NAME: app,
    },
  );
  sidecars.set(pod, sidecar);
  return sidecar;
}

const ready = /"message":"ready"/;

const health = (pod: Pod, path: string, fields = '') =>
  pod.get(users.app, '127.0.0.1', 15_021, path, fields);

const stats = (pod: Pod) => pod.get(users.app, '127.0.0.1', 15_000, '/connections');

/** Lines of the access log about one path. */
async function recorded(pod: Pod, pattern: RegExp): Promise<Record<string, unknown>> {
  return JSON.parse(await sidecars.get(pod)!.says(pattern)) as Record<string, unknown>;
}

before(async () => {
  if (skip !== false) return;
  network = makePods(3);
  [web, reviews, outsider] = network.pods as [Pod, Pod, Pod];
  writeFileSync(
    join(configFolder, 'mesh.yaml'),
    `${service('web', web)}---\n${service('reviews', reviews)}`,
  );
  chmodSync(configFolder, 0o755);
  assert.equal(init(reviews).status, 0);
  const started = [web, reviews, outsider].map((pod, index) =>
    pod
      .start(users.app, [process.execPath, applications, ['web', 'reviews', 'outsider'][index]!])
      .says(/open/),
  );
  startSidecar(web, 'web');
  await Promise.all([...started, startSidecar(reviews, 'reviews').says(ready)]);
});

after(async () => {
  await network?.close();
  rmSync(configFolder, { recursive: true, force: true });
});

test('a sidecar without rules is not ready and says why; with them it becomes ready', {
  skip,
}, async () => {
  const sidecar = sidecars.get(web)!;
  await sidecar.says(/not ready: the redirection rules of this pod are not in force/);
  assert.match(health(web, '/healthz/ready'), /^HTTP\/1\.1 503 .*redirection rules/s);
  assert.match(health(web, '/healthz/live'), /^HTTP\/1\.1 200/);
  // It listens already, for what the rules will bring, and takes no other connection.
  assert.doesNotMatch(web.dial(users.app, '127.0.0.1', 15_006, 'GET / HTTP/1.1\r\n\r\n'), /HTTP/);
  assert.equal(init(web).status, 0);
  await sidecar.says(ready);
  assert.match(health(web, '/healthz/ready'), /^HTTP\/1\.1 200/);
});

test('rules that the kernel does not enter turn readiness off with the next probe from elsewhere', {
  skip,
  timeout: 120_000,
}, async () => {
  for (const pod of [web, reviews]) {
    const sidecar = sidecars.get(pod)!;
    const ask = (address: string) => outsider.get(users.app, address, 15_021, '/healthz/ready');
    for (const address of [pod.v4, pod.v6]) assert.match(ask(address), /^HTTP\/1\.1 200/);
    const flush = ['nft', 'flush', 'chain', 'inet', 'tracecar', 'prerouting'];
    assert.equal(pod.run(users.init, flush).status, 0);
    for (const address of [pod.v4, pod.v6]) {
      assert.match(
        ask(address),
        /^HTTP\/1\.1 503 .*came past the inbound redirection rules of this/s,
      );
    }
    await sidecar.says(/not ready: this probe came past the inbound redirection rules of this pod/);
    // What the pod asks itself never passes them, and shows nothing.
    for (const address of ['127.0.0.1', pod.v4]) {
      const own = pod.get(users.app, address, 15_021, '/healthz/ready');
      assert.match(own, /^HTTP\/1\.1 200/);
    }
    assert.equal(init(pod).status, 0);
    for (const address of [pod.v4, pod.v6]) assert.match(ask(address), /^HTTP\/1\.1 200/);
    await sidecar.says(/probes pass the inbound redirection rules of this pod again/);
    const told = sidecar.lines.filter((line) => /"level":"error".*came past/.test(line));
    assert.equal(told.length, 1, told.join('\n'));
  }
});

test('an init container that holds its pod back ends at once when the pod is deleted', {
  skip,
}, async () => {
  // Process 1 of its namespace, as in a container: what it does not listen for, the kernel drops.
  const waits = `import('${initModule}').then((init) => init.runInit(['--await-proxy', '60']))`;
  const inside = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const unshare = spawn('unshare', [...inside, process.execPath, '-e', waits], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(unshare, 'exit');
  for await (const line of createInterface(unshare.stderr)) {
    if (line.includes('waiting for the sidecar')) break;
  }
  const children = readFileSync(`/proc/${unshare.pid}/task/${unshare.pid}/children`, 'utf8');
  process.kill(Number(children), 'SIGTERM');
  assert.deepEqual(await ended, [128 + 15, null]);
});

test('a request through two sidecars is one trace', { skip }, async () => {
  const fields = 'Host: reviews:8080\r\n';
  const answer = web.get(users.app, serviceAddress, 8_080, '/one-trace', fields);
  assert.match(answer, /^HTTP\/1\.1 200 .*reviews \/one-trace reviews:8080 00-[0-9a-f]{32}-/s);
  const traceId = /00-([0-9a-f]{32})-/.exec(answer)![1]!;
  const lines = await Promise.all([recorded(web, /one-trace/), recorded(reviews, /one-trace/)]);
  for (const line of lines) assert.ok(JSON.stringify(line).includes(traceId), JSON.stringify(line));
});

test('an authority that is not known goes to its original destination', { skip }, () => {
  for (const address of [outsider.v4, outsider.v6]) {
    const fields = 'Host: somewhere.example\r\n';
    const answer = web.get(users.app, address, 8_080, '/passed', fields);
    assert.match(answer, /^HTTP\/1\.1 200 .*outsider \/passed somewhere\.example/s);
  }
});

test('a pod outside of the mesh reaches the application through its sidecar', { skip }, () => {
  for (const address of [reviews.v4, reviews.v6]) {
    const answer = outsider.get(users.app, address, 8_080, '/from-outside', 'Host: reviews\r\n');
    assert.match(answer, /^HTTP\/1\.1 200 .*reviews \/from-outside reviews 00-/s);
  }
});

test('a server that speaks first is heard, and what follows is relayed untouched', { skip }, () => {
  const answer = web.dial(users.app, reviews.v4, 3_306, '\u0001\u0002hello\n');
  assert.equal(answer, 'reviews greets\nreviews heard \u0001\u0002hello');
});

test('bytes that are no HTTP are relayed untouched', { skip }, () => {
  const bytes = '\u0016\u0003\u0001 not TLS either \r\n\r\n';
  const script = 'exec 3<>"/dev/tcp/$0/6000"; printf %s "$1" >&3; exec timeout 20 head -c "$2" <&3';
  const command = ['bash', '-c', script, reviews.v4, bytes, `${Buffer.byteLength(bytes)}`];
  assert.equal(web.run(users.app, command).output, bytes);
});

test('a call to the own Service reaches the application once and does not loop', { skip }, () => {
  const before = Number(/x-answers: (\d+)/.exec(own('/before'))![1]);
  const answer = own('/own-service');
  assert.match(answer, /^HTTP\/1\.1 200 .*web \/own-service web:8080/s);
  assert.match(answer, new RegExp(`x-answers: ${before + 1}\\r`));
});

const own = (path: string) => web.get(users.app, serviceAddress, 8_080, path, 'Host: web:8080\r\n');

test('a call to the own address stays untouched', { skip }, () => {
  for (const address of ['127.0.0.1', '::1', web.v4, web.v6]) {
    const answer = web.get(users.app, address, 8_080, '/self', 'Host: web\r\n');
    assert.match(answer, /web \/self web *$/, 'no traceparent: no sidecar saw it');
  }
});

test('direct hits on the capture ports are closed without an answer', { skip }, () => {
  const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
  const hits = [
    outsider.dial(users.app, web.v4, 15_001, request),
    outsider.dial(users.app, web.v4, 15_006, request),
    web.dial(users.app, '127.0.0.1', 15_001, request),
    web.dial(users.app, '127.0.0.1', 15_006, request),
    web.dial(users.app, web.v4, 15_006, request),
  ];
  for (const said of hits) assert.doesNotMatch(said, /HTTP/);
  const open = /"downstreamOpen": (\d+)/.exec(stats(web))?.[1];
  assert.equal(open, '0', stats(web));
  assert.match(health(web, '/healthz/ready'), /^HTTP\/1\.1 200/);
});

test('a probe reaches the application and not the sidecar', { skip }, () => {
  const readyz = '/app-health/app/readyz';
  assert.match(outsider.get(users.app, web.v6, 15_021, readyz, 'Host: web\r\n'), /web \/healthz/);
  const answer = outsider.get(users.app, web.v4, 15_021, readyz);
  assert.match(answer, /^HTTP\/1\.1 200 .*web \/healthz 10\.7\.0\.1:8080 *$/s);
});

test('a drain moves callers away and keeps the way out open; SIGTERM ends it', {
  skip,
}, async () => {
  assert.match(health(web, '/drain'), /^HTTP\/1\.1 403/);
  const fields = `x-tracecar-drain-secret: ${secret}\r\n`;
  assert.match(outsider.get(users.app, web.v4, 15_021, '/drain', fields), /^HTTP\/1\.1 200/);
  assert.match(health(web, '/healthz/ready'), /^HTTP\/1\.1 503 .*draining/s);
  const keep = 'GET /kept HTTP/1.1\r\nHost: web\r\n\r\n';
  const answer = outsider.dial(users.app, web.v4, 8_080, keep);
  assert.match(answer, /^HTTP\/1\.1 200 .*Connection: close/is);
  const out = web.get(users.app, serviceAddress, 8_080, '/still', 'Host: reviews:8080\r\n');
  assert.match(out, /^HTTP\/1\.1 200 .*reviews \/still/s);
  const sidecar = sidecars.get(web)!;
  sidecar.child.kill('SIGTERM');
  assert.equal(await sidecar.ended, 0);
  assert.match(sidecar.lines.join('\n'), /"message":"drained","finished":\d+,"cut":0/);
});
