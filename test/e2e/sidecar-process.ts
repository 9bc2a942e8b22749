/**
 * For tests of whole programs: a folder of YAML on free ports, an application, sidecar processes.
 *
 * Everything is waited for by what it says or by its end; what a test opens ends with the test.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, type RequestListener, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

export const tracecar = resolve(import.meta.dirname, '../../src/cli/tracecar.ts');

/** A folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A Sidecar that takes requests on `inbound` for an application on `application`. */
export function sidecarYaml(inbound: number, application: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: app
  namespace: default
spec:
  workloadSelector:
    labels:
      app: app
  ingress:
    - port:
        number: ${inbound}
        protocol: HTTP
        name: http
      bind: 127.0.0.1
      captureMode: NONE
      defaultEndpoint: 127.0.0.1:${application}
`;
}

/** A service of the namespace `default`, with its endpoints on this machine; the last of them may go on. */
export function serviceEntryYaml(name: string, ports: readonly number[]): string {
  const endpoints = ports.map(
    (port) => `    - address: 127.0.0.1
      ports:
        http: ${port}
`,
  );
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: ${name}
  namespace: default
spec:
  hosts:
    - ${name}.default.svc.cluster.local
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - number: 9080
      name: http
      protocol: HTTP
  endpoints:
${endpoints.join('')}`;
}

/** An application of the test's own. */
export async function application(t: TestContext, answer: RequestListener): Promise<number> {
  const server: Server = createServer(answer);
  t.after(() => {
    server.closeAllConnections();
    return new Promise((settle) => server.close(settle));
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return (server.address() as AddressInfo).port;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/**
 * Nobody measures here, so nothing is warmed: it is most of what a start costs. Cold starts in pods and
 * the demo have it as users do.
 */
const environmentOfAll = { OTEL_TRACES_EXPORTER: 'none', TRACECAR_WARM_UP_MS: '0' };

/** A running `tracecar proxy` with everything that it has said. */
export class SidecarProcess {
  readonly child: ChildProcess;
  /** What it said on stderr: its log. */
  readonly lines: string[] = [];
  /** What it said on stdout: the access log, if any. */
  readonly output: string[] = [];
  readonly ended: Promise<{ status: number | null; signal: string | null }>;
  #waiting: (() => void)[] = [];

  constructor(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    entry = tracecar,
  ) {
    this.child = spawn(process.execPath, [entry, 'proxy', ...args], {
      env: { ...process.env, ...environmentOfAll, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.output.push(line));
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.lines.push(line);
      this.#wake();
    });
    this.ended = new Promise((settle) => {
      this.child.on('close', (status, signal) => {
        settle({ status, signal });
        this.#wake();
      });
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call();
  }

  /** Waits until `isSo` holds, looked at after each line; rejects when the process ends first. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`it ended first:\n${this.lines.join('\n')}`);
      }
      await new Promise<void>((settle) => this.#waiting.push(settle));
    }
  }

  /** The first log line that matches. */
  async logged(pattern: RegExp): Promise<LogLine> {
    await this.until(() => this.lines.some((line) => pattern.test(line)));
    return JSON.parse(this.lines.find((line) => pattern.test(line))!) as LogLine;
  }
}

/** Ports beside traffic that no other test has. */
export const anyPorts = ['--admin=127.0.0.1:0', '--health=127.0.0.1:0', '--metrics=127.0.0.1:0'];

export interface RunningSidecar extends SidecarProcess {
  readonly admin: string;
  readonly health: string;
  readonly metrics: string;
}

/** Starts a sidecar for the labels `app=app` and waits for its start; `entry` may be a bundle. */
export async function startSidecar(
  t: TestContext,
  config: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
  entry = tracecar,
  started = /"message":"ready"/,
): Promise<RunningSidecar> {
  const sidecar = new SidecarProcess(
    ['--config', config, '--labels=app=app', ...anyPorts, ...args],
    environment,
    entry,
  );
  t.after(async () => {
    sidecar.child.kill('SIGKILL');
    await sidecar.ended;
  });
  const { admin, health, metrics } = await sidecar.logged(started);
  return Object.assign(sidecar, { admin, health, metrics }) as RunningSidecar;
}

/** Runs a sidecar that is expected not to start. */
export async function failToStart(...args: readonly string[]) {
  const sidecar = new SidecarProcess(args);
  const { status } = await sidecar.ended;
  return { status, lines: sidecar.lines };
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly connection: string;
}

/** One GET; rejects when it is not answered whole. */
export function get(address: string, path: string, agent?: Agent): Promise<Answer> {
  return new Promise((settle, reject) => {
    const sent = request(`http://${address}${path}`, { agent: agent ?? false });
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const { connection = '' } = response.headers;
        settle({ status: response.statusCode ?? 0, body, connection });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Asks `path` until `isRight` holds for its JSON; the test's timeout bounds it. */
export async function getUntil<Shape>(
  address: string,
  path: string,
  isRight: (body: Shape) => boolean,
): Promise<Shape> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (;;) {
      const body = JSON.parse((await get(address, path, agent)).body) as Shape;
      if (isRight(body)) return body;
    }
  } finally {
    agent.destroy();
  }
}

/** Writes a file of the configuration folder. */
export function writeConfig(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}
