/**
 * `npm run bench`: what Tracecar costs beside its rivals, scenario by scenario.
 *
 * It joins the parts: options, stage, rounds, result files, report. It measures nothing itself and
 * prints no figure that is not in a file. Every process it starts ends with it, Ctrl-C included.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { styleText } from 'node:util';
import { nameOf } from './draw/reports.ts';
import { crossCheck, missingTools } from './load/cross-check.ts';
import { type BenchOptions, benchHelp, readOptions, UsageError } from './options.ts';
import { reportRun } from './report.ts';
import { readAny, resultSchema, takeUp } from './result/result.ts';
import type { Machine, ResultArm } from './result/row.ts';
import { isWrong } from './result/summary.ts';
import { describeArms, type ResultHead, runScenario, type ScenarioRun } from './rounds/rounds.ts';
import { describeScenarios } from './scenarios/describe.ts';
import type { Cell, Scenario } from './scenarios/scenario.ts';
import { Children } from './stage/children.ts';
import { chooseCores, describeCommit, describeMachine, pinBench } from './stage/machine.ts';
import { openRunFolder } from './stage/run-folder.ts';
import { Stage } from './stage/stage.ts';

const root = resolve(import.meta.dirname, '..');
const busyMax = 0.1;
/** Aborted by a signal: what fails from then on fails because its process was stopped. */
const stopping = new AbortController();

async function main(args: readonly string[]): Promise<number> {
  const date = new Date().toISOString();
  const options = readOptions(args, date);
  if (options === 'help') {
    process.stdout.write(benchHelp);
    return 0;
  }
  if ('list' in options) {
    process.stdout.write(describeScenarios(options.scenarios, options.list));
    return 0;
  }
  if (process.platform !== 'linux') {
    throw new UsageError('the benchmark needs Linux: it reads /proc and pins processes to cores');
  }
  prepareFiles(options);
  const directory = openRunFolder(progress);
  const children = new Children();
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      stopping.abort();
      children.stopAll().then(() => process.exit(status));
    });
  }
  try {
    return await runAll(options, date, children, directory);
  } finally {
    await children.stopAll();
  }
}

/** Every scenario on one stage; the status is 1 when a row failed, or has a wrong answer. */
async function runAll(
  options: BenchOptions,
  date: string,
  children: Children,
  directory: string,
): Promise<number> {
  const commit = describeCommit(root);
  const cores = chooseCores();
  if (cores !== undefined) pinBench(cores);
  else progress('one core or no taskset: nothing is pinned, figures are rough');
  const machine = await describeMachine(cores);
  if (machine.idleBusy > busyMax) {
    const busy = Math.round(machine.idleBusy * 100);
    progress(`the machine is ${busy} % busy with other work: figures are a smoke test`);
  }
  const { keepAwake } = options;
  const stage = await Stage.start({ children, cores, directory, keepAwake });
  if (keepAwake && !stage.keptAwake) {
    progress('idle cores may halt: there is no /dev/cpu_dma_latency to write to (are you root?)');
  }
  let status = 0;
  for (const scenario of options.scenarios) {
    const head = describeRun(scenario, options, { date, commit, machine }, stage);
    const path = pathOf(scenario, options);
    const earlier = earlierOf(path, head);
    const { signal } = stopping;
    const run: ScenarioRun = { scenario, head, earlier, path, stage, signal, progress };
    const isChecked = scenario.name === 'hop' && hasTools(options);
    const { rows } = await runScenario({
      ...run,
      ...(isChecked
        ? {
            crossCheck: (bench) => {
              progress('cross-check with other load generators');
              return crossCheck(children, directory, stage, bench.all(), signal);
            },
          }
        : {}),
    });
    if (rows.some(isWrong)) status = 1;
  }
  // Of a whole run everything in its folder, what was measured earlier too.
  const isRun = options.scale !== 'quick' && options.json === undefined;
  const paths = options.scenarios.map((scenario) => pathOf(scenario, options));
  process.stdout.write(reportRun(isRun ? [resolve(root, options.out)] : paths, isRun));
  return status;
}

function pathOf(scenario: Scenario, options: BenchOptions): string {
  return resolve(root, options.json ?? join(options.out, `${scenario.name}.json`));
}

/**
 * Before hours of measuring: results can be written, and what is there is a result. Another run's may
 * be replaced; what is none is nobody's to replace.
 */
