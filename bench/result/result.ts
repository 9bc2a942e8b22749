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
  let result: Result;
  try {
    result = JSON.parse(readFileSync(path, 'utf8')) as Result;
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  }
  if (result.schema !== resultSchema) {
    throw new Error(`${path}: not a result of this bench (schema ${resultSchema})`);
  }
  return result;
}

/** What decides whether a file holds rounds of the same run. */
export type RunIdentity = Pick<
  Result,
  'scenario' | 'scale' | 'commit' | 'rounds' | 'seconds' | 'tolerateNoise' | 'keptAwake' | 'cells'
>;

/**
 * The rounds that a file already holds of the same run at the same commit, whole ones only; undefined
 * when there is no such file, or it is another run's or no result: then it will be replaced.
 */
export function takeUp(path: string, run: RunIdentity): Result | undefined {
  if (!existsSync(path)) return undefined;
  let found: Result;
  try {
    found = readAny(path);
  } catch {
    return undefined;
  }
  if (JSON.stringify(identityOf(found)) !== JSON.stringify(identityOf(run))) return undefined;
  const whole: Row[] = [];
  for (let round = 0; round < found.rounds; round++) {
    const rows = found.rows.filter((row) => row.round === round);
    if (rows.length !== orderCells(found.cells, round).length) break;
    whole.push(...rows);
  }
  return { ...found, rows: whole };
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

function identityOf(run: RunIdentity): RunIdentity {
  const { scenario, scale, commit, rounds, seconds, tolerateNoise, keptAwake, cells } = run;
  return { scenario, scale, commit, rounds, seconds, tolerateNoise, keptAwake, cells };
}

/** One element a line. */
function printLines(elements: readonly unknown[]): string {
  if (elements.length === 0) return '[]';
  return `[\n${elements.map((each) => `    ${JSON.stringify(each)}`).join(',\n')}\n  ]`;
}
