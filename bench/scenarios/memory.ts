/**
 * B2m, memory: what a sidecar holds at 1000 requests a second on 64 connections, and what one idle
 * connection costs it.
 *
 * Every cell is a copy of its own, so that no other load has grown its heap. Memory is the process's;
 * what the kernel keeps for sockets is not in it. An idle connection has served one request before.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { arms as allArms } from '../arms/arms.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { findAnswerFaults, rowOf, sumErrors } from '../rounds/measure.ts';
import { readMemory } from '../stage/procfs.ts';
import type { RunningArm } from '../stage/stage.ts';
import { reportMemory } from './memory-report.ts';
import type { Cell, RowPlace, Scenario } from './scenario.ts';

export const MemoryPoint = { Load: 'load', Idle: 'idle' } as const;

const names = ['tracecar', 'envoy', 'haproxy', 'nginx'];
/** Connections that are held; rivals of this bench are configured for 4096. */
export const idleConnections = 2000;
const settleMs = 1000;

export const memory: Scenario = {
  id: 'B2m',
  name: 'memory',
  title: 'Memory under load, and of an idle connection',
  arms: allArms.filter(({ name }) => names.includes(name)),
  startsItsArms: true,
  cells: () => [
    ...names.map((arm) => ({ arm, point: MemoryPoint.Load })),
    ...names.map((arm) => ({ arm, point: MemoryPoint.Idle })),
  ],
  pace: (scale) =>
    ({
      quick: { rounds: 1, seconds: 3 },
      full: { rounds: 3, seconds: 5 },
      publish: { rounds: 5, seconds: 30 },
    })[scale],
  roundSeconds: (scale) => names.length * (memory.pace(scale).seconds + 4.5),
  measure,
  report: reportMemory,
};

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.startFresh(cell.arm);
  try {
    return cell.point === MemoryPoint.Load
      ? await measureUnderLoad(bench, running, cell, place)
      : await measureIdle(bench, running, cell, place);
  } finally {
    await bench.stop(running);
  }
}

function measureUnderLoad(
  bench: Bench,
  running: RunningArm,
  cell: Cell,
  place: RowPlace,
): Promise<Row> {
  const { port } = running;
  const { seconds, round } = place;
  return bench.load(running, cell, place, {
    ...{ kind: 'open', port, connections: 64, ratePerSecond: 1000, arrivals: 'poisson' },
    ...{ seconds, warmSeconds: 1, seed: round + 1 },
  });
}

/** idlePrivateBytes is what one connection adds to the private memory. */
async function measureIdle(
  bench: Bench,
  running: RunningArm,
  cell: Cell,
  place: RowPlace,
): Promise<Row> {
  const { generator } = bench.stage;
  const { port, child } = running;
  const watch = bench.watch(running);
  // First the requests without the connections: what they leave in the heap is no connection's.
  const requests = 2 * idleConnections;
  const load = { kind: 'closed', port, connections: 16, seconds: 10, requests } as const;
  const report = await generator.run(load);
  await sleep(settleMs);
  const before = readMemory(child!.pid);
  await generator.hold(port, idleConnections);
  await sleep(settleMs);
  const held = readMemory(child!.pid);
  const seen = watch.end();
  await generator.release();
  const perConnection = ((held.privateKb - before.privateKb) * 1024) / idleConnections;
  return {
    ...rowOf(cell, place),
    faults: [...findAnswerFaults(report), ...seen.faults],
    values: {
      errors: sumErrors(report.errors),
      ...seen.values,
      ...held,
      restPrivateKb: before.privateKb,
      idlePrivateBytes: perConnection,
    },
  };
}
