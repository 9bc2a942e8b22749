/**
 * B6, routes: what a request pays for ten thousand rules that are there beside its own.
 *
 * Requests go to every rule of every host in turn. The generator pays for so many different requests
 * too: the direct arm is measured with one target and with all of them, and the report shows both.
 */

import { directNames } from '../arms/arm.ts';
import type { Target } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { measureStart } from '../rounds/measure.ts';
import type { RunningArm } from '../stage/stage.ts';
import { openLoop, paceOf } from './loads.ts';
import { routesArm } from './route-arms.ts';
import { type RouteCount, routeTargets } from './route-documents.ts';
import { reportRoutes } from './routes-report.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

export const RoutesPoint = {
  Start: 'start',
  Rate: 'rate',
  /** Direct only: the rate's load with all targets of the largest table. */
  RateOfMany: 'rate, many targets',
  Saturation: 'saturation',
} as const;

const sizes: Readonly<Record<string, RouteCount>> = {
  'routes-1': { hosts: 1, rulesPerHost: 1 },
  'routes-1-aa': { hosts: 1, rulesPerHost: 1 },
  'routes-100': { hosts: 10, rulesPerHost: 10 },
  'routes-1000': { hosts: 100, rulesPerHost: 10 },
  'routes-10000': { hosts: 1000, rulesPerHost: 10 },
};
const largest = sizes['routes-10000']!;
const ratePerSecond = 2000;
const connections = 16;

export const routes: Scenario = {
  id: 'B6',
  name: 'routes',
  title: 'Ten thousand routes against one',
  arms: Object.entries(sizes).map(([name, size]) => routesArm(name, labelOf(name, size), size)),
  cells: cellsOf,
  pace: paceOf(1, 3),
  measure,
  report: reportRoutes,
};

function cellsOf(scale: Scale): readonly Cell[] {
  const all = Object.keys(sizes);
  const apart = all.filter((name) => name !== 'routes-1-aa');
  const ends = ['routes-1', 'routes-10000'];
  const names = scale === 'publish' ? apart : ends;
  const direct = directNames[0];
  return [
    ...names.map((arm) => ({ arm, point: RoutesPoint.Start, rounds: 5 })),
    { arm: direct, point: RoutesPoint.Rate },
    ...[...names, 'routes-1-aa'].map((arm) => ({ arm, point: RoutesPoint.Rate })),
    { arm: direct, point: RoutesPoint.RateOfMany },
    ...names.map((arm) => ({ arm, point: RoutesPoint.Saturation })),
  ];
}

/** Copies that have seen every one of their routes. */
const visited = new WeakSet<RunningArm>();

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  if (cell.point === RoutesPoint.Start) return measureStart(bench, cell, place);
  const running = await bench.running(cell.arm);
  const { port } = running;
  const targets = targetsOf(cell);
  const { round, seconds } = place;
  // For the generator's sake direct is visited too; it has no copy to remember.
  if (!visited.has(running) && (running.child !== undefined || round === 0)) {
    await visitAll(bench, port, targets);
    visited.add(running);
  }
  if (cell.point === RoutesPoint.Saturation) {
    return bench.load(running, cell, place, {
      kind: 'closed',
      port,
      connections,
      seconds,
      targets,
    });
  }
  const load = { connections, ratePerSecond, targets, arrivals: 'poisson' } as const;
  return bench.load(running, cell, place, openLoop(port, place, load));
}

function targetsOf({ arm, point }: Cell): readonly Target[] {
  const size = point === RoutesPoint.RateOfMany ? largest : (sizes[arm] ?? sizes['routes-1']!);
  return routeTargets(size);
}

/** Twice as many requests as the largest table has routes, for every arm alike. */
async function visitAll(bench: Bench, port: number, targets: readonly Target[]): Promise<void> {
  const requests = 2 * largest.hosts * largest.rulesPerHost;
  const order = { kind: 'closed', port, connections, seconds: 10, requests, targets } as const;
  await bench.stage.generator.run(order);
}

function labelOf(name: string, { hosts, rulesPerHost }: RouteCount): string {
  const routes = hosts * rulesPerHost;
  return `${routes} ${routes === 1 ? 'route' : 'routes'}${name.endsWith('-aa') ? ', again' : ''}`;
}
