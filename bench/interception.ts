/**
 * `node bench/interception.ts`: what one captured connection costs, beside HAProxy in TCP mode.
 *
 *   pod direct    caller ───────────────────────────────────┐
 *   pod tracecar  caller ─ rules of `tracecar init` ─ sidecar ┼─ bridge ─ pod server: echo, greeting, stream
 *   pod haproxy   caller ─ the same rules ─ HAProxy ─────────┘
 *
 * Pods are network namespaces of this machine. The program is the bundle of the sources of this moment,
 * by its launcher, without configuration. Each load once for each arm in a round; idle connections come
 * after, a new sidecar for each round. bench/interception-report.ts draws the result.
 */

import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../test/support/namespace-pods.ts';
import { findRival, pathOf } from './arms/find.ts';
import type { LoadAnswer, LoadOrder } from './interception-load.ts';
import {
  type Cores,
  type InterceptionArm,
  type InterceptionRow,
  interceptionArms,
  printInterceptionReport,
  publishedInterception,
  readInterceptionResult,
  withInterceptionSection,
  writeInterceptionResult,
} from './interception-report.ts';
import { monotonicMs } from './load/monotonic.ts';
import { keepAwake } from './stage/keep-awake.ts';
import { chooseCores, describeCommit, describeMachine, pinBench } from './stage/machine.ts';
import {
  type CoreTimes,
  noThreads,
  readCoreTimes,
  readMemory,
  readThreadTimes,
  type ThreadTimes,
  threadsUsed,
} from './stage/procfs.ts';
import { openRunFolder } from './stage/run-folder.ts';

const root = resolve(import.meta.dirname, '..');
const load = join(import.meta.dirname, 'interception-load.ts');
const readme = join(import.meta.dirname, 'README.md');
const calls = 400;
const coldPorts = 20;
const streamMib = 1024;
const idleConnections = 8000;
const startPatienceMs = 15_000;
const settleMs = 3000;

const help = `node bench/interception.ts [OPTIONS]   what one captured connection costs, in network namespaces

  --rounds N       rounds, each with every arm and load once, 1 to 50 (7)
  --idle-rounds N  of them with ${idleConnections} idle connections, 0 to the rounds (3)
  --json FILE      where the result goes (bench/results/local/interception/last.json)
  --readme         measures nothing: draws the published result into bench/README.md
  --help           this text
`;

class UsageError extends Error {}

interface Options {
  readonly rounds: number;
  readonly idleRounds: number;
}

interface Proxy {
  readonly process: PodProcess;
  readonly pid: number;
}

/** What was asked for; throws UsageError with one line. */
function readOptions(args: readonly string[]) {
  let values: Record<'rounds' | 'idle-rounds' | 'json', string> & {
    readme?: boolean;
    help?: boolean;
  };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string', default: '7' },
        'idle-rounds': { type: 'string', default: '3' },
        json: {
          type: 'string',
          default: join(root, 'bench/results/local/interception/last.json'),
        },
        readme: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n', 1)[0]);
  }
  const [rounds, idleRounds] = [Number(values.rounds), Number(values['idle-rounds'])];
  const isWhole = (value: number, least: number, most: number) =>
    Number.isInteger(value) && value >= least && value <= most;
  if (!isWhole(rounds, 1, 50)) throw new UsageError('--rounds is a whole number from 1 to 50');
  if (!isWhole(idleRounds, 0, rounds)) {
    throw new UsageError('--idle-rounds is a whole number from 0 to --rounds');
  }
  const { json, readme: isReadme = false, help: isHelp = false } = values;
  return { options: { rounds, idleRounds }, json, isReadme, isHelp };
}

async function main(args: readonly string[]): Promise<void> {
  const { options, json, isReadme, isHelp } = readOptions(args);
  if (isHelp) {
    process.stdout.write(help);
    return;
  }
  if (isReadme) {
    const result = readInterceptionResult(publishedInterception);
    writeFileSync(readme, withInterceptionSection(readFileSync(readme, 'utf8'), result));
    return;
  }
  const why = whyNoPods();
  if (why !== undefined) throw new Error(why);
  const haproxy = findRival('haproxy');
  if ('missing' in haproxy) throw new Error(`HAProxy is ${haproxy.missing}: ${haproxy.install}`);
  const folder = openRunFolder((text) => process.stderr.write(`${text}\n`));
  const date = new Date().toISOString();
  const commit = describeCommit(root);
  const cores = chooseCores();
  if (cores !== undefined) pinBench(cores);
  keepAwake();
  // Users of pods read the bundle there.
  chmodSync(folder, 0o755);
  const build = ['tools/build.ts', '--out', join(folder, 'dist')];
  execFileSync(process.execPath, build, { cwd: root, stdio: 'pipe' });
  const machine = await describeMachine(cores);
  const network = makePods(4);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void network.close().then(() => process.exit(130)));
  }
  try {
    const stage = new InterceptionStage(network, cores, join(folder, 'dist'), options);
    const rows = await stage.measure();
    const pinning: Cores | 'none' = cores ?? 'none';
    const conditions = { date, commit, options, machine, haproxy: haproxy.version, pinning };
    const result = writeInterceptionResult(json, conditions, rows);
    process.stdout.write(printInterceptionReport(result));
  } finally {
    await network.close();
  }
}

