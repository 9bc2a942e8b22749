/**
 * One load against one running arm, and what it cost the proxy's core meanwhile.
 *
 * It never decides whether its row counts; it writes down every fault it can see: wrong answers, time
 * stolen by the hypervisor, another process on the proxy's core, a generator that was late.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from '../load/histogram.ts';
import type { LoadErrors, LoadOrder, LoadReport } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Cell, RowPlace } from '../scenarios/scenario.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';
import type { Bench } from './bench-run.ts';
import { percent, Watch } from './conditions.ts';

/** Of reference/performance.md 8.3; only open loops care, a closed loop may fill the load's core. */
const latenessP99MaxUs = 200;
const loadCoreBusyMax = 0.8;

const idleBeforeMemoryMs = 500;

/** Runs the order. Rejects when the generator fails or the arm's process ends. */
export async function measureLoad(
  stage: Stage,
  running: RunningArm,
  cell: Cell,
  place: RowPlace,
  order: LoadOrder,
): Promise<Row> {
  const watch = new Watch(stage, running);
  const report = await stage.generator.run(order);
  if (running.child?.hasEnded) throw new Error(running.child.describeEnd());
  const seen = watch.end();
  const values = {
    requests: report.sent,
    errors: sumErrors(report.errors),
    elapsedSeconds: report.elapsedSeconds,
    requestsPerSecond: rateOf(report, order),
    ...seen.values,
    ...(order.kind === 'open' ? { latenessP99Us: p99Us(report.lateness) } : {}),
  };
  return {
    ...rowOf(cell, place),
    faults: [...findAnswerFaults(report), ...seen.faults, ...findLoadFaults(values)],
    values,
    histograms:
      order.kind === 'open'
        ? { latency: report.latency, service: report.service }
        : { service: report.service },
  };
}

/** Starts a fresh copy of the cell's arm, reads its memory at rest, and stops it. */
export async function measureStart(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const watch = bench.watch(undefined);
  const running = await bench.startFresh(cell.arm);
  try {
    await sleep(idleBeforeMemoryMs);
    const { values, faults } = watch.end(running);
    const { firstAnswerMs } = running;
    return { ...rowOf(cell, place), faults, values: { ...values, firstAnswerMs } };
  } finally {
    await bench.stop(running);
  }
}

/** The part of a row that says what it is. */
export function rowOf(
  cell: Cell,
  { round, place }: RowPlace,
): Pick<Row, 'round' | 'place' | 'arm' | 'point'> {
  return { round, place, arm: cell.arm, point: cell.point };
}

/** In a closed loop the last answers come after the time is over, and count. */
function rateOf(report: LoadReport, order: LoadOrder): number {
  return report.completed / (order.kind === 'open' ? order.seconds : report.elapsedSeconds);
}

function p99Us(counts: LoadReport['lateness']): number {
  const histogram = new Histogram();
  histogram.add(counts);
  return histogram.percentile(0.99) / 1000;
}

export function sumErrors(errors: LoadErrors): number {
  return Object.values(errors).reduce((sum, count) => sum + count, 0);
}

/** What was wrong with the answers of a load: nothing, or one fault. */
export function findAnswerFaults({ errors, sent }: LoadReport): readonly string[] {
  const kinds = Object.entries(errors).filter(([, count]) => count > 0);
  if (kinds.length > 0) {
    return [`wrong answers: ${kinds.map(([kind, count]) => `${count} ${kind}`).join(', ')}`];
  }
  return sent === 0 ? ['no requests: 0'] : [];
}

function findLoadFaults(values: Readonly<Record<string, number>>): readonly string[] {
  const { latenessP99Us, loadCoreBusy = 0 } = values;
  if (latenessP99Us === undefined) return [];
  const faults: string[] = [];
  if (loadCoreBusy > loadCoreBusyMax) faults.push(`load core busy: ${percent(loadCoreBusy)}`);
  if (latenessP99Us > latenessP99MaxUs) {
    faults.push(`generator late, p99: ${Math.round(latenessP99Us)} us`);
  }
  return faults;
}
