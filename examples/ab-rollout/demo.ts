/**
 * `npm run demo`: three unchanged services in four processes, a sidecar beside each, mutual TLS between
 * the sidecars, whole traces.
 *
 * Stays up until Ctrl-C; `--once --requests N [--json]` stops after N requests with status 0 when
 * every one was answered, has its whole trace and met verified peers only, else 1, and 2 when it could
 * not start.
 */

import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { drawTrace } from './driver/draw.ts';
import { followRollout } from './driver/follow.ts';
import { getJson, Load } from './driver/load.ts';
import { measure } from './driver/measure.ts';
import { DemoProblem, type Mesh, startMesh } from './driver/mesh.ts';
import { npmGone } from './driver/orphan.ts';
import { type DemoPlan, readPlan } from './driver/plan.ts';
import { printFigures, printNext, printPlaces } from './driver/report.ts';
import { printPeers, spansByTrace, type TracesReply } from './driver/trace-check.ts';
import { startTransparentMesh } from './driver/transparent-mesh.ts';
import { readTransparentPlan } from './driver/transparent-plan.ts';

const usage = `usage: npm run demo -- [FLAGS]
  --once              stop after the requests instead of staying up
  --requests N        how many requests to send first [1000]
  --concurrency C     how many of them at a time [16]
  --json              with --once: one JSON object on stdout
  --transparent       every program in a network of its own, by \`tracecar run\`; needs root
  --config DIR        another folder of YAML than examples/ab-rollout, for other ports or weights
`;

interface DemoSettings {
  readonly isOnce: boolean;
  readonly isJson: boolean;
  readonly requests: number;
  readonly concurrency: number;
  readonly folder: string;
  readonly isTransparent: boolean;
}

function readSettings(args: string[]): DemoSettings | undefined {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      requests: { type: 'string', default: '1000' },
      concurrency: { type: 'string', default: '16' },
      config: { type: 'string', default: relative('', import.meta.dirname) || '.' },
      transparent: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.json && !values.once) throw new DemoProblem('--json goes with --once');
  return {
    isOnce: values.once,
    isJson: values.json,
    requests: readCount('requests', values.requests, 1_000_000),
    concurrency: readCount('concurrency', values.concurrency, 1_000),
    folder: values.config,
    isTransparent: values.transparent,
  };
}

function readCount(flag: string, text: string, max: number): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= max) return count;
  throw new DemoProblem(`--${flag} is a whole number from 1 to ${max}, not '${text}'`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Sends the requests and prints; resolves with whether all of them were right. */
async function present(settings: DemoSettings, plan: DemoPlan, mesh: Mesh, load: Load) {
  say(`sending ${settings.requests} requests, ${settings.concurrency} at a time`);
  const measured = await measure(plan, mesh, load, settings, say);
  const { figures, problems, sampleTrace } = measured;
  for (const problem of problems) say(`  ${problem}`);
  const { failed, mtls, requests, traces } = figures;
  const isRight =
    failed === 0 &&
    mtls === 1 &&
    traces.started === requests &&
    traces.complete === requests &&
    traces.wrongParents === 0;
  if (settings.isJson) {
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    return isRight;
  }
  process.stdout.write(`\n${printFigures(figures, plan.configured)}\n`);
  if (sampleTrace !== undefined) {
    process.stdout.write(`one whole trace, ${sampleTrace}:\n\n`);
    process.stdout.write(`${await drawTrace(mesh.viewer, sampleTrace)}\n`);
    const reply = await getJson<TracesReply>(`${mesh.viewer}/api/v3/traces/${sampleTrace}`);
    const peers = printPeers(spansByTrace(reply).get(sampleTrace) ?? []);
    process.stdout.write(`its hops, each end as the other has verified it:\n\n${peers}\n`);
    process.stdout.write(`see it: ${mesh.viewer}/trace/${sampleTrace}\n\n`);
  }
  if (!settings.isOnce) process.stdout.write(printNext(plan, mesh, sampleTrace ?? 'ID'));
  return isRight;
}

async function runDemo(settings: DemoSettings): Promise<number> {
  const { folder, isTransparent } = settings;
  const plan = isTransparent ? readTransparentPlan(folder) : readPlan(folder);
  const ended = new Promise<void>((settle) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => settle());
    }
    void npmGone().then(settle);
  });
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  say('starting the viewer, the authority, four applications and four sidecars');
  const start = isTransparent ? startTransparentMesh : startMesh;
  const mesh = await start(plan, folder, say, (lastWords) =>
    lost.reject(new DemoProblem(lastWords)),
  );
  const load = new Load(plan.workloads[0]!.inbound, settings.concurrency);
  try {
    if (!settings.isJson) process.stdout.write(`${printPlaces(plan, mesh)}\n`);
    const interrupted = Symbol('interrupted');
    const shown = await Promise.race([
      present(settings, plan, mesh, load),
      ended.then(() => interrupted),
      lost.promise,
    ]);
    if (shown === interrupted) return 130;
    if (settings.isOnce) return shown === true ? 0 : 1;
    const following = followRollout(plan, mesh, load, (text) => process.stdout.write(text));
    try {
      await Promise.race([ended, lost.promise]);
    } finally {
      following.stop();
    }
    say('ending');
    return 0;
  } finally {
    load.close();
    await mesh.end();
  }
}

try {
  const settings = readSettings(process.argv.slice(2));
  if (settings === undefined) process.stdout.write(usage);
  else process.exitCode = await runDemo(settings);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  say(`demo: ${message}`);
  process.exitCode = 2;
}
// Everything has been ended; a measurement that was interrupted would go on for its requests.
process.exit();
