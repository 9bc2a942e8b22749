/**
 * B1, connections: the ladder on which Istio measures its releases, with telemetry on and off.
 *
 * 1000 requests a second whatever the number of connections, answers of 1 KB. Istio measures a pair of
 * sidecars with mutual TLS between them, which is B11 here; this is one sidecar in clear text.
 */

import { directNames } from '../arms/arm.ts';
import { armOf } from '../arms/arms.ts';
import { answerPath } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { connectionArms, connectionsPoint, reportConnections } from './connections-report.ts';
import { type Ladders, openLoop, paceOf, stepAt } from './loads.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const ratePerSecond = 1000;
const ladders: Ladders = {
  quick: [2, 64],
  full: [2, 16, 64],
  publish: [2, 4, 8, 16, 32, 64],
};

export const connections: Scenario = {
  id: 'B1',
  name: 'connections',
  title: "Istio's ladder: 1000 requests a second on 2 to 64 connections, telemetry on and off",
  arms: connectionArms.map(armOf),
  cells: cellsOf,
  pace: paceOf(1, 1.2),
  measure,
  report: reportConnections,
};

/**
 * Only a published run has the second direct arm (39 s of a full one): the band is the second Tracecar's,
 * and how far direct is from itself is then not known.
 */
function cellsOf(scale: Scale): readonly Cell[] {
  const direct = scale === 'publish' ? directNames : directNames.slice(0, 1);
  const names = scale === 'quick' ? ['tracecar', 'tracecar-off', 'envoy'] : connectionArms;
  return ladders[scale].flatMap((count) =>
    [...direct, ...names].map((arm) => ({ arm, point: connectionsPoint(count) })),
  );
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.running(cell.arm);
  const order = openLoop(running.port, place, {
    connections: stepAt(cell.point, ladders, connectionsPoint),
    ratePerSecond,
    arrivals: 'poisson',
    path: answerPath(1024),
  });
  return bench.load(running, cell, place, order);
}
