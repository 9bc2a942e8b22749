/**
 * `npm run story`: one Kubernetes node, one Jaeger, the same unchanged applications twice: behind an
 * Envoy each, with its OpenTelemetry tracer, and behind Tracecar, by annotation.
 *
 * Then the same once more with a fault in it that only the new version meets, twenty of 2000 requests,
 * while Envoy samples 1 % and Tracecar 0 %: what is left of those twenty.
 *
 * Every figure is counted from what came back and from Jaeger's API; nothing is assumed. CPU is that
 * of the sidecars alone, for the same requests one arm after the other on the same machine. Status 1
 * when Tracecar breaks a promise (verdict.ts and planted-fault.ts in test/peers/story); missed targets
 * of speed are printed.
 */

import { parseArgs } from 'node:util';
import { whyNoCluster } from '../test/peers/cluster/availability.ts';
import { type Cluster, startCluster } from '../test/peers/cluster/cluster.ts';
import { type Jaeger, startJaeger } from '../test/peers/jaeger.ts';
import { loadEnvoy, whyNoEnvoy } from '../test/peers/story/envoy-image.ts';
import {
  envoyNamespace,
  envoyOutbound,
  openEnvoyShop,
  setEnvoySampling,
} from '../test/peers/story/envoy-shop.ts';
import { faultRequests, meetFault, plantFault } from '../test/peers/story/planted-fault.ts';
import { measureReady, type ReadyTimes } from '../test/peers/story/ready-time.ts';
import {
  freshPrefix,
  install,
  makeCertificate,
  namespace as meshNamespace,
  openShop,
  tracecar,
} from '../test/peers/story/shop.ts';
import { problemsOf, ShopLoad, splitOf } from '../test/peers/story/shop-load.ts';
import {
  countHops,
  countTraces,
  type HopCounts,
  type TraceCounts,
} from '../test/peers/story/shop-traces.ts';
import { cpuMicrosOf, memoryKbOf, podNames, sidecarsOf } from '../test/peers/story/sidecar-cpu.ts';
import {
  faultsOf,
  type KeptFailures,
  keptFaultsOf,
  targetLines,
} from '../test/peers/story/verdict.ts';

const help = `npm run story [-- OPTIONS]

  --requests N   to send in each arm [3000]
  --json         one JSON object instead of text
  --help         this text

It needs root and, once, \`npm run peers cluster envoy\`.
`;

const concurrency = 16;
/** Before anything is measured: connections are open, code is compiled. */
const warmUpRequests = 3_000;
/** Pods of each kind whose way to Ready is timed. */
const readyPods = 9;

interface Arm {
  readonly name: string;
  readonly requests: number;
  readonly failed: readonly string[];
  readonly split: { readonly v1: number; readonly v2: number };
  readonly counts: TraceCounts;
  readonly hops: HopCounts;
  readonly cpuUsPerRequest: number;
  readonly memoryMb: number;
  readonly p50Ms: number;
}

