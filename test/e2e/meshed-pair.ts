/**
 * For tests of mutual TLS with whole programs: `tracecar ca`, and orders that calls payments, each with a
 * sidecar process. The resources are those of examples/mutual-tls on free ports.
 *
 *   caller ──► sidecar of orders ══ mutual TLS ══► sidecar of payments ──► an application of the test
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { readReports, type SidecarReport } from '../../src/identity/sidecar-reports.ts';
import {
  anyPorts,
  type RunningSidecar,
  SidecarProcess,
  temporaryFolder,
  tracecar,
} from './sidecar-process.ts';

const run = promisify(execFile);
const resources = resolve(import.meta.dirname, '../../examples/mutual-tls/mesh');

/** `tracecar ca` with a state of its own; it may be stopped and started again where it was. */
export class AuthorityProcess {
  readonly folder: string;
  readonly port: number;
  readonly #t: TestContext;
  readonly #leafSeconds: number;
  #child: ChildProcess | undefined;

  private constructor(t: TestContext, folder: string, port: number, leafSeconds: number) {
    this.folder = folder;
    this.port = port;
    this.#t = t;
    this.#leafSeconds = leafSeconds;
  }

  static async start(t: TestContext, leafSeconds: number): Promise<AuthorityProcess> {
    const folder = join(temporaryFolder(t), 'state');
    const [port] = await freePorts(1);
    const authority = new AuthorityProcess(t, folder, port!, leafSeconds);
    await authority.start();
    return authority;
  }

  /** Its roots, which it keeps up to date. */
  get bundleFile(): string {
    return join(this.folder, 'bundle.pem');
  }

  async start(): Promise<void> {
    const at = ['--listen', `127.0.0.1:${this.port}`, '--metrics', '127.0.0.1:0'];
    const flags = ['--state', this.folder, '--leaf-seconds', `${this.#leafSeconds}`];
    const child = spawn(process.execPath, [tracecar, 'ca', ...flags, ...at], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#t.after(() => child.kill('SIGKILL'));
    await new Promise<void>((settle, reject) => {
      const lines: string[] = [];
      createInterface({ input: child.stderr }).on('line', (line) => {
        lines.push(line);
        if (line.includes('"message":"serving"')) settle();
      });
      child.on('close', () => reject(new Error(lines.join('\n'))));
    });
  }

  async stop(): Promise<void> {
    const ended = once(this.#child!, 'close');
    this.#child!.kill('SIGTERM');
    await ended;
  }

  /** A file with a token for the service account. */
  async token(account: string): Promise<string> {
    const { stdout } = await this.#do('token', '--service-account', account);
    const path = join(this.folder, `${account}.token`);
    writeFileSync(path, stdout);
    return path;
  }

  /** Begins the next phase; false: it may not begin yet. */
  async rotate(): Promise<boolean> {
    try {
      await this.#do('rotate');
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code === 1) return false;
      throw error;
    }
  }

  /** What sidecars have said, as it is written down, within a second. */
  reports(): readonly SidecarReport[] {
    const path = join(this.folder, 'sidecars.json');
    return existsSync(path) ? readReports(readFileSync(path, 'utf8'))!.sidecars : [];
  }

  #do(action: string, ...flags: readonly string[]) {
    return run(process.execPath, [tracecar, 'ca', action, '--state', this.folder, ...flags]);
  }
}

/** A folder with the resources of the example on ports of the test's own. */
export async function copyMesh(t: TestContext, application: number) {
  const [payments, orders, reports] = (await freePorts(3)) as [number, number, number];
  const at: Readonly<Record<string, number>> = {
    ...{ 24200: payments, 24201: application, 24210: orders, 24220: reports },
  };
  const folder = temporaryFolder(t);
  for (const name of readdirSync(resources)) {
    const text = readFileSync(join(resources, name), 'utf8');
    writeFileSync(
      join(folder, name),
      text.replace(/\b242\d\d\b/g, (port) => `${at[port]}`),
    );
  }
  return { folder, payments, orders };
}

export interface SidecarPlan {
  readonly config: string;
  readonly authority: AuthorityProcess;
  readonly tokenFile: string;
  /** The authority's own when absent. */
  readonly bundleFile?: string;
  /** Where it keeps its identity; nowhere when absent. */
  readonly folder?: string;
}

/** A sidecar that has been started and has said no word yet. */
export function spawnSidecar(t: TestContext, account: string, plan: SidecarPlan): SidecarProcess {
  const { authority, bundleFile = authority.bundleFile, config, folder, tokenFile } = plan;
  const sidecar = new SidecarProcess([
    ...['--config', config, '--labels', `app=${account}`, ...anyPorts],
    ...['--identity', `127.0.0.1:${authority.port}`, '--token', tokenFile],
    ...['--trust-bundle', bundleFile, '--service-account', account, '--drain-seconds', '0'],
    ...(folder === undefined ? [] : ['--identity-dir', folder]),
  ]);
  t.after(async () => {
    sidecar.child.kill('SIGKILL');
    await sidecar.ended;
  });
  return sidecar;
}

/** A sidecar that is ready. */
export async function startSidecarOf(
  t: TestContext,
  account: string,
  plan: SidecarPlan,
): Promise<RunningSidecar> {
  const sidecar = spawnSidecar(t, account, plan);
  const { admin, health, metrics } = await sidecar.logged(/"message":"ready"/);
  return Object.assign(sidecar, { admin, health, metrics }) as RunningSidecar;
}

export interface IdentityState {
  readonly generation: number;
  readonly secondsLeft: number;
  /** Hashes of those that are believed, and of the one that its certificate is under. */
  readonly roots: readonly string[];
  readonly ownRoot: string;
  readonly problem: string;
}

/** What its admin port says of its identity, as soon as that is so. */
export async function identityUntil(
  sidecar: RunningSidecar,
  isSo: (state: IdentityState) => boolean,
): Promise<IdentityState> {
  for (;;) {
    const response = await fetch(`http://${sidecar.admin}/config`);
    const { identity } = (await response.json()) as { identity: IdentityState };
    if (isSo(identity)) return identity;
    await new Promise((settle) => setTimeout(settle, 50));
  }
}

/** Begins the next phase of a rotation, as soon as it may begin. */
export async function rotateWhenAllowed(authority: AuthorityProcess): Promise<void> {
  while (!(await authority.rotate())) await new Promise((settle) => setTimeout(settle, 100));
}

/** More would say nothing more. */
const failuresMax = 10;

/** Requests, one after the other on each of a few connections, until `stop`. */
export class SteadyLoad {
  readonly failures: string[] = [];
  answered = 0;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #port: number;
  readonly #workers: Promise<void>[];
  #isOver = false;

  /** It ends with the test at the latest. */
  constructor(t: TestContext, port: number) {
    this.#port = port;
    t.after(() => this.stop());
    this.#workers = [1, 2, 3, 4].map(() => this.#work());
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
    this.#agent.destroy();
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      const problem = await this.#ask();
      if (problem === '') this.answered += 1;
      else if (this.failures.push(problem) >= failuresMax) return;
      // A pace that leaves the machine to the others who test on it.
      await new Promise((settle) => setTimeout(settle, 10));
    }
  }

  #ask(): Promise<string> {
    return new Promise((settle) => {
      const sent = request({ host: '127.0.0.1', port: this.#port, agent: this.#agent });
      sent.on('error', (error) => settle(error.message));
      sent.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        response.on('error', (error) => settle(error.message));
        const { statusCode } = response;
        response.on('end', () => settle(statusCode === 200 ? '' : `${statusCode} ${body}`));
      });
      sent.end();
    });
  }
}
