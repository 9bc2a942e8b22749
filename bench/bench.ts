/**
 * `npm run bench`: what one plain hop through Tracecar costs beside its rivals, in two numbers.
 *
 * It joins the parts: options, stage, rounds, result file, report. It measures nothing itself and
 * prints no figure that is not in the file. Every process it starts ends with it, Ctrl-C included.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { styleText } from 'node:util';
import { type Arm, arms, directNames } from './arms.ts';
import { Children } from './children.ts';
import { crossCheck } from './cross-check.ts';
import { chooseCores, describeCommit, describeMachine, pinBench } from './machine.ts';
import { type BenchOptions, benchHelp, readOptions, UsageError } from './options.ts';
import { printReport } from './report.ts';
import { type Result, type ResultArm, readResult, resultSchema, writeResult } from './result.ts';
import { runRounds, startArms } from './rounds.ts';
import { Stage } from './stage.ts';

const root = resolve(import.meta.dirname, '..');
const busyMax = 0.1;
/** A signal has come: what fails from now on fails because its process was stopped. */
let isStopping = false;

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === 'help') {
    process.stdout.write(benchHelp);
    return 0;
  }
  if (process.platform !== 'linux') {
    throw new UsageError('the benchmark needs Linux: it reads /proc and pins processes to cores');
  }
  const directory = mkdtempSync(join(tmpdir(), 'tracecar-bench-'));
  const children = new Children();
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      isStopping = true;
      children.stopAll().then(() => process.exit(status));
    });
  }
  try {
    const result = await measure(options, children, directory);
    const path = options.json ?? defaultPath(result.date);
    writeResult(path, result);
    process.stdout.write(printReport(readResult(path), relative(root, resolve(path))));
  } finally {
    await children.stopAll();
  }
  return 0;
}

async function measure(
  options: BenchOptions,
  children: Children,
  directory: string,
): Promise<Result> {
  const startedAt = Date.now();
  const commit = describeCommit(root);
  const cores = chooseCores();
  if (cores !== undefined) pinBench(cores);
  else progress('one core or no taskset: nothing is pinned, figures are rough');
  const chosen = arms.filter((arm) => options.arms.includes(arm.name));
  const described = chosen.map(describeArm);
  for (const arm of described.filter((each) => each.missing !== undefined)) {
    progress(`${arm.name} is missing (${arm.missing}); to have it: ${arm.install}`);
  }
  if (described.some((arm) => arm.program === 'src/cli/tracecar.ts')) {
    progress('dist/ is missing or older than src/: Tracecar runs from its sources (npm run build)');
  }
  const present = chosen.filter((_, index) => described[index]!.missing === undefined);
  const stage = await Stage.start(children, cores, directory);
  const running = await startArms(stage, present, progress);
  const machine = await describeMachine(cores);
  if (machine.idleBusy > busyMax) {
    const busy = Math.round(machine.idleBusy * 100);
    progress(`the machine is ${busy} % busy with other work: figures are a smoke test`);
  }
  const rows = await runRounds(stage, cores, present, running, options, progress);
  const crossChecks = options.crossCheck ? await crossCheck(children, directory, running) : [];
  const direct = directNames.map((name) => ({
    name,
    label: name === 'direct' ? 'direct' : 'direct, again',
    setting: 'no proxy',
    version: stage.backend,
  }));
  return {
    schema: resultSchema,
    date: new Date(startedAt).toISOString(),
    commit,
    command: ['npm', 'run', 'bench', '--', ...process.argv.slice(2)],
    options: {
      rounds: options.rounds,
      startRounds: options.startRounds,
      seconds: options.seconds,
      tolerateNoise: options.tolerateNoise,
    },
    durationSeconds: (Date.now() - startedAt) / 1000,
    machine,
    pinning: cores ?? 'none',
    backend: stage.backend,
    arms: [...direct, ...described],
    rows,
    spansCollected: await stage.spansCollected(),
    crossChecks,
  };
}

function describeArm(arm: Arm): ResultArm {
  const { name, label, setting } = arm;
  return { name, label, setting, ...arm.find() };
}

function defaultPath(date: string): string {
  return join(root, 'bench/results/local', `${date.slice(0, 19).replaceAll(':', '-')}.json`);
}

function progress(text: string): void {
  process.stderr.write(`${styleText('dim', text, { stream: process.stderr })}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!isStopping) process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
