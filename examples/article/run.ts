/**
 * The article's example, run: two versions of `test-svc`, one sidecar, a thousand requests.
 *
 * The versions answer with their name and nothing else; the sidecar is `tracecar proxy` with the
 * resources of `as-corrected`. What is printed is counted from the answers.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { Agent, createServer, request, type Server } from 'node:http';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { exitOnSignal } from '../ab-rollout/driver/exit-on-signal.ts';

const REQUESTS = 1_000;
const CONNECTIONS = 8;
/** Of as-corrected/sidecar.yaml and services.yaml. */
const SIDECAR_PORT = 24_100;
const versions = [
  { name: 'v1', port: 24_101, weight: 60 },
  { name: 'v2', port: 24_102, weight: 40 },
];
const tracecar = resolve(import.meta.dirname, '../../src/cli/tracecar.ts');
const anyPorts = ['admin', 'health', 'metrics'].map((name) => `--${name}=127.0.0.1:0`);

function startVersion(name: string, port: number): Promise<Server> {
  const server = createServer((_incoming, response) => response.end(name));
  return new Promise((settle, reject) => {
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => settle(server));
  });
}

/** Resolves when the sidecar says that it is ready; rejects with its last line when it ends first. */
function startSidecar(): Promise<ChildProcess> {
  const config = join(import.meta.dirname, 'as-corrected');
  const args = [tracecar, 'proxy', '--config', config, '--labels', 'app=caller', ...anyPorts];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // Whoever ends this early ends it too, or its port stays taken.
  process.on('exit', () => child.kill('SIGTERM'));
  return new Promise((settle, reject) => {
    let last = 'it ended without a word';
    createInterface({ input: child.stderr }).on('line', (line) => {
      last = line;
      if (line.includes('"message":"ready"')) settle(child);
    });
    child.on('close', () => reject(new Error(last)));
  });
}

/** The body of one GET for `test-svc`, through the sidecar. */
function ask(agent: Agent): Promise<string> {
  return new Promise((settle, reject) => {
    const options = { port: SIDECAR_PORT, host: '127.0.0.1', headers: { host: 'test-svc' }, agent };
    const sent = request(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => settle(body));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function countAnswers(): Promise<ReadonlyMap<string, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const counts = new Map<string, number>();
  const answers = await Promise.all(Array.from({ length: REQUESTS }, () => ask(agent)));
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  agent.destroy();
  return counts;
}

exitOnSignal();
const servers: Server[] = [];
let sidecar: ChildProcess | undefined;
try {
  for (const { name, port } of versions) servers.push(await startVersion(name, port));
  sidecar = await startSidecar();
  const counts = await countAnswers();
  console.log(`${REQUESTS} requests to test-svc through one sidecar`);
  for (const { name, weight } of versions) {
    const count = counts.get(name) ?? 0;
    const share = ((100 * count) / REQUESTS).toFixed(1);
    console.log(`  ${name}  ${count} answers  ${share} %  (weight ${weight})`);
  }
  const others = [...counts.keys()].filter((body) => !versions.some(({ name }) => name === body));
  if (others.length > 0) console.log(`  and ${others.length} other answers: ${others[0]}`);
  process.exitCode = others.length > 0 ? 1 : 0;
} catch (error) {
  console.error(`article: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  sidecar?.kill('SIGTERM');
  for (const server of servers) server.close();
}
