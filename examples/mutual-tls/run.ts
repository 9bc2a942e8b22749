/**
 * Mutual TLS, step by step: who reaches payments when nobody is shut out, when strangers are, and when
 * only named callers may do named things.
 *
 * An authority, three sidecars and one application that answers with whom its sidecar says has called.
 * Each step copies one file of `policies` beside `mesh`, as `kubectl apply` would. What is printed is what
 * the answers say.
 */

import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAuthority } from '../ab-rollout/driver/authority.ts';
import { Children } from '../ab-rollout/driver/children.ts';
import { tracecar } from '../ab-rollout/driver/command.ts';
import { exitOnSignal } from '../ab-rollout/driver/exit-on-signal.ts';

/** Of mesh/sidecars.yaml. */
const ports = { application: 24_201, payments: 24_200, orders: 24_210, reports: 24_220 };
const accounts = ['payments', 'orders', 'reports'] as const;
const here = import.meta.dirname;

interface Answer {
  readonly status: number;
  readonly cause: string;
  readonly body: string;
}

/** Says who its sidecar says the caller is. */
function startApplication(): Promise<Server> {
  const server = createServer(({ headers }, response) => {
    const uri = /URI=([^;,]+)/.exec(String(headers['x-forwarded-client-cert'] ?? ''))?.[1];
    response.end(uri === undefined ? 'the caller is nobody' : `the caller is ${uri}`);
  });
  return new Promise((settle, reject) => {
    const inUse = `port ${ports.application} is in use, perhaps by another run of this example`;
    server.on('error', () => reject(new Error(inUse)));
    server.listen(ports.application, '127.0.0.1', () => settle(server));
  });
}

/** Resolves with the address of its admin port when it is ready. */
async function startSidecar(
  children: Children,
  app: string,
  config: string,
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  const anyPorts = ['admin', 'health', 'metrics'].map((name) => `--${name}=127.0.0.1:0`);
  const { admin } = await children.start<{ admin: string }>({
    name: `sidecar of ${app}`,
    args: tracecar('proxy', '--config', config, '--labels', `app=${app}`, ...anyPorts),
    environment: { ...environment, OTEL_TRACES_EXPORTER: 'none', TRACECAR_DRAIN_SECONDS: '1' },
    isReady: (line) => (line.includes('"message":"ready"') ? JSON.parse(line) : undefined),
  });
  return admin;
}

function ask(port: number, method: string, path: string): Promise<Answer> {
  const headers = { host: 'payments.default.svc.cluster.local' };
  return new Promise((settle, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false });
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => {
        const cause = String(response.headers['x-tracecar-cause'] ?? '');
        settle({ status: response.statusCode ?? 0, cause, body: body.trim() });
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function show(caller: string, port: number, method: string, path: string): Promise<void> {
  const { status, cause, body } = await ask(port, method, path);
  const asked = `${caller.padEnd(9)}${method.padEnd(5)}${path}`;
  // What is in brackets is about this call; the sentence before it is in docs/causes.md.
  const said = cause === '' ? body : `${cause}: ${/\((.*)\)/.exec(body)?.[1] ?? body}`;
  console.log(`  ${asked.padEnd(34)} ${status}  ${said}`);
}

/** Each generation of the routing table is one change of the files. */
async function untilGeneration(admin: string, wanted: number): Promise<void> {
  for (;;) {
    const { generation } = (await (await fetch(`http://${admin}/config`)).json()) as {
      generation: number;
    };
    if (generation >= wanted) return;
    await new Promise((settle) => setTimeout(settle, 20));
  }
}

/** What the command prints; it ends with status 1 when there is somebody. */
function tellWhoWouldBreak(admin: string): Promise<string> {
  return new Promise((settle) => {
    execFile(process.execPath, tracecar('check', '--strict', admin), (_error, output, problem) =>
      settle(`${output}${problem}`.trimEnd()),
    );
  });
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

async function present(admin: string, apply: (policy: string) => void): Promise<void> {
  console.log('nothing is said: sidecars speak mutual TLS, others are served too\n');
  await show('orders', ports.orders, 'POST', '/pay');
  await show('stranger', ports.payments, 'POST', '/pay');

  console.log('\ntracecar check --strict: who would be refused\n');
  console.log(indented(await tellWhoWouldBreak(admin)));

  console.log('\npolicies/strict.yaml: nobody without mutual TLS\n');
  apply('strict.yaml');
  await untilGeneration(admin, 2);
  await show('orders', ports.orders, 'POST', '/pay');
  await show('reports', ports.reports, 'POST', '/pay');
  await show('stranger', ports.payments, 'POST', '/pay');

  console.log('\npolicies/payments-callers.yaml: orders may pay, reports may look\n');
  apply('payments-callers.yaml');
  await untilGeneration(admin, 3);
  await show('orders', ports.orders, 'POST', '/pay');
  await show('orders', ports.orders, 'GET', '/payments/7');
  await show('reports', ports.reports, 'GET', '/payments/7');
  await show('reports', ports.reports, 'POST', '/pay');
  await show('reports', ports.reports, 'GET', '/payments/%2e%2e/pay');
}

exitOnSignal();
const config = mkdtempSync(join(tmpdir(), 'tracecar-mutual-tls-'));
process.on('exit', () => rmSync(config, { recursive: true, force: true }));
const lost = Promise.withResolvers<never>();
lost.promise.catch(() => {});
const children = new Children((_name, lastWords) => lost.reject(new Error(lastWords)));
let application: Server | undefined;
try {
  cpSync(join(here, 'mesh'), config, { recursive: true });
  application = await startApplication();
  const authority = await startAuthority(children, accounts);
  const [admin] = await Promise.all(
    accounts.map((app) => startSidecar(children, app, config, authority.variablesFor(app))),
  );
  const apply = (policy: string) =>
    copyFileSync(join(here, 'policies', policy), join(config, policy));
  await Promise.race([present(admin!, apply), lost.promise]);
} catch (error) {
  console.error(`mutual-tls: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  application?.close();
  await children.endAll(8_000);
}
