/**
 * While the demo stays up: a trickle of requests, and a line when the configuration changes.
 *
 * The sidecar of web says what it runs with (its admin port), the responses say where requests go.
 */

import type { Load } from './load.ts';
import type { AdminConfig, Mesh } from './mesh.ts';
import { type DemoPlan, readShares } from './plan.ts';
import { printSplit } from './report.ts';

const requestEveryMs = 25;
const lookEveryMs = 200;
/** How many responses after a change make the split that is shown. */
const windowRequests = 100;
/** Of requests that fail in the same way the first is printed, and each hundredth after it. */
const failuresPerLine = 100;

/** Begins; `stop` ends it. */
export function followRollout(
  plan: DemoPlan,
  mesh: Mesh,
  load: Load,
  print: (text: string) => void,
): { stop(): void } {
  let window: Map<string, number> | undefined;
  let shares = plan.configured;
  let failed = 0;
  let isOver = false;
  const problems = new Map<string, number>();
  const trickle = setInterval(() => {
    // A request that was sent before a change says nothing about what follows it.
    const sentIn = window;
    void load.sendOne().then(({ version, problem }) => {
      if (isOver) return;
      if (problem !== '') {
        failed += 1;
        const count = (problems.get(problem) ?? 0) + 1;
        problems.set(problem, count);
        if (count % failuresPerLine !== 1) return;
        print(`  a request failed (${failed} so far): ${problem}\n`);
      } else if (window !== undefined && window === sentIn) {
        window.set(version, (window.get(version) ?? 0) + 1);
        const count = [...window.values()].reduce((sum, each) => sum + each, 0);
        if (count < windowRequests) return;
        print(`\nthe next ${count} requests, ${failed} failed since the start:\n`);
        print(`${printSplit(Object.fromEntries(window), shares)}\n`);
        window = undefined;
      }
    });
  }, requestEveryMs);
  const seen = { generation: mesh.sidecars[0]!.generation, complaints: '' };
  const look = setInterval(() => {
    void readConfig(mesh).then((config) => {
      if (config === undefined || isOver) return;
      const complaints = printComplaints(config);
      if (complaints !== seen.complaints) {
        print(
          complaints === ''
            ? '\nthe mistake is mended\n'
            : `\nthe configuration has a mistake; a file that cannot be read keeps its last good content, a missing reference fails closed:\n${complaints}`,
        );
      }
      if (config.generation !== seen.generation) {
        shares = readShares(config.table);
        window = new Map();
        print(`\nconfiguration ${config.generation} is in force: ${printShares(shares)}\n`);
      }
      seen.generation = config.generation;
      seen.complaints = complaints;
    });
  }, lookEveryMs);
  return {
    stop() {
      isOver = true;
      clearInterval(trickle);
      clearInterval(look);
    },
  };
}

async function readConfig(mesh: Mesh): Promise<AdminConfig | undefined> {
  try {
    return await mesh.readConfig();
  } catch {
    // The demo is ending, or it will hear of the lost sidecar in another way.
    return undefined;
  }
}

function printComplaints({ diagnostics }: AdminConfig): string {
  return diagnostics
    .filter(({ severity }) => severity === 'error')
    .map(({ file, line, message, fix }) => `  ${file}:${line}: ${message}. ${fix}\n`)
    .join('');
}

function printShares(shares: ReadonlyMap<string, number>): string {
  return [...shares].map(([subset, share]) => `${subset} ${(share * 100).toFixed(1)} %`).join(', ');
}
