/**
 * B0, hop: what one plain hop costs beside its rivals. The quick run of `npm run bench`.
 *
 * Five points: a start; saturation (16 connections, closed loop); and three fixed rates, open loop:
 * 1000/s evenly on one connection, 2000/s and 3000/s of independent callers on sixteen.
 */

import { directNames } from '../arms/arm.ts';
import { arms } from '../arms/arms.ts';
import type { LoadOrder } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { measureStart } from '../rounds/measure.ts';
import { reportHop } from './hop-report.ts';
import { openLoop, paceOf } from './loads.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

export const HopPoint = {
  Start: 'start',
  Saturation: 'saturation',
  Single: 'single',
  Many: 'many',
  More: 'more',
} as const;

const quickArms = ['tracecar', 'envoy', 'haproxy', 'nginx', 'http-proxy', 'floor'];
const fastArms = [
  ...['tracecar', 'tracecar-aa', 'envoy', 'envoy-no-stats'],
  ...['haproxy', 'nginx', 'floor'],
];

/** Starting is measured in so many rounds of a quick run. */
const quickStartRounds = 2;

export const hop: Scenario = {
  id: 'B0',
  name: 'hop',
  title: 'One plain hop, HTTP/1.1, 100 bytes',
  arms,
  cells: cellsOf,
  pace: paceOf(0.5, 2, 5),
  roundSeconds: (scale) => {
    const { rounds: all, seconds } = hop.pace(scale);
    // A mean: some cells are not in every round.
    return cellsOf(scale)
      .map(({ point, rounds = all }) => (cellSeconds(point, seconds) * rounds) / all)
      .reduce((sum, each) => sum + each, 0);
  },
  measure,
  report: reportHop,
};

function cellsOf(scale: Scale): readonly Cell[] {
  const all = arms.map((arm) => arm.name);
  const pair = [...directNames];
  if (scale === 'quick') {
    return [
      ...cellsAt(HopPoint.Start, quickArms).map((cell) => ({ ...cell, rounds: quickStartRounds })),
      ...cellsAt(HopPoint.Saturation, quickArms),
      ...cellsAt(HopPoint.Single, [...pair, ...quickArms]),
      ...cellsAt(HopPoint.Many, [...pair, ...quickArms]),
    ];
  }
  if (scale === 'full') {
    return [
      ...cellsAt(HopPoint.Start, ['tracecar', 'envoy', 'haproxy']),
      ...cellsAt(HopPoint.Saturation, all),
      ...cellsAt(HopPoint.Single, [...pair, ...fastArms]),
      ...cellsAt(HopPoint.Many, [...pair, ...fastArms]),
      ...cellsAt(HopPoint.More, [...pair, 'tracecar', 'tracecar-aa', 'envoy', 'haproxy']),
    ];
  }
  return [
    ...cellsAt(HopPoint.Start, all),
    ...cellsAt(HopPoint.Saturation, all),
    ...cellsAt(HopPoint.Single, [...pair, ...all]),
    ...cellsAt(HopPoint.Many, [...pair, ...all]),
    ...cellsAt(HopPoint.More, [...pair, ...all]),
  ];
}

/** A start is over in less than a second, and only an open loop has a warm-up. */
function cellSeconds(point: string, seconds: number): number {
  if (point === HopPoint.Start) return 0.9;
  return point === HopPoint.Saturation ? seconds + 0.1 : 1.25 * seconds + 0.1;
}

function cellsAt(point: string, names: readonly string[]): readonly Cell[] {
  const known = new Set<string>([...directNames, ...arms.map((arm) => arm.name)]);
  return names.filter((name) => known.has(name)).map((arm) => ({ arm, point }));
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  if (cell.point === HopPoint.Start) return measureStart(bench, cell, place);
  const running = await bench.running(cell.arm);
  return bench.load(running, cell, place, orderFor(cell.point, running.port, place));
}

function orderFor(point: string, port: number, place: RowPlace): LoadOrder {
  if (point === HopPoint.Saturation) {
    return { kind: 'closed', port, connections: 16, seconds: place.seconds };
  }
  if (point === HopPoint.Single) {
    return openLoop(port, place, { connections: 1, ratePerSecond: 1000, arrivals: 'even' });
  }
  const ratePerSecond = point === HopPoint.Many ? 2000 : 3000;
  return openLoop(port, place, { connections: 16, ratePerSecond, arrivals: 'poisson' });
}
