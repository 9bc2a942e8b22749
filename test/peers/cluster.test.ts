/**
 * The tests' own cluster: what it must do for the tests that stand on it, and that it leaves nothing.
 *
 * Needs root and the peers of `npm run peers cluster`; skipped with that command where they are missing.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { whyNoCluster } from './cluster/availability.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { runOrThrow } from './cluster/command.ts';
import { imageReferences } from './cluster/images.ts';
import { hasCondition, type KubernetesObject } from './cluster/objects.ts';
import { abandonedPlaces, clear } from './cluster/place.ts';
import { startJaeger } from './jaeger.ts';

const skip = whyNoCluster() ?? false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

const answers = (port: number, text: string): string[] => [
  'node',
  '-e',
  `require('http').createServer((q, r) => r.end('${text}')).listen(${port}, () => console.log('${text} up'))`,
];

/** A container of an injected pod, where a test changes it. */
interface Changed {
  readonly args: string[];
  command?: readonly string[];
}

/** A pod template's spec: an init container that writes nft rules, a native sidecar, an application. */
const meshed = {
  terminationGracePeriodSeconds: 0,
  initContainers: [
    {
      name: 'rules',
      image: imageReferences.tracecar,
      command: [
        '/bin/sh',
        '-c',
        'nft add table inet probe && nft list tables && tracecar --version',
      ],
      securityContext: { runAsUser: 0, capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } },
    },
    {
      name: 'sidecar',
      image: imageReferences.sample,
      command: answers(8081, 'sidecar'),
      restartPolicy: 'Always',
      startupProbe: { httpGet: { port: 8081 }, periodSeconds: 1 },
    },
  ],
  containers: [
    {
      name: 'app',
      image: imageReferences.sample,
      command: answers(8080, 'application'),
      readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
    },
  ],
};

