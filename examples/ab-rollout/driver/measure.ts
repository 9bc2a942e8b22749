/**
 * Sends the demo's requests and counts what arrived where.
 *
 * Failed requests and latency are counted from the responses, the split and the started traces from
 * what the applications say that they received, complete traces from the viewer.
 */

import { getJson, type Load, quantile } from './load.ts';
import { type Mesh, urlOf } from './mesh.ts';
import type { DemoPlan } from './plan.ts';
import type { DemoFigures } from './report.ts';
import { hopsPerTrace } from './trace-check.ts';
import { TraceLedger } from './trace-ledger.ts';

export interface Measured {
  readonly figures: DemoFigures;
  /** What went wrong, a line each, the first few of each kind. */
  readonly problems: readonly string[];
  /** The trace of the last good request: by then every process is warm. */
  readonly sampleTrace: string | undefined;
}

/** Between two looks at the viewer: what it must hold at most, and how often we say where we are. */
const roundRequests = 5_000;

export async function measure(
  plan: DemoPlan,
  mesh: Mesh,
  load: Load,
  wanted: { readonly requests: number; readonly concurrency: number },
  say: (line: string) => void,
): Promise<Measured> {
  const ledger = new TraceLedger(mesh.viewer);
  const latencies: number[] = [];
  const problems: string[] = [];
  let failed = 0;
  let wrongParents = 0;
  let sample: string | undefined;
  for (let sent = 0; sent < wanted.requests; sent += roundRequests) {
    const count = Math.min(roundRequests, wanted.requests - sent);
    await load.send(count, wanted.concurrency, (answer) => {
      latencies.push(answer.latencyMs);
      ledger.note(answer.id, Date.now() - answer.latencyMs);
      if (answer.problem === '') sample = answer.id;
      else if (++failed <= 5) problems.push(`request ${answer.id} failed: ${answer.problem}`);
    });
    const total = sent + count;
    say(`${total} of ${wanted.requests} requests answered, ${failed} failed; waiting for traces`);
    const settled = await ledger.settle();
    wrongParents += settled.wrongParents;
    problems.push(...settled.gaps);
  }
  latencies.sort((one, other) => one - other);
  const figures: DemoFigures = {
    requests: wanted.requests,
    failed,
    split: await readSplit(plan),
    traces: {
      started: await received(plan, 'web'),
      complete: ledger.completeCount,
      wrongParents,
    },
    mtls: shareOf(ledger.verifiedHops, wanted.requests * hopsPerTrace),
    latencyMs: {
      p50: rounded(quantile(latencies, 0.5)),
      p99: rounded(quantile(latencies, 0.99)),
    },
  };
  const sampleTrace = sample === undefined ? undefined : ledger.traceOf(sample);
  return { figures, problems, sampleTrace };
}

/** Distinct requests that each version of reviews received. */
async function readSplit(plan: DemoPlan): Promise<Record<string, number>> {
  const split: Record<string, number> = {};
  for (const { app, version } of plan.workloads) {
    if (app === 'reviews') split[version] = await received(plan, app, version);
  }
  return split;
}

/** Distinct requests that an application says it received, asked past the sidecars. */
async function received(plan: DemoPlan, app: string, version = ''): Promise<number> {
  const workload = plan.workloads.find((each) => each.app === app && each.version === version)!;
  const counts = await getJson<{ distinct: number }>(`${urlOf(workload.application)}/counts`);
  return counts.distinct;
}

/** Not rounded up: 1 means all. */
function shareOf(count: number, all: number): number {
  return Math.floor((count / all) * 10_000) / 10_000;
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