class InterceptionStage {
  readonly #pods: Readonly<Record<InterceptionArm, Pod>>;
  readonly #server: Pod;
  readonly #cores: Cores | undefined;
  readonly #dist: string;
  readonly #options: Options;

  constructor(network: PodNetwork, cores: Cores | undefined, dist: string, options: Options) {
    const [direct, tracecar, haproxy, server] = network.pods as [Pod, Pod, Pod, Pod];
    this.#pods = { direct, tracecar, haproxy };
    this.#server = server;
    this.#cores = cores;
    this.#dist = dist;
    this.#options = options;
  }

  async measure(): Promise<InterceptionRow[]> {
    const { rounds, idleRounds } = this.#options;
    const ports = [rounds * coldPorts, idleRounds].map(String);
    await this.#server.start(users.app, [process.execPath, load, 'serve', ...ports]).says(/open/);
    for (const pod of [this.#pods.tracecar, this.#pods.haproxy]) {
      const command = [process.execPath, join(this.#dist, 'tracecar.cjs'), 'init'];
      const { status, errors } = pod.run(users.init, command);
      if (status !== 0) throw new Error(`tracecar init: ${errors}`);
    }
    const tracecar = await this.#startSidecar();
    const haproxy = await this.#startHaproxy();
    const proxies = { direct: undefined, tracecar, haproxy };
    const rows: InterceptionRow[] = [];
    // The warm-up of a long-lived proxy is no part of a round.
    for (const arm of interceptionArms) await this.#measureArm(arm, proxies[arm], undefined);
    for (let round = 0; round < rounds; round++) {
      const first = round % interceptionArms.length;
      for (const arm of [...interceptionArms.slice(first), ...interceptionArms.slice(0, first)]) {
        rows.push(...(await this.#measureArm(arm, proxies[arm], round)));
      }
    }
    await endProcess(haproxy.process);
    await endProcess(tracecar.process);
    for (let round = 0; round < idleRounds; round++) rows.push(await this.#measureIdle(round));
    return rows;
  }

  /** `round` undefined: to warm it up, without the ports that must stay cold. */
  async #measureArm(
    arm: InterceptionArm,
    proxy: Proxy | undefined,
    round: number | undefined,
  ): Promise<InterceptionRow[]> {
    const rows: InterceptionRow[] = [];
    const loads = [
      ['first byte', calls],
      ['greeting', calls],
      ...(round === undefined ? [] : [['cold greeting', coldPorts] as const]),
      ['stream', streamMib],
    ] as const;
    for (const [name, count] of loads) {
      const before = this.#read(proxy);
      const coldPlace = (round ?? 0) * coldPorts;
      const answer = await this.#call(arm, {
        load: name,
        address: this.#server.v4,
        count,
        coldPlace,
      });
      const used = this.#used(before, this.#read(proxy));
      const { times, bytes, streamUs } = answer;
      const what = name === 'stream' ? { bytes, streamUs } : { times };
      rows.push({ arm, load: name, round: round ?? 0, ...used, ...what });
    }
    return rows;
  }

  async #call(arm: InterceptionArm, order: LoadOrder): Promise<LoadAnswer> {
    const command = [process.execPath, load, 'call', JSON.stringify(order)];
    const { status, output, errors } = await this.#pods[arm].finish(users.app, command);
    if (status !== 0)
      throw new Error(`${order.load} of ${arm}: status ${status}, ${errors.trim()}`);
    return JSON.parse(output) as LoadAnswer;
  }

  async #measureIdle(round: number): Promise<InterceptionRow> {
    const pod = this.#pods.tracecar;
    const { process: sidecar, pid } = await this.#startSidecar();
    for (const name of ['first byte', 'greeting'] as const) {
      const order = { load: name, address: this.#server.v4, count: calls, coldPlace: 0 };
      await this.#call('tracecar', order);
    }
    await sleep(settleMs);
    const before = this.#read({ process: sidecar, pid });
    const beforeKb = readMemory(pid).privateKb;
    const order = [this.#server.v4, String(idleConnections), String(round)];
    const holder = pod.start(users.app, [process.execPath, load, 'hold', ...order]);
    await holder.says(/open/);
    await sleep(settleMs);
    const privateBytes = (readMemory(pid).privateKb - beforeKb) * 1024;
    const used = this.#used(before, this.#read({ process: sidecar, pid }));
    // Two connections each, or the rules led past the sidecar.
    const sockets = countSockets(pid);
    if (sockets < 2 * idleConnections) throw new Error(`the sidecar holds ${sockets} sockets only`);
    await endProcess(holder);
    await endProcess(sidecar);
    return {
      ...{ arm: 'tracecar', load: 'idle', round, ...used },
      connections: idleConnections,
      privateBytes,
    };
  }

  async #startSidecar(): Promise<Proxy> {
    const pod = this.#pods.tracecar;
    const command = [join(this.#dist, 'tracecar'), 'proxy', '--capture=redirect'];
    const settings = ['--access-log=off', '--drain-seconds=1', '--labels=app=bench'];
    const sidecar = pod.start(users.proxy, this.#pinned([...command, ...settings]), {
      // The launcher of a copy outside the checkout takes the node of PATH.
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      POD_IPS: `${pod.v4},${pod.v6}`,
      POD_NAMESPACE: 'default',
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_SERVICE_NAME: 'bench',
    });
    await sidecar.says(/"message":"ready"/);
    return { process: sidecar, pid: sidecar.child.pid! };
  }

  async #startHaproxy(): Promise<Proxy> {
    const file = join(import.meta.dirname, 'rivals/haproxy-tcp.cfg');
    const command = this.#pinned([pathOf('haproxy'), '-db', '-f', file]);
    const haproxy = this.#pods.haproxy.start(users.proxy, command);
    const order = { load: 'first byte', address: this.#server.v4, count: 1, coldPlace: 0 } as const;
    const giveUpAt = performance.now() + startPatienceMs;
    for (;;) {
      try {
        // Refused while nobody listens behind the rules.
        await this.#call('haproxy', order);
        return { process: haproxy, pid: haproxy.child.pid! };
      } catch (error) {
        if (performance.now() < giveUpAt && haproxy.child.exitCode === null) continue;
        throw new Error(`${(error as Error).message}; HAProxy: ${haproxy.lines.join(' ')}`);
      }
    }
  }

  #pinned(command: readonly string[]): readonly string[] {
    return this.#cores === undefined
      ? command
      : ['taskset', '-c', String(this.#cores.proxy), ...command];
  }

  #read(proxy: Proxy | undefined): Reading {
    const core = (which: keyof Cores) =>
      this.#cores === undefined ? { idleUs: 0, stolenUs: 0 } : readCoreTimes(this.#cores[which]);
    return {
      wallUs: monotonicMs() * 1000,
      proxy: core('proxy'),
      load: core('load'),
      threads: proxy === undefined ? noThreads : readThreadTimes(proxy.pid),
    };
  }

  #used(before: Reading, after: Reading) {
    const wallUs = after.wallUs - before.wallUs;
    const cpuUs = threadsUsed(before.threads, after.threads).allUs;
    const idle = (which: keyof Cores) => after[which].idleUs - before[which].idleUs;
    const stolen = (which: keyof Cores) => after[which].stolenUs - before[which].stolenUs;
    const busy = (which: keyof Cores) => wallUs - idle(which) - stolen(which);
    const isPinned = this.#cores !== undefined;
    const loadShare = Math.round((busy('load') / wallUs) * 1000) / 1000;
    const loadBusy = isPinned ? Math.min(1, Math.max(0, loadShare)) : 0;
    return {
      wallUs: Math.round(wallUs),
      cpuUs: Math.round(cpuUs),
      stolenUs: stolen('proxy') + stolen('load'),
      foreignUs: isPinned ? Math.max(0, Math.round(busy('proxy') - cpuUs)) : 0,
      loadBusy,
    };
  }
}

interface Reading {
  readonly wallUs: number;
  readonly proxy: CoreTimes;
  readonly load: CoreTimes;
  readonly threads: ThreadTimes;
}

/** Open sockets of a process. */
function countSockets(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(join(folder, name)).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}

async function endProcess({ child, ended }: PodProcess): Promise<void> {
  child.kill('SIGKILL');
  await ended;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`interception bench: ${(error as Error).message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