function prepareFiles(options: BenchOptions): void {
  for (const path of options.scenarios.map((scenario) => pathOf(scenario, options))) {
    const name = nameOf(path, root);
    try {
      makeFolders(dirname(path));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new UsageError(`${name} cannot be written (${code}): choose another --out DIR`);
    }
    try {
      if (existsSync(path)) readAny(path);
    } catch (error) {
      const what = (error as Error).message.replace(path, name);
      const remedy = 'remove it, or choose another --out DIR or --json FILE';
      throw new UsageError(`${what}; it is not overwritten: ${remedy}`);
    }
  }
}

/** One after the other: below /proc, where none can be made, a recursive mkdir never returns. */
function makeFolders(path: string): void {
  if (existsSync(path)) return;
  makeFolders(dirname(path));
  mkdirSync(path);
}

/** Whole rounds of the same run; nothing where there is none or another run's result. */
function earlierOf(path: string, head: ResultHead): ScenarioRun['earlier'] {
  const found = takeUp(path, head);
  const name = nameOf(path, root);
  if (found.kind === 'same run') {
    const { length } = found.result.rows;
    if (length > 0) progress(`${name}: has ${length} rows of this run already, goes on after them`);
    return found.result;
  }
  if (found.kind === 'other run') {
    progress(`${name}: is of a run with other ${found.differing.join(', ')}, and is replaced`);
  }
  return { rows: [], durationSeconds: 0, spansCollected: 0, crossChecks: [] };
}

/** Whether another load generator is wanted and there. */
function hasTools(options: BenchOptions): boolean {
  if (!options.crossCheck) return false;
  const missing = missingTools();
  if (missing.length > 0) {
    const names = missing.join(' and ');
    progress(`no cross-check with ${names}; to have it: npm run peers ${missing.join(' ')}`);
  }
  return missing.length < 2;
}

function describeRun(
  scenario: Scenario,
  options: BenchOptions,
  about: { readonly date: string; readonly commit: string; readonly machine: Machine },
  stage: Stage,
): ResultHead {
  const { scale, tolerateNoise } = options;
  const pace = scenario.pace(scale);
  const cells = scenario.cells(scale);
  const wanted = new Set(options.arms ?? cells.map((cell) => cell.arm));
  const chosen = scenario.arms.filter(
    ({ name }) => wanted.has(name) && cells.some((cell) => cell.arm === name),
  );
  const arms = describeArms(chosen, stage.backend, scenario.lacks?.());
  warnOf(arms);
  return {
    schema: resultSchema,
    scenario: scenario.name,
    title: scenario.title,
    scale,
    ...about,
    command: ['npm', 'run', 'bench', '--', ...process.argv.slice(2)],
    rounds: options.rounds ?? pace.rounds,
    seconds: options.seconds ?? pace.seconds,
    tolerateNoise,
    keptAwake: stage.keptAwake,
    pinning: stage.cores ?? 'none',
    backend: stage.backend,
    arms,
    cells: presentCells(cells, arms),
    leftOut: leftOutOf(scenario, cells, wanted),
  };
}

/** Labels of the arms that --arms does not name. */
function leftOutOf(
  { arms }: Scenario,
  cells: readonly Cell[],
  wanted: ReadonlySet<string>,
): readonly string[] {
  return arms
    .filter(({ name }) => !wanted.has(name) && cells.some((cell) => cell.arm === name))
    .map(({ label }) => label);
}

/** Cells of arms that are here and wanted. */
function presentCells(cells: readonly Cell[], arms: readonly ResultArm[]): readonly Cell[] {
  const present = new Set(arms.filter((arm) => arm.missing === undefined).map((arm) => arm.name));
  return cells.filter((cell) => present.has(cell.arm));
}

function warnOf(arms: readonly ResultArm[]): void {
  for (const arm of arms.filter((each) => each.missing !== undefined)) {
    progress(`${arm.name} is missing (${arm.missing}); to have it: ${arm.install}`);
  }
  if (arms.some((arm) => arm.program === 'src/cli/tracecar.ts')) {
    progress('dist/ is missing or older than src/: Tracecar runs from its sources (npm run build)');
  }
}

function progress(text: string): void {
  process.stderr.write(`${styleText('dim', text, { stream: process.stderr })}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isMistake = error instanceof UsageError;
  const help = isMistake ? ' (all flags: npm run bench -- --help)' : '';
  if (!stopping.signal.aborted) process.stderr.write(`bench: ${(error as Error).message}${help}\n`);
  process.exitCode = isMistake ? 2 : 1;
}
