/**
 * A real sidecar process as users run it, a backend, a collector, and a closed loop of requests.
 *
 * Everything is on that a default outbound sidecar has: a rule with a weighted split, metrics, a
 * record and a traceparent for each request, 1 % of the spans exported. What the process did for the
 * requests is asked of work-probe.ts inside it, or of strace. All of it ends with the test.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type { Answers, Question } from './work-probe.ts';

const root = resolve(import.meta.dirname, '../..');
const host = 'backend.test.svc.cluster.local';
const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: test\r\nContent-Length: 100\r\n\r\n' +
    '0123456789'.repeat(10),
  'latin1',
);
const request = Buffer.from(
  `GET /reviews/17 HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: tracecar-test\r\nAccept: */*\r\n\r\n`,
  'latin1',
);

/** By name. */
export type SystemCalls = ReadonlyMap<string, number>;

export class MeasuredSidecar {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #connections: Connection[] = [];
  readonly #port: number;

  private constructor(child: ChildProcess, folder: string, port: number) {
    this.#child = child;
    this.#folder = folder;
    this.#port = port;
  }

  /** Starts all of it; the sidecar has answered nothing yet. */
  static async start(t: TestContext): Promise<MeasuredSidecar> {
    const folder = mkdtempSync(join(tmpdir(), 'tracecar-work-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const backends = await Promise.all([
      listen(t, createServer(serve)),
      listen(t, createServer(serve)),
    ]);
    const collector = await listen(
      t,
      createHttpServer((asked, reply) => {
        asked
          .resume()
          .on('end', () => reply.setHeader('content-type', 'application/json').end('{}'));
      }),
    );
    const port = await freePort();
    // A folder of its own: the sidecar watches it and the one above.
    const config = join(folder, 'mesh', 'config');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'mesh.yaml'), configuration(port, backends));
    const program = [join(root, 'src/cli/tracecar.ts'), 'proxy', '--config', config];
    const ports = ['--admin', '127.0.0.1:0', '--health', '127.0.0.1:0', '--metrics', '127.0.0.1:0'];
    const child = spawn(
      process.execPath,
      [
        ...[
          '--disable-warning=ExperimentalWarning',
          '--import',
          join(import.meta.dirname, 'work-probe.ts'),
        ],
        ...[...program, '--namespace', 'test', '--access-log', 'off', ...ports],
      ],
      {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        env: {
          // Nothing inherited may switch off what is to be counted.
          ...Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^OTEL_/.test(key))),
          OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector}`,
        },
      },
    );
    const ended = once(child, 'close');
    t.after(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const sidecar = new MeasuredSidecar(child, folder, port);
    t.after(() => sidecar.#disconnect());
    await sidecar.#untilReady();
    return sidecar;
  }

  /** Sends `count` requests over `connections` kept connections, each after its last answer. */
  async load(count: number, connections: number): Promise<void> {
    while (this.#connections.length < connections) {
      this.#connections.push(await Connection.open(this.#port));
    }
    const shared = { left: count };
    const using = this.#connections.slice(0, connections);
    await Promise.all(using.map((connection) => connection.run(shared)));
  }

  /** What the probe inside the sidecar says. */
  async ask<Asked extends Question>(question: Asked): Promise<Answers[Asked]> {
    const answered = once(this.#child, 'message');
    this.#child.send(question);
    const [message] = (await answered) as [{ readonly answer: Answers[Asked] }];
    return message.answer;
  }

  /**
   * The hot thread's system calls while `work` is done, by strace; or why they cannot be had here.
   * Left out are waits that bring nothing: before it sleeps libuv looks once, to know idle time from
   * work, and how often it looks in vain is a matter of the peers' speed.
   */
  async systemCalls(work: () => Promise<void>): Promise<SystemCalls | string> {
    const file = join(this.#folder, 'calls.txt');
    const strace = spawn('strace', ['-o', file, '-p', String(this.#child.pid)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = new Promise<string>((settle) => {
      strace.on('error', () => settle('strace is not installed: apt-get install -y strace'));
      strace.on('close', () =>
        settle('strace may not attach here: run as root, or set kernel.yama.ptrace_scope to 0'),
      );
    });
    const attached = new Promise<void>((settle) => {
      createInterface({ input: strace.stderr }).on('line', (line) => {
        if (line.includes('attached')) settle();
      });
    });
    const problem = await Promise.race([ended, attached]);
    if (problem !== undefined) return problem;
    await work();
    strace.kill('SIGINT');
    await ended;
    return countCalls(readFileSync(file, 'latin1'));
  }

  async #untilReady(): Promise<void> {
    const lines: string[] = [];
    for await (const line of createInterface({ input: this.#child.stderr! })) {
      lines.push(line);
      if (!line.includes('"message":"ready"')) continue;
      this.#child.stderr!.resume();
      return;
    }
    throw new Error(`the sidecar ended:\n${lines.join('\n')}`);
  }

  #disconnect(): void {
    for (const connection of this.#connections) connection.socket.destroy();
  }
}

/** One kept connection; an answer is over when as many bytes have come as the backend sends. */
class Connection {
  readonly socket: Socket;
  #received = 0;
  #shared = { left: 0 };
  #settle: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  run(shared: { left: number }): Promise<void> {
    this.#shared = shared;
    return new Promise((settle, reject) => {
      this.#settle = settle;
      this.socket.once('close', () => reject(new Error('the sidecar closed a connection')));
      this.#next();
    });
  }

  #next(): void {
    if (this.#shared.left <= 0) {
      this.socket.removeAllListeners('close');
      this.#settle?.();
      return;
    }
    this.#shared.left--;
    this.#received = 0;
    this.socket.write(request);
  }

  #take(chunk: Buffer): void {
    if (this.#received === 0) assert.match(chunk.toString('latin1', 0, 15), /^HTTP\/1\.1 200 OK/);
    this.#received += chunk.length;
    if (this.#received >= answer.length) this.#next();
  }
}

/** The backend: an answer for every head, of which none has a body. */
function serve(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes('\r\n\r\n')) socket.write(answer);
  });
  socket.on('error', () => socket.destroy());
}

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((settle) => server.close(settle));
  return port;
}

/** `name(arguments) = result`, one a line. */
function countCalls(trace: string): SystemCalls {
  const calls = new Map<string, number>();
  for (const line of trace.split('\n')) {
    const [, name, result] = /^(\w+)\(.*\) += (\S+)/.exec(line) ?? [];
    if (name === undefined || (name.startsWith('epoll_') && result === '0')) continue;
    calls.set(name, (calls.get(name) ?? 0) + 1);
  }
  return calls;
}

function configuration(port: number, backends: readonly number[]): string {
  const endpoints = backends.map(
    (backend, index) =>
      `  - {address: 127.0.0.1, ports: {http: ${backend}}, labels: {version: v${index + 1}}}\n`,
  );
  return `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: test, namespace: test}
spec:
  egress:
  - port: {number: ${port}, protocol: HTTP, name: http}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./${host}"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: test}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  endpoints:
${endpoints.join('')}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: test}
spec:
  host: ${host}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: backend, namespace: test}
spec:
  hosts: [${host}]
  http:
  - name: reviews
    match:
    - uri: {prefix: /reviews}
    timeout: 15s
    route:
    - destination: {host: ${host}, subset: v1}
      weight: 60
    - destination: {host: ${host}, subset: v2}
      weight: 40
`;
}
