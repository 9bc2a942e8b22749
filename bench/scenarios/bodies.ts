/**
 * B3, bodies: how many requests one full core passes on, by what is in them.
 *
 * Sixteen connections, closed loop: GET with answers of 0 bytes to 1 MiB, and POST of 16 KiB with a
 * length and chunked, answered with 100 bytes. Larger requests are left out: the backend answers them
 * before it has read them (load-order.ts).
 */

import { directNames } from '../arms/arm.ts';
import { armOf } from '../arms/arms.ts';
import { answerPath, type Exchange } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { answerPoint, PostPoint, reportBodies } from './bodies-report.ts';
import { paceOf } from './loads.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';

const connections = 16;
const postBytes = 16_384;

/** What is exchanged at each point. */
const exchanges: ReadonlyMap<string, Exchange> = new Map<string, Exchange>([
  ...([0, 1024, 16_384, 1_048_576] as const).map((bytes): [string, Exchange] => [
    answerPoint(bytes),
    { path: answerPath(bytes) },
  ]),
  [PostPoint.Length, { bodyBytes: postBytes }],
  [PostPoint.Chunked, { bodyBytes: postBytes, chunked: true }],
]);

const rivals = ['envoy', 'haproxy', 'nginx', 'http-proxy'];
const allArms = ['tracecar', 'tracecar-aa', ...rivals];

export const bodies: Scenario = {
  id: 'B3',
  name: 'bodies',
  title: 'One full core, by what is in requests and answers',
  arms: allArms.map(armOf),
  cells: cellsOf,
  // CPU and rates of a full core need less time than latencies do.
  pace: paceOf(0.6, 1),
  measure,
  report: reportBodies,
};

/** A full run leaves out the empty answer, which is nearly the plain hop, and rivals of a POST. */
function cellsOf(scale: Scale): readonly Cell[] {
  if (scale === 'publish') {
    return [...exchanges.keys()].flatMap((point) => cellsAt(point, [directNames[0], ...allArms]));
  }
  if (scale === 'quick') {
    return [answerPoint(1024), answerPoint(1_048_576)].flatMap((point) =>
      cellsAt(point, ['tracecar', 'envoy', 'nginx']),
    );
  }
  return [
    ...[answerPoint(1024), answerPoint(16_384), answerPoint(1_048_576)].flatMap((point) =>
      cellsAt(point, ['tracecar', ...rivals]),
    ),
    ...cellsAt(PostPoint.Length, ['tracecar', 'envoy', 'nginx']),
    ...cellsAt(PostPoint.Chunked, ['tracecar', 'envoy']),
  ];
}

function cellsAt(point: string, names: readonly string[]): readonly Cell[] {
  return names.map((arm) => ({ arm, point }));
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.running(cell.arm);
  const exchange = exchanges.get(cell.point);
  if (exchange === undefined) throw new Error(`nothing is exchanged at "${cell.point}"`);
  const { port } = running;
  const { seconds } = place;
  return bench.load(running, cell, place, {
    ...{ kind: 'closed', port, connections, seconds },
    ...exchange,
  });
}
