/**
 * The result file: written whole after every round, read and checked, and taken up again.
 *
 * Rows are kept round by round, the bad ones too. Reading checks that no row is missing: a result with
 * holes is refused, not averaged over.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { orderCells } from '../rounds/schedule.ts';
import type { Result, Row } from './row.ts';

export const resultSchema = 'tracecar-bench/2';

/** Writes the file and the folders above it; whoever reads meanwhile sees the old one or the new one. */
export function writeResult(path: string, result: Result): void {
  mkdirSync(dirname(path), { recursive: true });
  const { rows, cells, ...head } = result;
  const text = JSON.stringify({ ...head, cells: [], rows: [] }, undefined, 2)
    .replace('"cells": []', () => `"cells": ${printLines(cells)}`)
    .replace('"rows": []', () => `"rows": ${printLines(rows)}`);
  writeFileSync(`${path}.part`, `${text}\n`);
  renameSync(`${path}.part`, path);
}

/** Reads and checks a result; throws an Error that names the file and what is wrong with it. */
export function readResult(path: string): Result {
  const result = readAny(path);
  const holes = findHoles(result);
  if (holes.length > 0) {
    throw new Error(`${path}: rows are missing: ${holes.slice(0, 5).join('; ')}`);
  }
  return result;
}

/** Like readResult, but rounds may be missing that a run was stopped before. */
export function readAny(path: string): Result {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
  const result = value as Result | null;
  if (result?.schema !== resultSchema) {
    throw new Error(`${path}: not a result of this bench (schema ${resultSchema})`);
  }
  const lacking = findLacking(result);
  if (lacking !== undefined) throw new Error(`${path}: not a whole result: ${lacking}`);
  return result;
}

/** In words of whoever typed the path. */
function reasonOf(error: NodeJS.ErrnoException): string {
  if (error instanceof SyntaxError) return `not whole, or no JSON (${error.message})`;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EISDIR: 'a folder, not a file',
    EACCES: 'may not be read',
  };
  return known[error.code ?? ''] ?? error.message;
}

/** The first part that a result must have and this one has not; everything else may rely on them. */
function findLacking(result: Partial<Result>): string | undefined {
  for (const name of ['arms', 'cells', 'rows', 'crossChecks'] as const) {
    if (!Array.isArray(result[name])) return `no ${name}`;
  }
  for (const name of ['scenario', 'title', 'date', 'commit', 'backend'] as const) {
    if (typeof result[name] !== 'string') return `no ${name}`;
  }
  for (const name of ['rounds', 'seconds', 'durationSeconds'] as const) {
    if (typeof result[name] !== 'number') return `no ${name}`;
  }
  if (typeof result.machine?.idleBusy !== 'number') return 'no machine';
  const isRow = (row: Row | null) =>
    typeof row?.values === 'object' && Array.isArray(row.faults) && typeof row.round === 'number';
  return result.rows!.every(isRow) ? undefined : 'a row is broken';
}

/** What decides whether a file holds rounds of the same run: what was asked, what ran, and on what. */
export type RunIdentity = Pick<
  Result,
  | 'scenario'
  | 'scale'
  | 'commit'
  | 'rounds'
  | 'seconds'
  | 'tolerateNoise'
  | 'keptAwake'
  | 'cells'
  | 'arms'
  | 'backend'
  | 'machine'
  | 'pinning'
>;

/** What is at a path where a run is to be written. */
export type Found =
  | { readonly kind: 'nothing' }
  /** Whole rounds of the same run; the rows of a round that was broken off are left out. */
  | { readonly kind: 'same run'; readonly result: Result }
  /** It will be replaced; `differing` names in what it is another run. */
  | { readonly kind: 'other run'; readonly differing: readonly string[] };

/**
 * Looks what a file already holds of a run: rounds of the same run at the same commit are kept. Throws
 * like readAny when there is a file that is no result, which nobody may want replaced.
 */
export function takeUp(path: string, run: RunIdentity): Found {
  if (!existsSync(path)) return { kind: 'nothing' };
  const found = readAny(path);
  const [before, now] = [identityOf(found), identityOf(run)];
  const differing = Object.keys(now).filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]),
  );
  if (differing.length > 0) return { kind: 'other run', differing };
  const whole: Row[] = [];
  for (let round = 0; round < found.rounds; round++) {
    const rows = found.rows.filter((row) => row.round === round);
    if (rows.length !== orderCells(found.cells, round).length) break;
    whole.push(...rows);
  }
  return { kind: 'same run', result: { ...found, rows: whole } };
}

/** Every round and cell that should have exactly one row and has not. */
export function findHoles(result: Result): readonly string[] {
  const counts = new Map<string, number>();
  for (const { round, arm, point } of result.rows) {
    const key = nameRow(round, arm, point);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const holes: string[] = [];
  for (let round = 0; round < result.rounds; round++) {
    for (const { arm, point } of orderCells(result.cells, round)) {
      const key = nameRow(round, arm, point);
      const count = counts.get(key) ?? 0;
      if (count !== 1) holes.push(count === 0 ? key : `${key} (${count} times)`);
    }
  }
  return holes;
}

function nameRow(round: number, arm: string, point: string): string {
  return `round ${round + 1}, ${arm}${point === '' ? '' : `, ${point}`}`;
}

/** Labels and settings of the arms are words, and how busy the machine was belongs to a moment. */
function identityOf(run: RunIdentity): Readonly<Record<string, unknown>> {
  const { scenario, scale, commit, rounds, seconds, tolerateNoise, keptAwake, cells } = run;
  const { loadAverage: _, idleBusy: __, ...machine } = run.machine;
  const { backend, pinning } = run;
  const arms = run.arms.map(({ name, version, program, build, missing }) => ({
    ...{ name, version, program, build, missing },
  }));
  const asked = { scenario, scale, commit, rounds, seconds, tolerateNoise, keptAwake, cells };
  return { ...asked, arms, backend, machine, pinning };
}

/** One element a line. */
function printLines(elements: readonly unknown[]): string {
  if (elements.length === 0) return '[]';
  return `[\n${elements.map((each) => `    ${JSON.stringify(each)}`).join(',\n')}\n  ]`;
}
