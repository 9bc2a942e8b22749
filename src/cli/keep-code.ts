/**
 * `node dist/keep-code.cjs`: runs the sidecar once, warm-up included, and keeps the code that V8 made
 * of it in `dist/code/`, from where every later start takes it (load-bundle.ts).
 *
 * `npm run build` runs it, and the Dockerfile does once more with the Node.js of the image. It is a
 * convenience: whatever goes wrong is one line and status 0, for a sidecar starts without its code.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { keepCode, runBundle } from './load-bundle.ts';

const patienceMs = 20_000;
const pauseMs = 20;

/** One of each resource: what they go through is compiled. */
const mesh = (port: number) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: code, namespace: code}
spec:
  egress:
  - port: {number: ${port}, protocol: HTTP, name: http-outbound}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./*"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: service, namespace: code}
spec:
  hosts: [service.code.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  endpoints:
  - {address: 127.0.0.1, ports: {http: 9}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {http: 9}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: service, namespace: code}
spec:
  host: service.code.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: service, namespace: code}
spec:
  hosts: [service.code.svc.cluster.local]
  http:
  - name: first
    match:
    - uri: {prefix: /first}
      headers: {end-user: {exact: jason}}
    timeout: 15s
    route:
    - {destination: {host: service.code.svc.cluster.local, subset: v1}, weight: 60}
    - {destination: {host: service.code.svc.cluster.local, subset: v2}, weight: 40}
  - route:
    - {destination: {host: service, subset: v1}}
`;

async function runKeepCode(): Promise<string> {
  const folder = dirname(fileURLToPath(import.meta.url));
  const scratch = mkdtempSync(join(tmpdir(), 'tracecar-code-'));
  try {
    const [port, health] = [await freePort(), await freePort()];
    writeFileSync(join(scratch, 'mesh.yaml'), mesh(port));
    // Spans would go nowhere; that they are made is what counts.
    process.env.OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:9';
    const { exports, script } = runBundle(require, folder, 'proxy');
    const { runProxy } = exports as { runProxy(args: readonly string[]): Promise<number> };
    const ended = runProxy([
      ...['--config', scratch, '--namespace', 'code', '--log-level', 'error'],
      ...['--admin', '127.0.0.1:0', '--metrics', '127.0.0.1:0', '--health', `127.0.0.1:${health}`],
    ]);
    await Promise.race([ready(health), ended]);
    keepCode(folder, 'proxy', script);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function ready(port: number): Promise<void> {
  const giveUpAt = systemClock.now() + patienceMs;
  while (systemClock.now() < giveUpAt) {
    if ((await ask(port)).startsWith('HTTP/1.1 200 ')) return;
    await new Promise<void>((resolve) => systemWakeUps.after(pauseMs, resolve));
  }
  throw new Error(`the sidecar was not ready within ${patienceMs / 1000} s`);
}

function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ port, host: '127.0.0.1' });
    socket.end('GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

runKeepCode().then((problem) => {
  if (problem !== '') process.stderr.write(`the sidecar's code was not kept: ${problem}\n`);
  process.exit(0);
});
