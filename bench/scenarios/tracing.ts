/**
 * B5, tracing: what spans cost a request, and what becomes of it when the collector is slow or gone.
 *
 * One point for each way in which the collector behaves; off, 0, 1 and 100 % with it up, 100 % with it
 * slow, dead or answering 429. Open loop, 2000/s of independent callers on 16 connections. After a
 * load with a bad collector it is mended, and the sidecar let alone until it has caught up, so that no
 * cell pays for the one before. Before such a load a burst fills the sidecar's queue of spans and its ring:
 * what is measured is a sidecar that drops, as after an hour of it, and a row that saw no drop is at fault.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { directNames } from '../arms/arm.ts';
import { armOf } from '../arms/arms.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { sumErrors } from '../rounds/measure.ts';
import type { CollectorMode } from '../stage/collector-control.ts';
import { readSpanCounts, type SpanCounts } from '../stage/span-counts.ts';
import type { RunningArm } from '../stage/stage.ts';
import { openLoop, paceOf } from './loads.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';
import { collectorModes, pointOf, reportTracing, tracingArms } from './tracing-report.ts';

const connections = 16;
const ratePerSecond = 2000;
/** How long a sidecar may take to catch up when the collector is up again. */
const settleMs = 5000;
const pollMs = 50;
/** OTEL_BSP_MAX_EXPORT_BATCH_SIZE: fewer spans wait for the schedule, not for the collector. */
const batchSpans = 512;
/** The queue takes 2048 and what is on its way, the ring 8192 records: twice that, in about half a second. */
const fillingRequests = 15_000;
const fillingSeconds = 10;

export const tracing: Scenario = {
  id: 'B5',
  name: 'tracing',
  title: 'Tracing: off, 0, 1 and 100 %, and a collector that is slow, dead or busy',
  arms: tracingArms.map(armOf),
  cells: cellsOf,
  pace: paceOf(1),
  roundSeconds,
  measure,
  report: reportTracing,
};

function cellsOf(): readonly Cell[] {
  const up = [...directNames, ...tracingArms].map((arm) => ({ arm, point: pointOf('up') }));
  const others = collectorModes.filter((mode) => mode !== 'up');
  return [...up, ...others.map((mode) => ({ arm: 'tracecar-100', point: pointOf(mode) }))];
}

/** Beside the loads: filling, and catching up afterwards. */
function roundSeconds(scale: Scale): number {
  const { seconds } = tracing.pace(scale);
  const bad = collectorModes.length - 1;
  return cellsOf().length * (seconds * 1.25 + 0.1) + bad * 1.5;
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.running(cell.arm);
  const mode = modeOf(cell.point);
  const hasSpans = running.child !== undefined && cell.arm !== 'tracecar-off';
  try {
    await bench.collector.mode(mode);
    if (mode !== 'up') await fillQueue(bench, running);
    const before = hasSpans ? await readSpanCounts(running) : undefined;
    const load = { connections, ratePerSecond, arrivals: 'poisson' } as const;
    const row = await bench.load(running, cell, place, openLoop(running.port, place, load));
    if (before === undefined) return row;
    const spans = countedBetween(before, await readSpanCounts(running));
    const faults = [...row.faults, ...findSpanFaults(mode, spans)];
    return { ...row, faults, values: { ...row.values, ...spans } };
  } finally {
    if (mode !== 'up') {
      await bench.collector.mode('up');
      await catchUp(bench, running);
    }
  }
}

/** Rejects when an answer was wrong. */
async function fillQueue(bench: Bench, { name, port }: RunningArm): Promise<void> {
  const report = await bench.stage.generator.run({
    ...{ kind: 'closed', port, connections },
    ...{ seconds: fillingSeconds, requests: fillingRequests },
  });
  const wrong = sumErrors(report.errors);
  if (wrong > 0 || report.completed < fillingRequests) {
    throw new Error(`${name}: filling its queue: ${report.completed} answers, ${wrong} wrong ones`);
  }
}

/** Exported for tests. With a full queue spans are dropped whenever they do not leave as fast as they come. */
export function findSpanFaults(
  mode: CollectorMode,
  { spansDropped }: { readonly spansDropped: number },
): readonly string[] {
  return mode === 'up' || spansDropped > 0 ? [] : ['no span dropped: the queue was not full'];
}

function modeOf(point: string): CollectorMode {
  const found = collectorModes.find((mode) => pointOf(mode) === point);
  if (found === undefined) throw new Error(`no collector is like "${point}"`);
  return found;
}

/** Of the load, the part before it was counted too; spans that wait are neither sent nor dropped. */
function countedBetween(before: SpanCounts, after: SpanCounts) {
  return {
    spansMade: after.made - before.made,
    spansSent: after.sent - before.sent,
    spansDropped: after.dropped - before.dropped,
    spansQueued: after.queued,
  };
}

/** Until less than a batch waits. */
async function catchUp(bench: Bench, running: RunningArm): Promise<void> {
  const giveUpAt = performance.now() + settleMs;
  while ((await readSpanCounts(running)).queued >= batchSpans) {
    if (performance.now() > giveUpAt) {
      bench.progress(`${running.name}: still behind ${settleMs / 1000} s after the load`);
      return;
    }
    await sleep(pollMs);
  }
}
