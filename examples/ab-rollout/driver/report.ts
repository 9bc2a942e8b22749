/**
 * What the demo prints: figures beside what was configured, and what to try next.
 *
 * Figures come from what the applications and the viewer received; nothing here is computed from what
 * the demo meant to send.
 */

import type { Mesh } from './mesh.ts';
import { nameOf, urlOf } from './mesh.ts';
import type { DemoPlan } from './plan.ts';

/** The JSON object of `--once --json` (DESIGN.md section 5.1). */
export interface DemoFigures {
  readonly requests: number;
  readonly failed: number;
  readonly split: Readonly<Record<string, number>>;
  readonly traces: {
    readonly started: number;
    readonly complete: number;
    readonly wrongParents: number;
  };
  /** Share of the hops between sidecars at which both ends verified who was at the other, 0 to 1. */
  readonly mtls: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
}

export function printPlaces(plan: DemoPlan, mesh: Mesh): string {
  const rows = plan.workloads.map((workload, index) => {
    const { application, inbound } = workload;
    const admin = mesh.sidecars[index]!.admin;
    if (application === inbound) return `  ${nameOf(workload).padEnd(11)} ${urlOf(application)}`;
    return `  ${nameOf(workload).padEnd(11)} sidecar ${urlOf(inbound)}   application ${urlOf(application)}   admin http://${admin}`;
  });
  const { authority, receiver, viewer } = mesh;
  return `${rows.join('\n')}
  ${'viewer'.padEnd(11)} ${viewer}   spans come in at ${receiver}
  ${'authority'.padEnd(11)} ${authority}   signs the sidecars' certificates
`;
}

export function printFigures(figures: DemoFigures, configured: ReadonlyMap<string, number>) {
  const { requests, failed, split, traces, latencyMs, mtls } = figures;
  return (
    `${requests} requests through the sidecar of web: ${failed} failed, ` +
    `p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms\n\n` +
    `${printSplit(split, configured)}\n` +
    `traces: ${traces.complete} of ${traces.started} complete (five spans each), ` +
    `${traces.wrongParents} wrong parents\n` +
    `mutual TLS: ${percent(mtls).trim()} of the hops between sidecars, each end knows the other by name\n`
  );
}

/** Observed shares beside the configured ones. */
export function printSplit(
  observed: Readonly<Record<string, number>>,
  configured: ReadonlyMap<string, number>,
): string {
  const sum = Object.values(observed).reduce((total, count) => total + count, 0);
  const subsets = [...new Set([...configured.keys(), ...Object.keys(observed)])].sort();
  const rows = subsets.map((subset) => {
    const count = observed[subset] ?? 0;
    const share = sum === 0 ? 0 : count / sum;
    return `  reviews ${subset.padEnd(6)}${percent(configured.get(subset) ?? 0)}   ${percent(share)}  (${count} requests)`;
  });
  return `                configured   observed\n${rows.join('\n')}\n`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1).padStart(8)} %`;
}

export function printNext(plan: DemoPlan, mesh: Mesh, traceId: string): string {
  const web = plan.workloads[0]!;
  const query = mesh.viewer.replace('http://', '');
  const rows = [
    ['a request of your own', `curl '${urlOf(web.inbound)}/?id=hello'`],
    ['what the sidecar of web runs with', mesh.sidecars[0]!.configCommand],
    ['a trace, every span of it', `${mesh.viewer}/trace/${traceId}`],
    ['v1 against v2, and who calls whom', `${mesh.viewer}/ab   ${mesh.viewer}/graph`],
    ['why a trace went so', `npm run -s tracecar -- explain --trace ${traceId} --query ${query}`],
    ["Jaeger's query API", `curl ${mesh.viewer}/api/v3/services`],
  ];
  return `Try next, while this runs:
  - edit the two weights in ${plan.weightsFile}: the split shifts within a second, and shows here
  - misspell a field: what ran before keeps running, and the mistake is named here
${rows.map(([what, line]) => `  - ${what!.padEnd(34)} ${line}\n`).join('')}Ctrl-C ends everything.
`;
}
