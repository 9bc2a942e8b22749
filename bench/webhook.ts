/**
 * `node bench/webhook.ts`: how long the admission webhook takes for 100 parallel reviews.
 *
 * The real program, bundled from the sources of this moment, alone on one core; load, a scripted API
 * server and a collector on the other. Loads: 100 connections in a closed loop, bursts of 100 at once,
 * one review at a time. Every process it starts ends with it. bench/webhook-report.ts draws the result.
 */

import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { issueServingCertificate } from '../src/identity/serving-certificate.ts';
import { patchOf, podOf, responseOf, reviewOf } from '../test/injector/webhook/https-client.ts';
import { bundlesOf, configurationOf, ScriptedApi } from '../test/injector/webhook/scripted-api.ts';
import { Histogram } from './load/histogram.ts';
import { monotonicMs } from './load/monotonic.ts';
import { type Child, Children } from './stage/children.ts';
import { freePorts } from './stage/free-ports.ts';
import { chooseCores, describeCommit, describeMachine, pinBench } from './stage/machine.ts';
import { readCoreTimes, readCpuMicros } from './stage/procfs.ts';
import { openRunFolder } from './stage/run-folder.ts';
import { ReviewLoad } from './webhook-load.ts';
import { printWebhookReport } from './webhook-report.ts';
import {
  type Cores,
  type WebhookResult,
  type WebhookRow,
  webhookSchema,
  writeWebhookResult,
} from './webhook-result.ts';

const root = resolve(import.meta.dirname, '..');
const servername = 'tracecar-injector.tracecar-system.svc';
const configurationPath =
  '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/tracecar-injector';
const parallel = 100;
const burstsPerRound = 30;
const aloneReviews = 200;
const startPatienceMs = 15_000;

const help = `node bench/webhook.ts [OPTIONS]   the admission webhook under ${parallel} parallel reviews

  --rounds N      rounds, each with every arm and load once (7)
  --seconds N     measured seconds of the closed loop in a round (1)
  --json FILE     where the result goes (bench/results/local/webhook/last.json)
  --cpu-prof DIR  the webhook writes a V8 profile there when it ends
  --help          this text
`;

interface Arm {
  readonly name: WebhookRow['arm'];
  readonly child: Child;
  readonly load: ReviewLoad;
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '1' },
      json: { type: 'string', default: join(root, 'bench/results/local/webhook/last.json') },
      'cpu-prof': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  if (!(Number.isInteger(rounds) && rounds >= 1 && seconds > 0 && seconds <= 60)) {
    throw new Error('--rounds is a whole number from 1, --seconds more than 0 and at most 60');
  }
  const directory = openRunFolder((text) => process.stderr.write(`${text}\n`));
  const children = new Children();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void children.stopAll().then(() => process.exit(130)));
  }
  try {
    const result = await measure({ rounds, seconds }, values['cpu-prof'], children, directory);
    writeWebhookResult(values.json, result);
    process.stdout.write(printWebhookReport(result));
  } finally {
    await children.stopAll();
  }
}

async function measure(
  options: WebhookResult['options'],
  profileFolder: string | undefined,
  children: Children,
  directory: string,
): Promise<WebhookResult> {
  const date = new Date().toISOString();
  const commit = describeCommit(root);
  const cores = chooseCores();
  if (cores !== undefined) pinBench(cores);
  await children
    .start({
      command: process.execPath,
      args: ['tools/build.ts', '--out', join(directory, 'dist')],
      core: undefined,
      directory: root,
    })
    .finish(60_000);
  const stage = new WebhookStage(children, cores, directory);
  await stage.start();
  const arms = [
    await stage.startWebhook('spans', profileFolder),
    await stage.startWebhook('no spans', profileFolder),
  ];
  const machine = await describeMachine(cores);
  const rows: WebhookRow[] = [];
  for (const arm of arms) await warm(arm);
  for (let round = 0; round < options.rounds; round++) {
    // Who comes first alternates: a round's second arm has the warmer client.
    for (const arm of round % 2 === 0 ? arms : arms.toReversed()) {
      rows.push(...(await measureArm(arm, round, options.seconds, cores)));
    }
  }
  for (const { load, child } of arms) {
    load.close();
    // Before the collector, which gets the last spans; it may take the webhook 2 s.
    const ended = once(child.process, 'exit');
    child.process.kill('SIGTERM');
    await ended;
  }
  await stage.close();
  const pinning = cores ?? 'none';
  const schema = webhookSchema;
  return { schema, date, commit, parallel, options, machine, pinning, rows };
}

/** Handshakes, cold code and the first garbage are of the start, not of the load. */
async function warm({ load }: Arm): Promise<void> {
  await load.closedLoop(3);
  for (let count = 0; count < burstsPerRound; count++) await load.burst(new Histogram());
}

