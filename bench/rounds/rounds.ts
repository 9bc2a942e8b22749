/**
 * The rounds of one scenario: every cell once in each, in the order of a Latin square, saved as they
 * come.
 *
 * After each round the whole result is written; a run that was interrupted goes on after its last whole
 * round. What fails in a cell is the fault of that row and does not end the run, unless the stage is
 * gone: a night's run must not be lost to one arm.
 */

import { type Arm, directNames } from '../arms/arm.ts';
import { writeResult } from '../result/result.ts';
import type { Result, ResultArm, Row } from '../result/row.ts';
import type { Cell, Scenario } from '../scenarios/scenario.ts';
import type { Stage } from '../stage/stage.ts';
import { rowOf } from './measure.ts';
import { RunningBench } from './running.ts';
import { orderCells } from './schedule.ts';

/** All of a result that is known before the first round. */
export type ResultHead = Omit<Result, 'rows' | 'durationSeconds' | 'spansCollected'>;

export interface ScenarioRun {
  readonly scenario: Scenario;
  readonly head: ResultHead;
  /** Rows of an interrupted run of the same scenario: whole rounds, from the first. */
  readonly earlier: Pick<Result, 'rows' | 'durationSeconds' | 'spansCollected'>;
  readonly path: string;
  readonly stage: Stage;
  /** Aborted when the whole run is to stop. */
  readonly signal: AbortSignal;
  progress(text: string): void;
}

/** Runs what is missing; the bench is still up in `beforeEnd`, whose answer is laid over the result. */
export async function runScenario(
  run: ScenarioRun,
  beforeEnd: (bench: RunningBench) => Promise<Partial<Result>>,
): Promise<Result> {
  const { scenario, head, earlier, stage, path, progress } = run;
  const startedAt = performance.now();
  const rows = [...earlier.rows];
  const bench = new RunningBench(stage, scenario.arms, progress);
  await stage.collector.mode('up');
  const spansBefore = await stage.collector.spans();
  const resultNow = async (): Promise<Result> => ({
    ...head,
    durationSeconds: earlier.durationSeconds + (performance.now() - startedAt) / 1000,
    spansCollected: earlier.spansCollected + (await stage.collector.spans()) - spansBefore,
    rows,
  });
  try {
    const isWhole = countRounds(rows) === head.rounds;
    if (isWhole) return await resultNow();
    if (!scenario.startsItsArms) await startAll(bench, head.cells);
    for (let round = countRounds(rows); round < head.rounds; round++) {
      progress(`${scenario.name}: round ${round + 1} of ${head.rounds}`);
      rows.push(...(await runRound(run, bench, round)));
      writeResult(path, await resultNow());
    }
    const result = { ...(await resultNow()), ...(await beforeEnd(bench)) };
    writeResult(path, result);
    return result;
  } finally {
    await bench.stopAll();
  }
}

/** The arms of a result: direct ones first, each with its version or why it is missing. */
export function describeArms(arms: readonly Arm[], backend: string): readonly ResultArm[] {
  const direct = directNames.map((name) => ({
    name,
    label: name === 'direct' ? 'direct' : 'direct, again',
    setting: 'no proxy',
    version: backend,
  }));
  const others = arms.map((arm) => {
    const { name, label, setting } = arm;
    return { name, label, setting, ...arm.find() };
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
