/**
 * B2, rates: what a request costs, and what a sidecar holds, from almost idle to 3000 requests a second.
 *
 * Sixteen connections, evenly spaced requests whose answers are of 1 KB, as Istio measures CPU and
 * memory. At low rates a proxy's cost is waking up; that is what most sidecars do all day.
 */

import { armOf } from '../arms/arms.ts';
import { answerPath } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { type Ladders, openLoop, paceOf, stepAt } from './loads.ts';
import { ratePoint, reportRates } from './rates-report.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const connections = 16;
const ladders: Ladders = {
  quick: [100, 3000],
  full: [100, 1000, 3000],
  publish: [10, 100, 500, 1000, 2000, 3000],
};
const fewArms = ['tracecar', 'envoy', 'haproxy', 'http-proxy'];
const allArms = [
  ...['tracecar', 'tracecar-aa', 'tracecar-100', 'tracecar-off'],
  ...['envoy', 'envoy-otel', 'haproxy', 'nginx', 'http-proxy'],
];

export const rates: Scenario = {
  id: 'B2',
  name: 'rates',
  title: 'CPU and memory by requests a second',
  arms: allArms.map(armOf),
  cells: cellsOf,
  pace: paceOf(1, 1.2),
  measure,
  report: reportRates,
};

function cellsOf(scale: Scale): readonly Cell[] {
  const names = scale === 'publish' ? allArms : fewArms;
  return ladders[scale].flatMap((rate) => names.map((arm) => ({ arm, point: ratePoint(rate) })));
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.running(cell.arm);
  const order = openLoop(running.port, place, {
    connections,
    ratePerSecond: stepAt(cell.point, ladders, ratePoint),
    arrivals: 'even',
    path: answerPath(1024),
  });
  return bench.load(running, cell, place, order);
}
