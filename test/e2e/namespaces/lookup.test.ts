/**
 * Outbound lookup on a real kernel: Kubernetes' own documents as the configuration, virtual addresses
 * that no machine has, pods called by address, and calls to the own Service, in both families.
 */

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { helloMessage, inRecords, serverName } from '../../support/client-hello.ts';
import { mesh } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const applications = join(import.meta.dirname, 'applications.cjs');
const skip = skipWithout(import.meta.filename, whyNoPods());

let network: PodNetwork | undefined;
let web: Pod;
let one: Pod;
let two: Pod;
const sidecars = new Map<Pod, PodProcess>();
const configFolder = mkdtempSync(join(tmpdir(), 'tracecar-lookup-'));

/** Nobody has these addresses: whoever reaches them was led by a sidecar. */
const virtual = {
  reviews: { v4: '10.98.0.1', v6: 'fd98::1' },
  db: { v4: '10.98.0.2', v6: 'fd98::2' },
  web: { v4: '10.98.0.3', v6: 'fd98::3' },
  secure: { v4: '10.98.0.4', v6: 'fd98::4' },
};
const families = ['v4', 'v6'] as const;

interface KubeService {
  readonly name: string;
  readonly port: number;
  readonly portName: string;
  readonly target: number;
  readonly pods: readonly Pod[];
  /** Empty: headless. */
  readonly addresses: readonly string[];
}

