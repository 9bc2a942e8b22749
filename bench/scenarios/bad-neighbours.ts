/**
 * B10, bad neighbours: a healthy flow through a proxy that somebody else uses badly at the same time.
 *
 *   slow-reader    32 callers that read answers of 1 MiB slowly
 *   slow-writer    16 callers whose heads come a byte at a time
 *   large-header   20 a second with a head of 1 MB, which is to be refused
 *   reset          100 requests a second whose upstream resets its connection
 *   large-bodies   500 answers of 64 KiB a second: work for the garbage collector, where there is one;
 *                  larger ones keep the kernel of the load's core busy for too long at a time
 *
 * The flow is 1000 requests a second of independent callers on 16 connections. The neighbour is a process
 * of its own on the load's core; what that costs the load shows in the direct arm.
 */

import { besideArms } from '../arms/beside.ts';
import {
  expectation,
  type NeighbourKind,
  type NeighbourOrder,
  type NeighbourReport,
} from '../load/neighbour-order.ts';
import { Neighbour } from '../load/neighbours.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { badKinds, reportBadNeighbours } from './bad-neighbours-report.ts';
import { CalmPoint, disturbedArms } from './disturbed.ts';
import { openLoop } from './loads.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const orders: Readonly<Record<(typeof badKinds)[number], Omit<NeighbourOrder, 'kind' | 'port'>>> = {
  'slow-reader': { connections: 32 },
  'slow-writer': { connections: 16 },
  'large-header': { ratePerSecond: 20 },
  reset: { ratePerSecond: 100 },
  'large-bodies': { ratePerSecond: 500, connections: 16 },
};
const flow = { connections: 16, ratePerSecond: 1000, arrivals: 'poisson' } as const;

export const badNeighbours: Scenario = {
  id: 'B10',
  name: 'bad-neighbours',
  title: 'A healthy flow beside bad neighbours',
  arms: besideArms,
  startsItsArms: true,
  cells: cellsOf,
  pace: (scale) =>
    ({
      quick: { rounds: 1, seconds: 0.6 },
      // One dropped round of four leaves the three that a verdict needs.
      full: { rounds: 4, seconds: 0.5 },
      publish: { rounds: 9, seconds: 5 },
    })[scale],
  roundSeconds: (scale) => cellsOf(scale).length * (badNeighbours.pace(scale).seconds * 1.25 + 0.2),
  measure,
  report: reportBadNeighbours,
};

function cellsOf(scale: Scale): readonly Cell[] {
  const again = scale === 'publish' ? disturbedArms : ['tracecar'];
  const at = (names: readonly string[], point: string) => names.map((arm) => ({ arm, point }));
  return [
    ...at(disturbedArms, CalmPoint.Calm),
    ...badKinds.flatMap((kind) => at(disturbedArms, kind)),
    ...at(again, CalmPoint.Again),
  ];
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const { stage } = bench;
  await bench.keep('second upstream', async () => {
    const child = await stage.startBeside();
    return { close: () => stage.children.stop(child) };
  });
  const running = await bench.running(cell.arm);
  const order = openLoop(running.port, place, flow);
  const kind = badKinds.find((each) => each === cell.point);
  if (kind === undefined) return bench.load(running, cell, place, order);
  const neighbour = await bench.keep('neighbour', () => Neighbour.open(stage));
  // Nothing in the direct arm knows the second upstream's path.
  const port = kind === 'reset' && running.child === undefined ? stage.besidePort : running.port;
  await neighbour.start({ kind, port, ...orders[kind] });
  try {
    const row = await bench.load(running, cell, place, order);
    const seen = await neighbour.stop();
    const values = { ...row.values, neighbourActs: seen.acts, neighbourEnded: seen.ended };
    const faults = [...row.faults, ...neighbourFaults(kind, seen)];
    return { ...row, values, faults };
  } finally {
    await neighbour.stop();
  }
}

/** A neighbour that is not what it is meant to be is no bad one, and its row says nothing. */
function neighbourFaults(kind: NeighbourKind, seen: NeighbourReport): readonly string[] {
  const { acts, ended, asMeant, otherwise } = seen;
  if (acts === 0) return [`${kind} did nothing: 0`];
  if (asMeant === ended) return [];
  return [`${kind} not ${expectation[kind]}: ${ended - asMeant} of ${ended}, ${otherwise}`];
}