suite('a real Kubernetes node', { skip }, () => {
  let cluster: Cluster;

  before(async () => {
    const started = performance.now();
    const log = (line: string): void => void process.stdout.write(`${line}\n`);
    cluster = await startCluster({ images: ['tracecar', 'sample'], log });
    process.stdout.write(`the node took ${(performance.now() - started).toFixed(0)} ms\n`);
  });

  after(async () => await cluster?.close());

  test('the node is Ready', async () => {
    assert.ok(hasCondition(await cluster.get('/api/v1/nodes/node-1'), 'Ready'));
    assert.match(await cluster.kubectl(['get', 'nodes', '--no-headers']), /^node-1 +Ready /);
  });

  test('a bare pod becomes Ready and is gone when it is deleted', async (t) => {
    const started = performance.now();
    const container = { name: 'app', image: imageReferences.sample, command: answers(8080, 'x') };
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'bare', namespace: 'default' },
        spec: { containers: [container], terminationGracePeriodSeconds: 0 },
      },
    ]);
    await cluster.waitForPod('default', 'bare');
    t.diagnostic(`Ready after ${(performance.now() - started).toFixed(0)} ms`);
    await cluster.kubectl(['delete', 'pod', 'bare', '--wait=false']);
    await cluster.waitFor('/api/v1/namespaces/default/pods/bare', (pod) => pod === undefined);
  });

  test('a pod that cannot run is an error at once, with the reason', async () => {
    const container = { name: 'app', image: 'localhost/nowhere:1', imagePullPolicy: 'Never' };
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'broken', namespace: 'default' },
        spec: { containers: [container], terminationGracePeriodSeconds: 0 },
      },
    ]);
    await assert.rejects(cluster.waitForPod('default', 'broken'), /ErrImageNeverPull/);
    await cluster.kubectl(['delete', 'pod', 'broken', '--wait=false']);
  });

  test('a Deployment with a native sidecar and NET_ADMIN answers at its Service name', async (t) => {
    const started = performance.now();
    const labels = { app: 'web' };
    const metadata = { name: 'web', namespace: 'default' };
    await cluster.apply([
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata,
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: meshed },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata,
        spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
      },
    ]);
    await cluster.waitForDeployment('default', 'web');
    t.diagnostic(`rolled out after ${(performance.now() - started).toFixed(0)} ms`);

    const rules = await cluster.kubectl(['logs', 'deploy/web', '-c', 'rules']);
    assert.match(rules, /^table inet probe\ntracecar \d/);
    assert.equal(await cluster.kubectl(['logs', 'deploy/web', '-c', 'app']), 'application up\n');

    const ask =
      "fetch('http://web.default.svc.cluster.local').then(r => r.text()).then(console.log)";
    const exec = ['exec', 'deploy/web', '-c', 'app', '--', 'node', '-e', ask];
    assert.equal(await cluster.kubectl(exec), 'application\n');

    const service = await cluster.get('/api/v1/namespaces/default/services/web');
    for (const address of [service!.spec!.clusterIP!, 'web.default.svc.cluster.local']) {
      const opened = await cluster.open(address, 80);
      const answer = await fetch(`http://127.0.0.1:${opened.port}`);
      assert.equal(await answer.text(), 'application');
      await opened.close();
    }
  });

  /** What `tracecar inject` makes of a pod with one application, with changes of a test's own. */
  async function injected(
    name: string,
    program: string,
    change: (init: Changed, sidecar: Changed) => void = () => {},
  ): Promise<{ metadata: { namespace: string } }> {
    const app = { name: 'app', image: imageReferences.sample, command: ['node', '-e', program] };
    const metadata = { name, namespace: 'default' };
    const spec = { containers: [app], terminationGracePeriodSeconds: 0 };
    const plain = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec });
    const command = join(import.meta.dirname, '../../src/cli/tracecar.ts');
    const flags = ['inject', '-f', '-', '--image', imageReferences.tracecar];
    const text = await runOrThrow([process.execPath, command, ...flags], { stdin: plain });
    const pod = JSON.parse(text);
    const [sidecar, init] = pod.spec.initContainers;
    assert.deepEqual([sidecar.name, init.name], ['tracecar-proxy', 'tracecar-init']);
    change(init, sidecar);
    return pod;
  }

  test('an application that dials in its first millisecond is taken by its sidecar', async () => {
    // Where nobody listens the sidecar still accepts: without it the connection would be refused.
    const dial = `const socket = require('net').connect(9, '${cluster.nodeAddress}');
      socket.on('connect', () => console.log('accepted'));
      socket.on('error', ({ code }) => console.log(code));
      setTimeout(() => {}, 3000);`;
    const slowly = ['/bin/sh', '-c', 'sleep 2; exec tracecar "$@"', 'tracecar'];
    const names = ['eager-1', 'eager-2'];
    const pods = names.map((name) =>
      injected(name, dial, (_init, sidecar) => {
        // The other one begins two seconds late: what holds the application back is no luck.
        if (name === 'eager-2') sidecar.command = slowly;
      }),
    );
    await cluster.apply(await Promise.all(pods));
    for (const name of names) {
      const pod = await cluster.waitForPod('default', name);
      const follow = ['logs', name, '-c', 'app', '--follow'];
      assert.match(await cluster.kubectl(follow), /^accepted\n/);
      assert.equal(restartsOf(pod), 0);
      await cluster.kubectl(['delete', 'pod', name, '--wait=false']);
    }
  });

  test('a sidecar that restarts in a living pod is ready again, and the application stays', async () => {
    await cluster.apply([await injected('kept', 'setInterval(() => {}, 1000)')]);
    await cluster.waitForPod('default', 'kept');
    const end = ['node', '-e', "process.kill(1, 'SIGTERM')"];
    await cluster.kubectl(['exec', 'kept', '-c', 'tracecar-proxy', '--', ...end]);
    const path = '/api/v1/namespaces/default/pods/kept';
    const pod = await cluster.waitFor(
      path,
      (each) => restartsOf(each) === 1 && hasCondition(each, 'Ready'),
    );
    assert.equal(containerOf(pod, 'app').restartCount, 0);
    await cluster.kubectl(['delete', 'pod', 'kept', '--wait=false']);
  });

  test('a sidecar that cannot start holds the application back, and the pod says why', async () => {
    const pod = await injected('held', "console.log('started')", (init, sidecar) => {
      init.args[init.args.indexOf('--await-proxy') + 1] = '1';
      sidecar.args.push('--log-level', 'nonsense');
    });
    await cluster.apply([pod]);
    const held = await cluster.waitFor('/api/v1/namespaces/default/pods/held', (each) => {
      return (
        endOf(each, 'tracecar-init') !== undefined && endOf(each, 'tracecar-proxy') !== undefined
      );
    });
    assert.match(
      endOf(held, 'tracecar-init')!,
      /sidecar was not ready within 1 s: .*tracecar-proxy/,
    );
    assert.match(endOf(held, 'tracecar-proxy')!, /--log-level .*nonsense/);
    assert.equal(containerOf(held, 'app').containerID, undefined);
    await cluster.kubectl(['delete', 'pod', 'held', '--wait=false']);
  });

  test('Jaeger takes OTLP from inside and gives the trace back', async () => {
    const jaeger = await startJaeger({ inNamespaceOf: cluster });
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const now = `${Date.now()}000000`;
    const span = (spanId: string, parentSpanId: string, kind: number) => ({
      ...{ traceId, spanId, parentSpanId, kind, name: 'GET /' },
      ...{ startTimeUnixNano: now, endTimeUnixNano: now },
    });
    const spans = [
      span('b7ad6b7169203331', '', 2),
      span('00f067aa0ba902b7', 'b7ad6b7169203331', 3),
    ];
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'probe' } }] };
    const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
    const send = `fetch('${jaeger.otlpUrl}/v1/traces', { method: 'POST', body: process.argv[1],
      headers: { 'content-type': 'application/json' } }).then((r) => console.log(r.status))`;
    const sent = await cluster.run([process.execPath, '-e', send, body]);
    assert.equal(sent.stdout, '200\n', sent.stderr);

    const trace = await jaeger.waitForTrace(traceId, (each) => each.spans.length === 2);
    const child = trace.spans.find((each) => each.kind === 3);
    assert.equal(child?.parentSpanId, 'b7ad6b7169203331');
    assert.equal(child?.service, 'probe');
    assert.deepEqual(await jaeger.services(), ['probe']);
    assert.equal((await jaeger.traces('probe', 10)).length, 1);
    await jaeger.close();
  });

  test('nothing is left of a cluster that was closed', async () => {
    await cluster.close();
    assert.deepEqual(remainsOf(cluster.folder), []);
  });

  test('what a killed run left behind is cleared by the next one', async () => {
    const module = JSON.stringify(join(import.meta.dirname, 'cluster/cluster.ts'));
    const program = `
      const { startCluster } = await import(${module});
      const cluster = await startCluster();
      process.stdout.write(cluster.folder);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
    const folder = await new Promise<string>((done, failed) => {
      child.stdout.once('data', (chunk: Buffer) => done(chunk.toString()));
      child.stderr.once('data', (chunk: Buffer) => failed(new Error(chunk.toString())));
    });
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await ended;
    assert.notDeepEqual(remainsOf(folder), []);
    for (const place of abandonedPlaces()) await clear(place);
    assert.deepEqual(remainsOf(folder), []);
  });
});

interface ContainerStatus {
  readonly name: string;
  readonly containerID?: string;
  readonly restartCount: number;
  readonly state?: { readonly terminated?: { readonly message?: string } };
  readonly lastState?: { readonly terminated?: { readonly message?: string } };
}

function containerOf(pod: KubernetesObject | undefined, name: string): ContainerStatus {
  const { initContainerStatuses = [], containerStatuses = [] } = (pod?.status ?? {}) as unknown as {
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
  const found = [...initContainerStatuses, ...containerStatuses].find((each) => each.name === name);
  return found ?? { name, restartCount: 0 };
}

function restartsOf(pod: KubernetesObject | undefined): number {
  return containerOf(pod, 'tracecar-proxy').restartCount;
}

/** What a container that has ended said last, as the pod's status tells it. */
function endOf(pod: KubernetesObject | undefined, name: string): string | undefined {
  const { state, lastState } = containerOf(pod, name);
  return (state?.terminated ?? lastState?.terminated)?.message;
}

/** Whatever on this machine still carries the cluster's names. */
function remainsOf(folder: string): string[] {
  const name = `tracecar-${basename(folder)}`;
  const processes = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .map((pid) => readIfThere(`/proc/${pid}/cmdline`).replaceAll('\0', ' '))
    .filter((line) => line.includes(`${folder}/`));
  const mounts = readIfThere('/proc/mounts')
    .split('\n')
    .filter((line) => line.includes(`${folder}/`) || line.includes(name));
  const files = [folder, `/var/run/netns/${name}`, `/sys/fs/cgroup/pids/${name}`];
  return [...processes, ...mounts, ...files.filter((path) => existsSync(path))];
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
