/**
 * The result file: everything a run measured, and all that a report may be drawn from.
 *
 * Rows are kept round by round, the bad ones too, each with its faults: dropping happens in the report
 * and is counted there. Reading checks that no row is missing: a result with holes is refused, not
 * averaged over.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SparseCounts } from './histogram.ts';

export const resultSchema = 'tracecar-bench/1';

/** saturation: 16 connections, closed loop. single: 1 connection, 1000/s. many: 16, 2000/s. */
export type LegName = 'start' | 'saturation' | 'single' | 'many';

/** What every row says about the conditions it was measured in; shares are 0 to 1 of one core. */
interface RowBase {
  readonly round: number;
  /** Place in the round's order, from 0. */
  readonly place: number;
  readonly arm: string;
  /** Why the row must not count, each as 'kind: value'; empty when it counts. */
  readonly faults: readonly string[];
}

export interface LoadRow extends RowBase {
  readonly leg: 'saturation' | 'single' | 'many';
  readonly elapsedSeconds: number;
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly errors: number;
  /** utime + stime of the proxy, all threads; 0 for direct. */
  readonly cpuUs: number;
  readonly proxyCoreBusy: number;
  readonly loadCoreBusy: number;
  /** Of the proxy's core, what another process used. */
  readonly foreign: number;
  readonly stolen: number;
  /** Open loop only. From the due time, from the real sending, and the generator's own lateness. */
  readonly latency?: SparseCounts;
  readonly service?: SparseCounts;
  readonly latenessP99Us?: number;
}

export interface StartRow extends RowBase {
  readonly leg: 'start';
  /** From exec to the last byte of the first right answer. */
  readonly firstAnswerMs: number;
  /** Half a second later, one request served. */
  readonly rssKb: number;
  readonly anonymousKb: number;
}

export type Row = LoadRow | StartRow;

export interface ResultArm {
  readonly name: string;
  readonly label: string;
  readonly setting: string;
  readonly version?: string;
  readonly program?: string;
  readonly missing?: string;
  readonly install?: string;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly kernel: string;
  readonly node: string;
  readonly mitigations: Readonly<Record<string, string>>;
  readonly loadAverage: number;
  /** Share of both cores that was busy in one second before the first round, nothing being asked. */
  readonly idleBusy: number;
}

export interface CrossCheck {
  readonly arm: string;
  readonly tool: string;
  readonly version: string;
  readonly requestsPerSecond: number;
  readonly cpuUsPerRequest: number;
}

export interface Result {
  readonly schema: typeof resultSchema;
  readonly date: string;
  readonly commit: string;
  readonly command: readonly string[];
  readonly options: {
    readonly rounds: number;
    readonly startRounds: number;
    readonly seconds: number;
    /** Noise was tolerated: the figures are a smoke test. */
    readonly tolerateNoise: boolean;
  };
  readonly durationSeconds: number;
  readonly machine: Machine;
  readonly pinning: { readonly proxy: number; readonly load: number } | 'none';
  readonly backend: string;
  readonly arms: readonly ResultArm[];
  readonly rows: readonly Row[];
  /** Spans that the collector counted; proof that tracing was on. */
  readonly spansCollected: number;
  readonly crossChecks: readonly CrossCheck[];
}

/** Writes the file and the folders above it. */
export function writeResult(path: string, result: Result): void {
  mkdirSync(dirname(path), { recursive: true });
  const { rows, ...head } = result;
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  const text = JSON.stringify({ ...head, rows: [] }, undefined, 2);
  writeFileSync(path, `${text.replace('"rows": []', () => `"rows": [\n${lines}\n  ]`)}\n`);
}

/** Reads and checks a result; throws an Error that names the file and what is wrong with it. */
export function readResult(path: string): Result {
  let result: Result;
  try {
    result = JSON.parse(readFileSync(path, 'utf8')) as Result;
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  }
  if (result.schema !== resultSchema) {
    throw new Error(`${path}: not a result of this bench (schema ${resultSchema})`);
  }
  const holes = findHoles(result);
  if (holes.length > 0) {
    throw new Error(`${path}: rows are missing: ${holes.slice(0, 5).join('; ')}`);
  }
  return result;
}

/** Every round, arm and leg that should have exactly one row and has not. */
export function findHoles(result: Result): readonly string[] {
  const counts = new Map<string, number>();
  for (const { round, arm, leg } of result.rows) {
    const key = `round ${round + 1}, ${arm}, ${leg}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const holes: string[] = [];
  for (const arm of result.arms.filter((each) => each.missing === undefined)) {
    for (let round = 0; round < result.options.rounds; round++) {
      for (const leg of legsOf(arm.name, round, result.options.startRounds)) {
        const key = `round ${round + 1}, ${arm.name}, ${leg}`;
        const count = counts.get(key) ?? 0;
        if (count !== 1) holes.push(count === 0 ? key : `${key} (${count} times)`);
      }
    }
  }
  return holes;
}

/** Which legs an arm runs in a round (from 0). Direct has no proxy to start or to saturate. */
export function legsOf(arm: string, round: number, startRounds: number): readonly LegName[] {
  if (arm === 'direct-again') return ['single', 'many'];
  const loads: readonly LegName[] = ['saturation', 'single', 'many'];
  return arm === 'direct' || round >= startRounds ? loads : ['start', ...loads];
}
