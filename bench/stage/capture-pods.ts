/**
 * Pods whose connections are captured: network namespaces with the rules of `tracecar init`.
 *
 *   pod direct    caller ─────────────────────────────────────┐
 *   pod tracecar  caller ─ rules ─ sidecar ────────────────────┤
 *   pod haproxy   caller ─ rules ─ HAProxy, TCP mode ──────────┼─ bridge ─ pod server: the far ends
 *   pod envoy     caller ─ rules ─ Envoy, TCP proxy ───────────┤
 *   pod fresh     caller ─ rules ─ a sidecar for one measuring ┘
 *
 * Proxies run on the proxy's core, everything else on the load's. Tracecar is the bundle of the sources of
 * this moment: users of pods read it in the run's folder. All of it ends with the run.
 */

import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
} from '../../test/support/namespace-pods.ts';
import { pathOf, root } from '../arms/find.ts';
import type { Watched } from '../rounds/conditions.ts';
import { ownNamespaces } from './run-folder.ts';
import type { Stage } from './stage.ts';

const podNames = ['direct', 'tracecar', 'haproxy', 'envoy', 'fresh', 'server'] as const;
export type PodName = (typeof podNames)[number];

const captured: readonly PodName[] = ['tracecar', 'haproxy', 'envoy', 'fresh'];
const startPatienceMs = 15_000;
const callPatienceMs = 60_000;

/** A process in a pod, ready to be watched. */
export interface PodChild extends Watched {
  readonly child: { readonly pid: number };
  readonly process: PodProcess;
}

export class CapturePods {
  readonly #stage: Stage;
  readonly #network: PodNetwork;
  readonly #dist: string;
  readonly #forget: () => void;

  private constructor(stage: Stage, network: PodNetwork, dist: string) {
    this.#stage = stage;
    this.#network = network;
    this.#dist = dist;
    this.#forget = stage.children.closeAtEnd(() => network.close());
  }

  /** Makes the pods and their rules. */
  static async open(stage: Stage): Promise<CapturePods> {
    const dist = join(stage.directory, 'dist');
    if (!existsSync(dist)) {
      chmodSync(stage.directory, 0o755);
      const build = ['tools/build.ts', '--out', dist];
      execFileSync(process.execPath, build, { cwd: root, stdio: 'pipe' });
    }
    const network = makePods(podNames.length);
    ownNamespaces(stage.directory, network.namespaces);
    const pods = new CapturePods(stage, network, dist);
    for (const name of captured) {
      const command = [process.execPath, join(dist, 'tracecar.cjs'), 'init'];
      const { status, errors } = pods.pod(name).run(users.init, command);
      if (status !== 0) throw new Error(`tracecar init: ${errors}`);
    }
    return pods;
  }

  /** Where callers of every pod find the far ends. */
  get serverAddress(): string {
    return this.pod('server').v4;
  }

  pod(name: PodName): Pod {
    return this.#network.pods[podNames.indexOf(name)]!;
  }

  /** Starts a far end, a program of ours; resolves when it has said `open`. */
  async serve(program: string, ...args: readonly string[]): Promise<void> {
    const command = [process.execPath, program, ...args];
    const server = this.#start('server', users.app, command);
    await server.process.says(/^open$/);
    this.#stage.loadBeside.add(server.child.pid);
  }

  /** Runs a caller, a program of ours, to its end; what it printed. */
  async call(name: PodName, program: string, ...args: readonly string[]): Promise<string> {
    const command = [process.execPath, program, ...args];
    const timeoutMs = callPatienceMs;
    const done = await this.pod(name).finish(dieWithBench(users.app), command, { timeoutMs });
    if (done.status === 0) return done.output;
    throw new Error(`${name}: a caller ended with status ${done.status}: ${done.errors.trim()}`);
  }

  /** Starts a caller that stays; resolves when it has said `open`. */
  async hold(name: PodName, program: string, ...args: readonly string[]): Promise<PodChild> {
    const holder = this.#start(name, users.app, [process.execPath, program, ...args]);
    await holder.process.says(/^open$/);
    return holder;
  }

  /** A program of ours on the proxy's core, in the proxy's place. */
  inPlaceOfProxy(name: PodName, program: string, ...args: readonly string[]): PodChild {
    return this.#start(name, users.proxy, this.#pinned([process.execPath, program, ...args]));
  }

  async startSidecar(name: PodName): Promise<PodChild> {
    const { v4, v6 } = this.pod(name);
    const command = [join(this.#dist, 'tracecar'), 'proxy', '--capture=redirect'];
    const settings = ['--access-log=off', '--drain-seconds=1', '--labels=app=bench'];
    const sidecar = this.#start(name, users.proxy, this.#pinned([...command, ...settings]), {
      // The launcher of a copy outside the checkout takes the node of PATH.
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      POD_IPS: `${v4},${v6}`,
      POD_NAMESPACE: 'default',
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_SERVICE_NAME: 'bench',
    });
    await sidecar.process.says(/"message":"ready"/);
    return sidecar;
  }

  /** `isUp` makes one call through it, which is refused while nobody listens behind the rules. */
  async startRival(name: 'haproxy' | 'envoy', isUp: () => Promise<unknown>): Promise<PodChild> {
    const rivals = join(root, 'bench/rivals');
    const haproxy = ['-db', '-f', join(rivals, 'haproxy-tcp.cfg')];
    const envoy = [
      ...['-c', join(rivals, 'envoy-tcp.yaml'), '--concurrency', '1'],
      ...['--disable-hot-restart', '-l', 'error'],
    ];
    const command = [this.#readable(pathOf(name)), ...(name === 'haproxy' ? haproxy : envoy)];
    const rival = this.#start(name, users.proxy, this.#pinned(command));
    const giveUpAt = performance.now() + startPatienceMs;
    for (;;) {
      try {
        await isUp();
        return rival;
      } catch (error) {
        const { exitCode } = rival.process.child;
        if (performance.now() < giveUpAt && exitCode === null) continue;
        throw new Error(`${(error as Error).message}; ${name}: ${rival.process.lines.join(' ')}`);
      }
    }
  }

  async end({ process: { child, ended } }: PodChild): Promise<void> {
    child.kill('SIGKILL');
    await ended;
  }

  async close(): Promise<void> {
    this.#forget();
    this.#stage.loadBeside.clear();
    await this.#network.close();
  }

  #start(
    name: PodName,
    user: readonly string[],
    command: readonly string[],
    environment = {},
  ): PodChild {
    const process = this.pod(name).start(dieWithBench(user), command, environment);
    const { pid } = process.child;
    if (pid === undefined) throw new Error(`cannot start ${command[0]} in a pod`);
    return { process, child: { pid } };
  }

  /** A copy, where the users of pods cannot reach a program. */
  #readable(program: string): string {
    if (this.pod('server').run(users.app, ['test', '-x', program]).status === 0) return program;
    const copy = join(this.#stage.directory, basename(program));
    if (!existsSync(copy)) copyFileSync(program, copy);
    return copy;
  }

  #pinned(command: readonly string[]): readonly string[] {
    const { cores } = this.#stage;
    return cores === undefined ? command : ['taskset', '-c', String(cores.proxy), ...command];
  }
}

/** A bench that is killed outright takes its pods' processes along. */
function dieWithBench(user: readonly string[]): readonly string[] {
  return [...user, '--pdeathsig=KILL'];
}
