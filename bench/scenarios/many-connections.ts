/**
 * B8, many connections: thousands that are idle, a thousand that are active, and others that come and go.
 *
 *   held         the idle ones are opened, once a run: what one of them costs
 *   calm         2000 requests a second of independent callers on 1000 connections beside them
 *   calm again   the same: how much the two differ is the noise
 *   churn        the same, while 200 connections a second come, ask once and go
 *
 * The idle ones stay for the whole run; each is asked once in half a minute, so that none is closed for its
 * age. As many are held as descriptors allow, and no more than a sidecar's own limit of 10 000 connections
 * leaves. Storms of TLS handshakes are issue 8's.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { besideArms } from '../arms/beside.ts';
import type { NeighbourReport } from '../load/neighbour-order.ts';
import { Neighbour } from '../load/neighbours.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { rowOf } from '../rounds/measure.ts';
import { readMemory, readOpenFilesMax } from '../stage/procfs.ts';
import { CalmPoint, disturbedArms } from './disturbed.ts';
import { openLoop } from './loads.ts';
import { ManyPoint, reportManyConnections } from './many-connections-report.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const idleMost = 8800;
/** Of the descriptors of one process: a proxy may have two for each connection. */
const idleShare = 0.44;
const active = 1000;
const ratePerSecond = 2000;
const churnPerSecond = 200;
const settleMs = 700;
const touchAfterMs = 25_000;

export const manyConnections: Scenario = {
  id: 'B8',
  name: 'many-connections',
  title: 'Thousands of idle connections, a thousand active ones, and churn',
  arms: besideArms,
  startsItsArms: true,
  cells: cellsOf,
  pace: (scale) =>
    ({
      quick: { rounds: 1, seconds: 1 },
      // One dropped round of four leaves the three that a verdict needs.
      full: { rounds: 4, seconds: 0.8 },
      publish: { rounds: 9, seconds: 5 },
    })[scale],
  // Opening the idle ones is done once, and is part of the first round here as it is of all.
  roundSeconds: (scale) =>
    (cellsOf(scale).length - disturbedArms.length) * (manyConnections.pace(scale).seconds + 0.9) +
    4,
  measure,
  report: reportManyConnections,
};

function cellsOf(scale: Scale): readonly Cell[] {
  const again = scale === 'publish' ? disturbedArms : ['tracecar'];
  const at = (names: readonly string[], point: string) => names.map((arm) => ({ arm, point }));
  return [
    ...at(disturbedArms, ManyPoint.Held).map((cell) => ({ ...cell, rounds: 1 })),
    ...at(disturbedArms, CalmPoint.Calm),
    ...at(again, CalmPoint.Again),
    ...at(disturbedArms, ManyPoint.Churn),
  ];
}

/** How many this machine allows. */
export function idleConnections(openFilesMax = readOpenFilesMax()): number {
  return Math.floor(Math.min(idleMost, idleShare * openFilesMax));
}

/** Of one arm: its idle connections, and what opening them showed. */
interface Held {
  readonly neighbour: Neighbour;
  readonly values: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  touchedAt: number;
  close(): Promise<void>;
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const held = await hold(bench, cell.arm);
  if (cell.point === ManyPoint.Held) {
    return { ...rowOf(cell, place), faults: held.faults, values: { errors: 0, ...held.values } };
  }
  if (performance.now() - held.touchedAt > touchAfterMs) {
    await held.neighbour.touch();
    held.touchedAt = performance.now();
  }
  const isChurn = cell.point === ManyPoint.Churn;
  const churn = isChurn ? await bench.keep('churn', () => Neighbour.open(bench.stage)) : undefined;
  const running = await bench.running(cell.arm);
  const { port } = running;
  await churn?.start({ kind: 'churn', port, ratePerSecond: churnPerSecond });
  const load = { connections: active, ratePerSecond, arrivals: 'poisson' } as const;
  // A connection's first request is no usual one, and each has had one after this time.
  const order = { ...openLoop(port, place, load), warmSeconds: active / ratePerSecond };
  const row = await bench.load(running, cell, place, order);
  const churned = await churn?.stop();
  const open = (await held.neighbour.count()).open;
  const values = { ...row.values, idle: open, ...countsOf(churned) };
  return { ...row, faults: [...row.faults, ...faultsOf(open, churned)], values };
}

function hold(bench: Bench, arm: string): Promise<Held> {
  return bench.keep(`held by ${arm}`, async () => {
    const { stage } = bench;
    const neighbour = await Neighbour.open(stage);
    const { port, child } = await bench.running(arm);
    const connections = idleConnections();
    await sleep(settleMs);
    const before = child === undefined ? 0 : readMemory(child.pid).privateKb;
    const { open, otherwise } = await neighbour.start({ kind: 'idle', port, connections });
    await sleep(settleMs);
    const bytes =
      child === undefined
        ? {}
        : { idleBytes: ((readMemory(child.pid).privateKb - before) * 1024) / open };
    const faults =
      open < connections ? [`idle connections missing: ${connections - open}, ${otherwise}`] : [];
    const values = { idle: open, ...bytes };
    const close = () => neighbour.close();
    return { neighbour, values, faults, touchedAt: performance.now(), close };
  });
}

function countsOf(churned: NeighbourReport | undefined): Readonly<Record<string, number>> {
  return churned === undefined ? {} : { churned: churned.ended, churnedRight: churned.asMeant };
}

function faultsOf(open: number, churned: NeighbourReport | undefined): readonly string[] {
  const faults: string[] = [];
  const lost = idleConnections() - open;
  if (lost > 0) faults.push(`idle connections lost: ${lost}`);
  if (churned !== undefined && (churned.ended === 0 || churned.asMeant < churned.ended)) {
    faults.push(
      `churn: ${churned.ended - churned.asMeant} of ${churned.ended}: ${churned.otherwise}`,
    );
  }
  return faults;
}
