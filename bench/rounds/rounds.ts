/**
 * The rounds of one scenario: every cell once in each, in the order of a Latin square, saved as they
 * come.
 *
 * After each round the whole result is written; a run that was interrupted goes on after its last whole
 * round. What fails in a cell is the fault of that row and does not end the run, unless the stage is
 * gone: a night's run must not be lost to one arm.
 */

import { type Arm, directNames, type MissingArm } from '../arms/arm.ts';
import { writeResult } from '../result/result.ts';
import type { CrossCheck, Result, ResultArm, Row } from '../result/row.ts';
import type { Cell, Scenario } from '../scenarios/scenario.ts';
import type { Stage } from '../stage/stage.ts';
import { rowOf } from './measure.ts';
import { RunningBench } from './running.ts';
import { orderCells } from './schedule.ts';

/** What a run adds to while it goes on. */
type Gathered = 'rows' | 'durationSeconds' | 'spansCollected' | 'crossChecks';

/** All of a result that is known before the first round. */
export type ResultHead = Omit<Result, Gathered>;

export interface ScenarioRun {
  readonly scenario: Scenario;
  readonly head: ResultHead;
  /** Of an interrupted run of the same scenario: whole rounds, from the first, and what else it has. */
  readonly earlier: Pick<Result, Gathered>;
  readonly path: string;
  readonly stage: Stage;
  /** Aborted when the whole run is to stop. */
  readonly signal: AbortSignal;
  progress(text: string): void;
  /** Asked once a run, after the last round, with all arms up; not when `earlier` has some already. */
  crossCheck?(bench: RunningBench): Promise<readonly CrossCheck[]>;
}

/** Runs what is missing: rounds, and then the cross-checks. */
export async function runScenario(run: ScenarioRun): Promise<Result> {
  const { scenario, head, earlier, stage, path, progress } = run;
  const startedAt = performance.now();
  const rows = [...earlier.rows];
  const bench = new RunningBench(stage, scenario.arms, progress);
  await stage.collector.mode('up');
  const spansBefore = await stage.collector.spans();
  let { crossChecks } = earlier;
  const resultNow = async (): Promise<Result> => ({
    ...head,
    durationSeconds: earlier.durationSeconds + (performance.now() - startedAt) / 1000,
    spansCollected: earlier.spansCollected + (await stage.collector.spans()) - spansBefore,
    crossChecks,
    rows,
  });
  const wantsCheck = run.crossCheck !== undefined && crossChecks.length === 0;
  try {
    const isWhole = countRounds(rows) === head.rounds;
    if (isWhole && !wantsCheck) return { ...head, ...earlier };
    if (!scenario.startsItsArms) await startAll(bench, head.cells);
    for (let round = countRounds(rows); round < head.rounds; round++) {
      progress(`${scenario.name}: round ${round + 1} of ${head.rounds}`);
      rows.push(...(await runRound(run, bench, round)));
      writeResult(path, await resultNow());
    }
    if (wantsCheck) {
      crossChecks = await run.crossCheck!(bench);
      writeResult(path, await resultNow());
    }
    return await resultNow();
  } finally {
    await bench.stopAll();
  }
}

/**
 * The arms of a result: direct ones first, each with its version or why it is missing. `lacking`: what
 * the machine lacks for all of them.
 */
export function describeArms(
  arms: readonly Arm[],
  backend: string,
  lacking?: MissingArm,
): readonly ResultArm[] {
  const direct = directNames.map((name) => ({
    name,
    label: name === 'direct' ? 'direct' : 'direct, again',
    setting: 'no proxy',
    ...(lacking ?? { version: backend }),
  }));
  const others = arms.map((arm) => {
    const { name, label, setting } = arm;
    return { name, label, setting, ...(lacking ?? arm.find()) };
  });
  return [...direct, ...others];
}

async function startAll(bench: RunningBench, cells: readonly Cell[]): Promise<void> {
  for (const name of new Set(cells.map((cell) => cell.arm))) {
    // Its rows will say what is wrong with it.
    await bench.running(name).catch((error) => bench.progress((error as Error).message));
  }
}

async function runRound(run: ScenarioRun, bench: RunningBench, round: number): Promise<Row[]> {
  const { scenario, head, progress } = run;
  const rows: Row[] = [];
  for (const [place, cell] of orderCells(head.cells, round).entries()) {
    const where = { round, place, seconds: head.seconds };
    try {
      rows.push(await scenario.measure(bench, cell, where));
    } catch (error) {
      run.signal.throwIfAborted();
      run.stage.assertUp();
      const fault = `failed: ${(error as Error).message}`;
      progress(`${cell.arm} ${cell.point}: ${fault}`);
      rows.push({ ...rowOf(cell, where), faults: [fault], values: {} });
    }
  }
  return rows;
}

function countRounds(rows: readonly Row[]): number {
  return rows.reduce((most, row) => Math.max(most, row.round + 1), 0);
}
