/**
 * The result of the webhook's bench as a file: conditions and every row, the bad ones too.
 *
 * It has a schema and a folder of its own (bench/results/webhook), so that nobody takes it for a result
 * of the proxy's bench. Times are kept as histograms: percentiles of rounds are never averaged.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SparseCounts } from './load/histogram.ts';
import type { chooseCores, describeMachine } from './stage/machine.ts';

type Machine = Awaited<ReturnType<typeof describeMachine>>;
export type Cores = NonNullable<ReturnType<typeof chooseCores>>;

export const webhookSchema = 'tracecar-webhook-bench-1';

export const webhookArms = ['spans', 'no spans'] as const;
export const webhookLoads = ['closed loop', 'bursts', 'one at a time'] as const;

/** One load on one arm in one round. CPU times are of 10 ms resolution, but for the load's. */
export interface WebhookRow {
  readonly arm: (typeof webhookArms)[number];
  readonly load: (typeof webhookLoads)[number];
  readonly round: number;
  readonly reviews: number;
  readonly wallUs: number;
  /** Of the webhook's process, all its threads. */
  readonly cpuUs: number;
  /** Of the process that makes the load, on the other core. */
  readonly loadCpuUs: number;
  /** Taken by the hypervisor from the webhook's core. */
  readonly stolenUs: number;
  /** Used by others on the webhook's core. */
  readonly foreignUs: number;
  /** Nanoseconds from the write of a review to the last byte of its answer. */
  readonly times: SparseCounts;
}

export interface WebhookResult {
  readonly schema: typeof webhookSchema;
  /** Of its start, ISO 8601. */
  readonly date: string;
  readonly commit: string;
  readonly parallel: number;
  readonly options: { readonly rounds: number; readonly seconds: number };
  readonly machine: Machine;
  readonly pinning: Cores | 'none';
  readonly rows: readonly WebhookRow[];
}

export function writeWebhookResult(path: string, result: WebhookResult): void {
  mkdirSync(dirname(path), { recursive: true });
  const { rows, ...conditions } = result;
  const head = JSON.stringify(conditions, undefined, 2).slice(0, -2);
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  writeFileSync(path, `${head},\n  "rows": [\n${lines}\n  ]\n}\n`);
}

/** Throws with the path when the file is no result of this bench. */
export function readWebhookResult(path: string): WebhookResult {
  const value = JSON.parse(readFileSync(path, 'utf8')) as WebhookResult;
  if (value.schema !== webhookSchema) throw new Error(`${path}: no result of the webhook's bench`);
  return value;
}
