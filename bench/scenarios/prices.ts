/**
 * B4, prices: what each thing that the proxy does for a request costs, by leaving things out.
 *
 * Two points. Saturation: 16 connections, closed loop, CPU of both threads. Work: bytes allocated and
 * system calls, counted in a new copy each time, because counting slows it down (rounds/work-count.ts);
 * of the default in as many rounds as a verdict needs, of the other steps in two.
 */

import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { rowOf } from '../rounds/measure.ts';
import { countWork } from '../rounds/work-count.ts';
import { paceOf } from './loads.ts';
import { besideSteps, priceSteps } from './price-steps.ts';
import { PricePoint, reportPrices } from './prices-report.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const connections = 16;
const stepArms = priceSteps.map((step) => step.arm);

export const prices: Scenario = {
  id: 'B4',
  name: 'prices',
  title: 'The price list: what each thing costs a request',
  arms: [...besideSteps, ...stepArms],
  cells: cellsOf,
  pace: paceOf(0.6),
  roundSeconds,
  measure,
  report: reportPrices,
};

function cellsOf(scale: Scale): readonly Cell[] {
  const workRounds = (name: string) => (scale === 'publish' ? 5 : name === 'tracecar' ? 3 : 2);
  const counted = [...besideSteps.filter((arm) => arm.name === 'floor'), ...stepArms];
  return [
    ...prices.arms.map(({ name }) => ({ arm: name, point: PricePoint.Saturation })),
    ...counted.map(({ name }) => ({
      ...{ arm: name, point: PricePoint.Work, rounds: workRounds(name) },
    })),
  ];
}

/** A mean: counting is not in every round, and about 4.6 s each whatever the pace. */
function roundSeconds(scale: Scale): number {
  const { rounds: all, seconds } = prices.pace(scale);
  return cellsOf(scale)
    .map(({ point, rounds = all }: Cell) =>
      point === PricePoint.Work ? (4.6 * Math.min(rounds, all)) / all : seconds + 0.1,
    )
    .reduce((sum, each) => sum + each, 0);
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  if (cell.point === PricePoint.Work) return measureWork(bench, cell, place);
  const running = await bench.running(cell.arm);
  const { port } = running;
  const { seconds } = place;
  return bench.load(running, cell, place, { kind: 'closed', port, connections, seconds });
}

/** Noise is no fault here: counts do not see it. */
async function measureWork(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const arm = prices.arms.find((each) => each.name === cell.arm);
  if (arm === undefined) throw new Error(`the scenario has no arm "${cell.arm}"`);
  const { counts, lacks } = await countWork(bench.stage, arm);
  if (place.round === 0 && arm === stepArms[0]) {
    for (const each of lacks) bench.progress(`missing: ${each}`);
  }
  const row = { ...rowOf(cell, place), faults: [], values: { errors: 0, ...counts } };
  return lacks.length === 0 ? row : { ...row, lacks };
}