interface ArmPlan {
  readonly name: string;
  readonly namespace: string;
  readonly ca: string;
  readonly requests: number;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function runArm(cluster: Cluster, jaeger: Jaeger, plan: ArmPlan): Promise<Arm> {
  const { name, namespace, requests } = plan;
  const opened = await cluster.open(`web.${namespace}.svc.cluster.local`, 443);
  const load = new ShopLoad({ port: opened.port, ca: plan.ca }, freshPrefix());
  await load.send(warmUpRequests, concurrency);
  const pids = sidecarsOf(await podNames(cluster, namespace));
  if (pids.length !== 4) throw new Error(`${name}: ${pids.length} sidecars instead of 4`);
  say(`${name}: sending ${requests} requests`);
  const before = cpuMicrosOf(pids);
  const answers = await load.send(requests, concurrency);
  const cpuUs = cpuMicrosOf(pids) - before;
  load.close();
  await opened.close();
  say(`${name}: asking Jaeger`);
  const ids = new Set(answers.map(({ id }) => id));
  const counts = await countTraces(jaeger, ids);
  const latencies = answers.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  return {
    name,
    requests,
    failed: problemsOf(answers),
    split: splitOf(answers),
    counts,
    hops: await countHops(jaeger, ids),
    cpuUsPerRequest: cpuUs / requests,
    memoryMb: memoryKbOf(pids) / 1024 / pids.length,
    p50Ms: latencies[latencies.length >> 1] ?? 0,
  };
}

/** Plants the fault in an arm that is deployed, its sampling changed before, and counts what is kept. */
async function runFault(
  cluster: Cluster,
  jaeger: Jaeger,
  { name, namespace, ca }: ArmPlan,
  ratings: string,
): Promise<KeptFailures> {
  say(`${name}: planting the fault`);
  await plantFault(cluster, namespace, ratings);
  const { port, close } = await cluster.open(`web.${namespace}.svc.cluster.local`, 443);
  say(`${name}: sending ${faultRequests} requests`);
  const kept = await meetFault(jaeger, { port, ca }, freshPrefix());
  await close();
  return kept;
}

async function tell(requests: number, isJson: boolean): Promise<number> {
  const missing = whyNoCluster() ?? whyNoEnvoy();
  if (missing !== undefined) throw new Error(missing);
  const cluster = await startCluster({
    images: ['tracecar', 'sample'],
    apiServerTracing: true,
    log: say,
  });
  try {
    const jaeger = await startJaeger({ inNamespaceOf: cluster });
    const certificate = await makeCertificate();
    const ca = certificate.cert;
    const version = await loadEnvoy(cluster);
    say(`deploying the applications with Envoy ${version}`);
    const collector = { address: cluster.nodeAddress, port: 4317 };
    await openEnvoyShop(cluster, { certificate, collector });
    const name = `Envoy ${version}`;
    const envoyPlan = { name, namespace: envoyNamespace, ca, requests };
    const envoy = await runArm(cluster, jaeger, envoyPlan);
    await setEnvoySampling(cluster, collector, 1);
    const envoyKept = await runFault(cluster, jaeger, envoyPlan, envoyOutbound);
    await cluster.kubectl(['delete', 'namespace', envoyNamespace, '--wait=true']);

    say('tracecar install | kubectl apply -f -; annotating the namespace');
    await install(cluster, jaeger.otlpUrl);
    await openShop(cluster, {
      certificate,
      annotations: { 'tracecar.dev/inject': 'enabled', 'tracecar.dev/sampler': 'always_on' },
    });
    const plan = { name: 'Tracecar', namespace: meshNamespace, ca, requests };
    const ours = await runArm(cluster, jaeger, plan);
    const sampler = ['tracecar.dev/sampler=0', '--overwrite'];
    await cluster.kubectl(['annotate', 'namespace', meshNamespace, ...sampler]);
    const kept = await runFault(cluster, jaeger, plan, 'http://ratings:9080');
    say(`timing ${readyPods} pods with and ${readyPods} without a sidecar`);
    const ready = await measureReady(cluster, readyPods);
    const faults = [...faultsOf(ours), ...keptFaultsOf(kept)];
    const targets = targetLines({
      cpuRatio: ours.cpuUsPerRequest / envoy.cpuUsPerRequest,
      readyDeltaMs: ready.withSidecarMs - ready.bareMs,
    });
    const told = { envoy, tracecar: ours, ready, faults, targets, envoyKept, kept };
    if (isJson) process.stdout.write(`${JSON.stringify(told)}\n`);
    else await print(told, jaeger);
    for (const fault of faults) say(`story: ${ours.name}: ${fault}`);
    return faults.length === 0 ? 0 : 1;
  } finally {
    await cluster.close();
  }
}

interface Told {
  readonly envoy: Arm;
  readonly tracecar: Arm;
  readonly ready: ReadyTimes;
  readonly targets: readonly string[];
  readonly envoyKept: KeptFailures;
  readonly kept: KeptFailures;
}

async function print(told: Told, jaeger: Jaeger): Promise<void> {
  const { envoy, tracecar: ours, ready, targets } = told;
  const rows: readonly (readonly [string, (arm: Arm) => string])[] = [
    ['requests answered', ({ requests, split }) => `${split.v1 + split.v2} of ${requests}`],
    ['reviews v1 / v2', ({ split }) => `${split.v1} / ${split.v2}`],
    ['spans', ({ counts }) => `${counts.spans}`],
    ['traces per request', ({ counts, requests }) => (counts.traces / requests).toFixed(2)],
    ['requests whole, in one trace', ({ counts }) => `${counts.whole} of ${counts.requests}`],
    ['spans with a wrong parent', ({ counts }) => `${counts.wrongParents}`],
    [
      'hops with a verified peer',
      ({ hops }) => `${hops.hops - hops.unverified.length} of ${hops.hops}`,
    ],
    ['CPU of 4 sidecars per request', ({ cpuUsPerRequest }) => `${cpuUsPerRequest.toFixed(0)} us`],
    ['median latency', ({ p50Ms }) => `${p50Ms.toFixed(1)} ms`],
    ['memory of a sidecar', ({ memoryMb }) => `${memoryMb.toFixed(0)} MiB`],
  ];
  const line = (title: string, left: string, right: string) =>
    `${title.padEnd(32)}${left.padStart(18)}${right.padStart(18)}\n`;
  let text = `\nweb -> reviews v1/v2 -> ratings, HTTPS in, ${concurrency} connections, all traced;\nbetween the sidecars mutual TLS with Tracecar, plain HTTP with Envoy\n\n`;
  text += line('', envoy.name, ours.name);
  for (const [title, show] of rows) text += line(title, show(envoy), show(ours));
  const ratio = ours.cpuUsPerRequest / envoy.cpuUsPerRequest;
  text += `\nCPU per request of Tracecar: ${ratio.toFixed(2)} of Envoy's\n`;
  const { bareMs, withSidecarMs, pods } = ready;
  text += `A pod is Ready after ${seconds(bareMs)}, with a sidecar after ${seconds(withSidecarMs)}: `;
  text += `${seconds(withSidecarMs - bareMs)} later (medians of ${pods})\n`;
  text += `${targets.join('\n')}\n`;
  for (const { name, failed, counts } of [envoy, ours]) {
    for (const each of failed.slice(0, 5)) text += `${name}: failed: ${each}\n`;
    if (name === ours.name) for (const gap of counts.gaps) text += `${name}: not whole: ${gap}\n`;
    else if (counts.gaps[0] !== undefined) text += `${name}, for example: ${counts.gaps[0]}\n`;
  }
  process.stdout.write(text);
  await printTrace(jaeger, ours.counts.example);
  const { envoyKept, kept } = told;
  process.stdout.write(keptText(envoy.name, envoyKept, ours.name, kept));
  await printTrace(jaeger, kept.example);
}

function keptText(envoy: string, theirs: KeptFailures, name: string, ours: KeptFailures): string {
  const line = (title: string, left: string, right: string) =>
    `${title.padEnd(32)}${left.padStart(18)}${right.padStart(18)}\n`;
  const of = (count: (kept: KeptFailures) => number) =>
    [theirs, ours].map((kept) => `${count(kept)} of ${kept.failed}`) as [string, string];
  const names = Object.entries(ours.named).map(([text, count]) => `${count} x ${text}`);
  return (
    `\nA fault that only reviews v2 meets, ${ours.failed} of ${ours.requests} requests, three hops deep\n\n` +
    line('', `${envoy} at 1 %`, `${name} at 0 %`) +
    line('failures with any span', ...of(({ kept }) => kept)) +
    line('failures whole, in one trace', ...of(({ whole }) => whole)) +
    line('traces of other requests', `${theirs.others}`, `${ours.others}`) +
    `\n${name}'s name file, rule, subset and weight of the call: ${names.join('; ') || 'none'}\n`
  );
}

async function printTrace(jaeger: Jaeger, id: string | undefined): Promise<void> {
  if (id === undefined) return;
  const shown = await tracecar('view', '--trace', id, '--query', jaeger.queryUrl, '--width', '100');
  process.stdout.write(`\n${shown}`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        requests: { type: 'string', default: '3000' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(help);
      return 0;
    }
    const requests = Number(values.requests);
    if (!Number.isInteger(requests) || requests < 1 || requests > 50_000) {
      throw new Error('--requests is 1 to 50000');
    }
    return await tell(requests, values.json);
  } catch (error) {
    process.stderr.write(`story: ${(error as Error).message}\n`);
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main();
