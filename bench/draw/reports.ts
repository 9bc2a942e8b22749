/**
 * Result files taken together for one report: each scenario's section, and what could not be drawn.
 *
 * It reads files and writes none. In a folder nothing is silently left out: a file that is no result, or
 * one with missing rows, is named with the reason, and so is a scenario without a file.
 */

import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { findHoles, readAny } from '../result/result.ts';
import type { Result } from '../result/row.ts';
import { Summary } from '../result/summary.ts';
import { judgeTargets, type TargetOutcome } from '../result/targets.ts';
import { findScenario, scenarios } from '../scenarios/scenarios.ts';
import { crossCheckTables } from './cross-check-table.ts';
import type { Section } from './section.ts';

export interface Report {
  /** As a reader would type it. */
  readonly path: string;
  readonly result: Result;
  readonly summary: Summary;
  readonly section: Section;
}

export interface Reports {
  /** In the order of the scenarios. */
  readonly list: readonly Report[];
  /** What is not in it and why, a sentence each. */
  readonly gaps: readonly string[];
  /** A whole run: scenarios without a file are gaps, and their targets are named. */
  readonly isWhole: boolean;
}

/** Throws when rows are missing or the scenario is not known. */
export function reportOf(result: Result, path: string): Report {
  const holes = findHoles(result);
  if (holes.length > 0) throw new Error(`rows are missing: ${holes.slice(0, 5).join('; ')}`);
  const scenario = findScenario(result.scenario);
  if (scenario === undefined) throw new Error(`no scenario "${result.scenario}"`);
  const summary = new Summary(result);
  const section = scenario.report(summary);
  const tables = [...section.tables, ...crossCheckTables(summary)];
  return { path, result, summary, section: { ...section, tables } };
}

/**
 * Files and folders, by their paths; `root` is what printed paths begin at. A folder, or more than one
 * file, is a whole run. Throws when a path is not there.
 */
export function readReports(paths: readonly string[], root: string): Reports {
  const files = paths.flatMap((path) =>
    statSync(path).isDirectory() ? resultFilesOf(path) : [path],
  );
  const list: Report[] = [];
  const gaps: string[] = [];
  for (const file of files) {
    const path = nameOf(file, root);
    try {
      list.push(reportOf(readAny(file), path));
    } catch (error) {
      const reason = (error as Error).message.replace(`${file}: `, '');
      gaps.push(`${path} is not drawn: ${reason}.`);
    }
  }
  const isWhole = files.length !== 1 || paths[0] !== files[0];
  return joinReports(list, isWhole, gaps);
}

/** In order; of a whole run, with the scenarios that it lacks. */
export function joinReports(
  reports: readonly Report[],
  isWhole: boolean,
  problems: readonly string[] = [],
): Reports {
  const order = (report: Report) =>
    scenarios.findIndex(({ name }) => name === report.result.scenario);
  const list = [...reports].sort((left, right) => order(left) - order(right));
  const known = new Set(list.map(({ result }) => result.scenario));
  const absent = isWhole ? scenarios.filter(({ name }) => !known.has(name)) : [];
  const gaps = absent.map(({ id, name, title }) => `Not measured: ${id} ${name}, "${title}".`);
  return { list, gaps: [...problems, ...gaps], isWhole };
}

/** Every target; those of scenarios that are not in it only where it is a whole run. */
export function outcomesOf({ list, isWhole }: Reports): readonly TargetOutcome[] {
  const summaries = new Map(list.map(({ result, summary }) => [result.scenario, summary]));
  const outcomes = judgeTargets(summaries);
  return isWhole ? outcomes : outcomes.filter(({ target }) => summaries.has(target.scenario));
}

/** From the root where it lies below it. */
export function nameOf(path: string, root: string): string {
  const short = relative(root, path);
  return short.startsWith('..') ? path : short;
}

function resultFilesOf(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => join(folder, name));
}