/** A Service with a slice for each family. */
function documents({ name, port, portName, target, pods, addresses }: KubeService): string {
  const quoted = addresses.map((each) => JSON.stringify(each)).join(', ');
  const clusterIps = addresses.length === 0 ? 'clusterIP: None' : `clusterIPs: [${quoted}]`;
  const service = `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {${clusterIps}, ports: [{name: ${portName}, port: ${port}, targetPort: ${target}}]}
`;
  const slices = families.map((family) => {
    const endpoints = pods.map(
      (pod) =>
        `  - {addresses: ["${pod[family]}"], targetRef: {kind: Pod, name: ${podName(pod)}}}\n`,
    );
    return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-${family}, labels: {kubernetes.io/service-name: ${name}}}
addressType: IP${family}
ports: [{name: ${portName}, port: ${target}}]
endpoints:\n${endpoints.join('')}`;
  });
  return [service, ...slices].join('---\n');
}

function podName(pod: Pod): string {
  if (pod === web) return 'web';
  return pod === one ? 'one' : 'two';
}

const podDocument = (pod: Pod) => `apiVersion: v1
kind: Pod
metadata: {name: ${podName(pod)}, labels: {version: ${podName(pod)}}}
status: {phase: Running, podIP: ${pod.v4}}
`;

const subsetsOf = (host: string) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host}}
spec:
  host: ${host}
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets: [{name: one, labels: {version: one}}, {name: two, labels: {version: two}}]
---
`;

const rules = `${subsetsOf('db')}${subsetsOf('secure')}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec:
  hosts: [db]
  tcp:
    - route:
        - {destination: {host: db, subset: one}, weight: 75}
        - {destination: {host: db, subset: two}, weight: 25}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure}
spec:
  hosts: [secure, "*.example.com"]
  tls:
    - match: [{sniHosts: [a.example.com]}]
      route: [{destination: {host: secure, subset: one}}]
    - match: [{sniHosts: ["*.example.com"]}]
      route: [{destination: {host: secure, subset: two}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: strict}
spec:
  workloadSelector: {labels: {app: two}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
`;

before(async () => {
  if (skip !== false) return;
  network = makePods(3);
  [web, one, two] = network.pods as [Pod, Pod, Pod];
  const http = { port: 80, portName: 'http', target: 8080 };
  const services: readonly KubeService[] = [
    { ...http, name: 'reviews', pods: [one, two], addresses: Object.values(virtual.reviews) },
    { ...http, name: 'web', pods: [web], addresses: Object.values(virtual.web) },
    { ...http, name: 'ring', port: 8080, pods: [one, two], addresses: [] },
    {
      ...{ name: 'db', port: 5432, portName: 'tcp', target: 3306 },
      ...{ pods: [one, two], addresses: Object.values(virtual.db) },
    },
    {
      ...{ name: 'secure', port: 6443, portName: 'tls', target: 6000 },
      ...{ pods: [one, two], addresses: Object.values(virtual.secure) },
    },
    {
      ...{ name: 'own-echo', port: 6001, portName: 'tcp', target: 6000 },
      ...{ pods: [web], addresses: Object.values(virtual.web) },
    },
  ];
  const all = [...services.map(documents), ...[web, one, two].map(podDocument), rules];
  writeFileSync(join(configFolder, 'all.yaml'), all.join('---\n'));
  chmodSync(configFolder, 0o755);
  await Promise.all(
    [web, one, two].map(async (pod) => {
      const application = [process.execPath, applications, podName(pod)];
      await pod.start(users.app, application).says(/open/);
      sidecars.set(pod, await mesh(pod, podName(pod), [`--config=${configFolder}`]));
    }),
  );
});

after(async () => {
  await network?.close();
  rmSync(configFolder, { recursive: true, force: true });
});

async function recorded(pod: Pod, pattern: RegExp): Promise<Record<string, unknown>> {
  return JSON.parse(await sidecars.get(pod)!.says(pattern)) as Record<string, unknown>;
}

test('a virtual address that nobody has leads to the pods of its slices, by any authority', {
  skip,
}, async () => {
  for (const family of families) {
    const address = virtual.reviews[family];
    const path = `/virtual-${family}`;
    assert.match(
      web.get(users.app, address, 80, path, 'Host: anything.example\r\n'),
      /^(one|two) /m,
    );
    const record = await recorded(web, new RegExp(`"${path}"`));
    assert.equal(record.route, 'default/reviews');
    const shown = family === 'v4' ? address : `[${address}]`;
    assert.equal(record.original_destination, `${shown}:80`);
  }
});

test('a pod of a headless service that is called by address is that pod', { skip }, async () => {
  for (const [pod, name] of [
    [one, 'one'],
    [two, 'two'],
  ] as const) {
    for (const family of families) {
      const path = `/ring-${name}-${family}`;
      const host = `Host: ring-1.ring.default.svc.cluster.local\r\n`;
      const answer = web.get(users.app, pod[family], 8080, path, host);
      assert.match(answer, new RegExp(`^${name} `, 'm'));
      const record = await recorded(web, new RegExp(`"${path}"`));
      const shown = family === 'v4' ? pod.v4 : `[${pod.v6}]`;
      assert.equal(record.original_destination, `${shown}:8080`);
    }
  }
});

test('connections to a database that speaks first are shared by weight, exactly', { skip }, () => {
  for (const family of families) {
    const greetings: string[] = [];
    for (let times = 0; times < 4; times += 1) {
      greetings.push(web.dial(users.app, virtual.db[family], 5432, 'x').split(' ')[0]!);
    }
    assert.deepEqual(greetings.toSorted(), ['one', 'one', 'one', 'two']);
  }
});

test('a pod of the database that is called by address is that pod, whatever the weights', {
  skip,
}, () => {
  for (const family of families) {
    for (const [pod, name] of [
      [one, 'one'],
      [two, 'two'],
    ] as const) {
      for (let times = 0; times < 2; times += 1) {
        assert.match(web.dial(users.app, pod[family], 3306, 'x'), new RegExp(`^${name} greets`));
      }
    }
  }
});

test('HTTP/2 without TLS to a virtual address that is declared HTTP reaches its pods', {
  skip,
}, async () => {
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  for (const family of families) {
    const address = virtual.reviews[family];
    // The application speaks HTTP/1.1 alone, and says so.
    assert.match(web.dial(users.app, address, 80, preface), /^HTTP\/1\.1 400 /);
    const record = await recorded(web, new RegExp(`"protocol":"http2".*${address}\\]?:80"`));
    assert.equal(record.route, 'default/reviews');
    assert.equal(record.cause, undefined);
  }
});

/** Sends a ClientHello in three packets to whoever echoes it, and prints what came back. */
const sayHello = `
const [port, host, text] = process.argv.slice(1);
const hello = Buffer.from(text, 'base64');
const third = Math.ceil(hello.length / 3);
const socket = require('node:net').connect({ host, port, noDelay: true });
let sent = 0;
const send = () => {
  if (sent >= hello.length) return;
  socket.write(hello.subarray(sent, sent + third), () => setTimeout(send, 20));
  sent += third;
};
socket.on('connect', send);
let seen = Buffer.alloc(0);
socket.on('data', (chunk) => {
  seen = Buffer.concat([seen, chunk]);
  if (seen.length < hello.length) return;
  process.stdout.write(seen.toString('base64'), () => process.exit());
});
`;

test('TLS that is not ended goes where its name leads, byte for byte', { skip }, async () => {
  const cases = [
    ['a.example.com', 'one'],
    ['b.example.com', 'two'],
  ] as const;
  for (const family of families) {
    for (const [name, subset] of cases) {
      const hello = inRecords(helloMessage(serverName(name))).toString('base64');
      const args = ['-e', sayHello, '6443', virtual.secure[family], hello];
      const { output, errors } = web.run(users.app, [process.execPath, ...args]);
      assert.equal(output, hello, errors);
      const record = await recorded(web, new RegExp(`"sni":"${name}"`));
      assert.equal(record.subset, subset);
      assert.equal(record.route, 'default/secure');
    }
  }
});

test('a call to the own Service has a record of each half, in one trace', { skip }, async () => {
  for (const family of families) {
    const path = `/self-${family}`;
    assert.match(web.get(users.app, virtual.web[family], 80, path), /^web /m);
    const out = await recorded(web, new RegExp(`outbound.*"${path}"|"${path}".*outbound`));
    const back = await recorded(web, new RegExp(`inbound.*"${path}"|"${path}".*inbound`));
    assert.equal(back.trace_id, out.trace_id);
  }
});

test('bytes and WebSockets to the own Service pass by both halves too', { skip }, async () => {
  for (const family of families) {
    const address = virtual.web[family];
    const fields = 'Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    const head = `GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\n${fields}\r\n`;
    const script =
      'exec 3<>"/dev/tcp/$0/$1"; printf %b "$2" >&3; ' +
      'while read -r line <&3 && [ "$line" != $\'\\r\' ]; do :; done; ' +
      'printf "hello\\n" >&3; read -r line <&3; echo "$line"';
    const escaped = head.replaceAll('\r\n', '\\r\\n');
    const { output, errors } = web.run(users.app, ['bash', '-c', script, address, '80', escaped]);
    assert.equal(output, 'hello\n', errors);
    const echoed = web.run(users.app, [
      ...[
        'bash',
        '-c',
        'exec 3<>"/dev/tcp/$0/$1"; printf "abc\\n" >&3; read -r line <&3; echo "$line"',
      ],
      ...[address, '6001'],
    ]);
    assert.equal(echoed.output, 'abc\n', echoed.errors);
  }
  for (const protocol of ['websocket', 'other']) {
    for (const direction of ['inbound', 'outbound']) {
      const line = new RegExp(`"direction":"${direction}","protocol":"${protocol}"`);
      assert.equal((await recorded(web, line)).direction, direction);
    }
  }
});

test('what REGISTRY_ONLY does not know is refused with what allows it', { skip }, async () => {
  for (const family of families) {
    const answer = two.get(users.app, web[family], 9999, '/x', 'Host: api.example.com\r\n');
    assert.match(answer, /^HTTP\/1\.1 502 /);
    assert.match(answer, /^x-tracecar-cause: egress-denied/m);
    assert.match(answer, /kind: ServiceEntry.*hosts: \[api\.example\.com\]/);
    assert.match(two.get(users.app, virtual.web[family], 80, '/known'), /^web /m);
  }
});

test('each destination that REGISTRY_ONLY refuses is named in the log', { skip }, async () => {
  const sidecar = sidecars.get(two)!;
  for (const family of families) {
    for (const port of [9998, 9999]) {
      two.dial(users.app, web[family], port, '\u0001\n');
      await sidecar.says(
        new RegExp(`outbound: .*${web[family]}\\]?:${port} is not known here.*number: ${port}`),
      );
    }
  }
});
