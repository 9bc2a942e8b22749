/**
 * The rounds of a run: every arm once in each, direct twice, in the order of a Latin square.
 *
 * All arms are started and warmed before the first round and stay up to the last. What a leg of one
 * arm could not measure ends the run: a result with holes would be refused anyway.
 */

import type { Arm } from './arms.ts';
import { directNames } from './arms.ts';
import { measureLoad, measureStart } from './legs.ts';
import type { BenchOptions } from './options.ts';
import { legsOf, type Row } from './result.ts';
import { planRounds } from './schedule.ts';
import type { Cores, RunningArm, Stage } from './stage.ts';

/** About 60 000 requests for the quick arms: then the just-in-time compilers are done (2.1 there). */
const warmUpSeconds = 1.5;

export type Progress = (text: string) => void;

/** Starts every arm, once each, and warms it up; rejects when one of them gives wrong answers. */
export async function startArms(
  stage: Stage,
  arms: readonly Arm[],
  progress: Progress,
): Promise<readonly RunningArm[]> {
  const running: RunningArm[] = directNames.map((name) => stage.direct(name));
  for (const arm of arms) {
    progress(`starting and warming ${arm.name}`);
    const started = await stage.startArm(arm);
    const warmUp = {
      kind: 'closed',
      port: started.port,
      connections: 16,
      seconds: warmUpSeconds,
    } as const;
    const { errors, completed } = await stage.generator.run(warmUp);
    if (completed === 0 || Object.values(errors).some((count) => count > 0)) {
      throw new Error(`${arm.name}: wrong answers while warming up: ${JSON.stringify(errors)}`);
    }
    running.push(started);
  }
  return running;
}

/** Runs all rounds; one row for each round, arm and leg. */
export async function runRounds(
  stage: Stage,
  cores: Cores | undefined,
  arms: readonly Arm[],
  running: readonly RunningArm[],
  options: BenchOptions,
  progress: Progress,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const plan = planRounds(running.length, options.rounds);
  for (const [round, order] of plan.entries()) {
    progress(`round ${round + 1} of ${options.rounds}`);
    for (const [place, index] of order.entries()) {
      const subject = running[index]!;
      for (const leg of legsOf(subject.name, round, options.startRounds)) {
        const where = { round, place };
        if (leg === 'start') {
          const arm = arms.find((each) => each.name === subject.name)!;
          rows.push(await measureStart(stage, cores, arm, where));
        } else {
          rows.push(await measureLoad(stage, cores, subject, leg, options.seconds, where));
        }
      }
    }
  }
  return rows;
}
