/**
 * B11, pair: two sidecars with mutual TLS between them, which is what a mesh is for.
 *
 * Saturation of one core by 16 kept connections, and 1000 requests a second of 1 KB on 16, where it is also
 * counted how many TLS connections the pair made meanwhile. CPU is the sum of both processes.
 */

import { directNames } from '../arms/arm.ts';
import { pairArms } from '../arms/pair.ts';
import { answerPath } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { readSample } from '../stage/span-counts.ts';
import type { RunningArm } from '../stage/stage.ts';
import { openLoop } from './loads.ts';
import { PairPoint, reportPair } from './pair-report.ts';
import type { Cell, RowPlace, Scenario } from './scenario.ts';

const connections = 16;
const ratePerSecond = 1000;
/** Then the compilers of both halves are done; the warm-up of every arm is too short for two on one core. */
const warmUpRequests = 60_000;
const warmUpSeconds = 30;

export const pair: Scenario = {
  id: 'B11',
  name: 'pair',
  title: 'Two sidecars with mutual TLS between them',
  arms: pairArms,
  cells: cellsOf,
  pace: (scale) =>
    ({
      quick: { rounds: 3, seconds: 1 },
      // One dropped round of four leaves the three that a figure needs.
      full: { rounds: 4, seconds: 1 },
      publish: { rounds: 21, seconds: 5 },
    })[scale],
  measure,
  report: reportPair,
};

function cellsOf(): readonly Cell[] {
  const atRate = ['tracecar-pair', 'tracecar-pair-aa', 'envoy-pair', 'haproxy-pair'];
  return [
    ...pairArms.map(({ name }) => ({ arm: name, point: PairPoint.Saturation })),
    ...[directNames[0], ...atRate].map((arm) => ({ arm, point: PairPoint.Rate })),
  ];
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.running(cell.arm);
  const { port } = running;
  await bench.keep(`warm ${cell.arm}`, () => warm(bench, port));
  if (cell.point === PairPoint.Saturation) {
    const { seconds } = place;
    return bench.load(running, cell, place, { kind: 'closed', port, connections, seconds });
  }
  const load = {
    ...{ connections, ratePerSecond, arrivals: 'poisson' as const },
    path: answerPath(1024),
  };
  const hasCounts = cell.arm.startsWith('tracecar');
  // Idle ones have been closed since the last load: those made anew are no part of a steady one.
  await bench.stage.generator.run({ kind: 'closed', port, connections, seconds: 0.2 });
  const before = hasCounts ? await readConnections(running) : 0;
  const row = await bench.load(running, cell, place, openLoop(port, place, load));
  if (!hasCounts) return row;
  const made = (await readConnections(running)) - before;
  return { ...row, values: { ...row.values, connectionsMade: made } };
}

/** Every arm alike, once. */
async function warm(bench: Bench, port: number) {
  const load = { kind: 'closed', port, connections, seconds: warmUpSeconds } as const;
  await bench.stage.generator.run({ ...load, requests: warmUpRequests });
  return { close: async () => undefined };
}

/** TLS connections that the outbound half has ever made. */
function readConnections(running: RunningArm): Promise<number> {
  return readSample(running, 'tracecar_upstream_connections_total{direction="outbound"}');
}