async function measureArm(
  { name, child, load }: Arm,
  round: number,
  seconds: number,
  cores: Cores | undefined,
): Promise<WebhookRow[]> {
  const rows: WebhookRow[] = [];
  const row = async (kind: WebhookRow['load'], work: () => Promise<Histogram>) => {
    // What the load before it left to do, an export of spans among it, is not its cost.
    await sleep(100);
    const before = reading(child.pid, cores);
    const times = await work();
    const after = reading(child.pid, cores);
    const wallUs = (after.wallMs - before.wallMs) * 1_000;
    const cpuUs = after.cpuUs - before.cpuUs;
    const unusedUs = after.idleUs - before.idleUs + (after.stolenUs - before.stolenUs);
    rows.push({
      arm: name,
      load: kind,
      round,
      reviews: times.total,
      wallUs: Math.round(wallUs),
      cpuUs,
      loadCpuUs: after.loadCpuUs - before.loadCpuUs,
      stolenUs: after.stolenUs - before.stolenUs,
      // Of 10 ms resolution, both ways.
      foreignUs: cores === undefined ? 0 : Math.max(0, Math.round(wallUs - unusedUs - cpuUs)),
      times: times.toSparse(),
    });
  };
  await row('closed loop', () => load.closedLoop(seconds));
  await row('bursts', async () => {
    const times = new Histogram();
    for (let count = 0; count < burstsPerRound; count++) {
      await load.burst(times);
      // The webhook is at rest again before the next.
      await sleep(10);
    }
    return times;
  });
  await row('one at a time', async () => {
    const times = new Histogram();
    await load.alone(aloneReviews, times);
    return times;
  });
  return rows;
}

function reading(pid: number, cores: Cores | undefined) {
  const core = cores === undefined ? { idleUs: 0, stolenUs: 0 } : readCoreTimes(cores.proxy);
  const { user, system } = process.cpuUsage();
  return { ...core, cpuUs: readCpuMicros(pid), loadCpuUs: user + system, wallMs: monotonicMs() };
}

/** What a webhook needs around it: the answers of an API server, and a collector. */
class WebhookStage {
  readonly #children: Children;
  readonly #cores: Cores | undefined;
  readonly #directory: string;
  readonly #api: ScriptedApi;
  #collectorPort = 0;

  constructor(children: Children, cores: Cores | undefined, directory: string) {
    this.#children = children;
    this.#cores = cores;
    this.#directory = directory;
    const own = issueServingCertificate({ dnsNames: ['127.0.0.1'], now: Date.now() });
    this.#api = new ScriptedApi({ cert: own.certPem, key: own.keyPem });
    writeFileSync(join(directory, 'ca.crt'), own.caPem);
    writeFileSync(join(directory, 'token'), 'a-token');
  }

  async start(): Promise<void> {
    await this.#api.start();
    const labels = { 'tracecar.dev/inject': 'enabled' };
    this.#api.write('/api/v1/namespaces/shop', { metadata: { name: 'shop', labels } });
    this.#api.write(configurationPath, configurationOf());
    [this.#collectorPort] = (await freePorts(1)) as [number];
    this.#children.start({
      command: process.execPath,
      args: [join(import.meta.dirname, 'load/collector.ts'), String(this.#collectorPort)],
      core: this.#cores?.load,
      directory: this.#directory,
    });
  }

  async startWebhook(name: Arm['name'], profileFolder: string | undefined): Promise<Arm> {
    const [port, health] = (await freePorts(2)) as [number, number];
    const log = join(this.#directory, `${name}.log`);
    // The log goes to a file: a pipe would be emptied by the load's process and couple the two.
    const child = this.#children.start({
      command: 'sh',
      args: [
        ...['-c', `exec "$@" 2>'${log}'`, 'webhook', join(this.#directory, 'dist/tracecar')],
        ...['injector', '--image', 'bench/tracecar:1'],
        ...['--listen', `127.0.0.1:${port}`, '--health', `127.0.0.1:${health}`],
        ...['--service-account', this.#directory, '--leave-seconds', '0'],
      ],
      core: this.#cores?.proxy,
      directory: this.#directory,
      environment: {
        // The launcher of a copy outside the checkout takes the node of PATH.
        PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBERNETES_SERVICE_PORT: String(this.#api.port),
        ...(name === 'spans'
          ? { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#collectorPort}` }
          : {}),
        ...(profileFolder === undefined
          ? {}
          : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${resolve(profileFolder)}` }),
      },
    });
    await untilReady(health, child, log);
    const ca = bundlesOf(this.#api.objects.get(configurationPath))[0]!;
    const reviews = Array.from({ length: parallel }, (_, index) =>
      reviewOf({ uid: `review-${index}`, object: podOf(`app-${index}`) }),
    );
    const load = await ReviewLoad.open({ port, ca, servername }, reviews, judgeAnswer);
    return { name, child, load };
  }

  close(): Promise<void> {
    return this.#api.close();
  }
}

function judgeAnswer(_head: string, body: Buffer, index: number): void {
  const headers = { 'content-type': 'application/json' };
  const answer = { status: 200, headers, text: body.toString('utf8'), serial: '' };
  const operations = patchOf(responseOf(answer, `review-${index}`));
  if (!JSON.stringify(operations).includes('tracecar-proxy')) throw new Error('no sidecar');
}

async function untilReady(port: number, child: Child, log: string): Promise<void> {
  const giveUpAt = performance.now() + startPatienceMs;
  while (performance.now() < giveUpAt) {
    if (child.hasEnded) throw new Error(`${child.describeEnd()} ${readFileSync(log, 'utf8')}`);
    if ((await askReady(port)) === 200) return;
    await sleep(20);
  }
  throw new Error(`the webhook is not ready after 15 s: ${readFileSync(log, 'utf8')}`);
}

function askReady(port: number): Promise<number> {
  return new Promise((done) => {
    get({ host: '127.0.0.1', port, path: '/healthz/ready', agent: false }, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    }).on('error', () => done(0));
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`webhook bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
