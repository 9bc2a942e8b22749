/**
 * B9, start and drain: how soon a sidecar serves, how soon it is fast, and what is lost when it ends.
 *
 *   start   exec to the first proxied 200, which a connection parked before ready may be
 *   fresh   ready, then 2000 requests, 60 000 to warm it, and 2000 again: the first against the last
 *   drain   SIGTERM under 1000/s: lost requests, seconds to its end
 *
 * Every cell is a copy of its own.
 */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { arms as allArms } from '../arms/arms.ts';
import type { OpenLoop } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import { measureStart } from '../rounds/measure.ts';
import type { RunningArm } from '../stage/stage.ts';
import { routesArm } from './route-arms.ts';
import type { Cell, RowPlace, Scenario } from './scenario.ts';
import { loadAfterSignalMaxMs, reportStartDrain } from './start-drain-report.ts';

export const StartDrainPoint = { Start: 'start', Fresh: 'fresh', Drain: 'drain' } as const;

const started = ['tracecar', 'envoy', 'haproxy'];
const manyRoutes = 'tracecar-10000';
const connections = 16;

const firstRequests = 2000;
const steadyAfter = 60_000;
const freshRate = 2000;
const readyPatienceMs = 15_000;

const drainRate = 1000;
const beforeSignalMs = 1000;
/** Of traffic after the signal: the sidecar goes on until its application has been quiet for 1.5 s. */
const afterSignalSeconds = 3;
const endPatienceMs = 40_000;

export const startDrain: Scenario = {
  id: 'B9',
  name: 'start-drain',
  title: 'Start, first requests and drain',
  arms: [
    ...allArms.filter(({ name }) => started.includes(name)),
    routesArm(manyRoutes, 'Tracecar, 10000 routes', { hosts: 1000, rulesPerHost: 10 }),
  ],
  startsItsArms: true,
  cells: () => [
    ...[...started, manyRoutes].map((arm) => ({ arm, point: StartDrainPoint.Start })),
    ...started.map((arm) => ({ arm, point: StartDrainPoint.Fresh })),
    { arm: 'tracecar', point: StartDrainPoint.Drain },
  ],
  // The seconds of a load do not matter: loads are counted in requests.
  pace: (scale) =>
    ({
      quick: { rounds: 3, seconds: 1 },
      full: { rounds: 5, seconds: 1 },
      publish: { rounds: 21, seconds: 1 },
    })[scale],
  roundSeconds: () => 29,
  measure,
  report: reportStartDrain,
};

function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  if (cell.point === StartDrainPoint.Start) return measureStart(bench, cell, place);
  return cell.point === StartDrainPoint.Fresh
    ? measureFresh(bench, cell, place)
    : measureDrain(bench, cell, place);
}

/** The row's latency is of the first requests; 'steady' is of the last. */
async function measureFresh(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const startedAt = performance.now();
  const running = await bench.startFresh(cell.arm);
  try {
    await untilReady(running);
    const readyMs = performance.now() - startedAt;
    const { port } = running;
    const order: OpenLoop = {
      ...{ kind: 'open', port, connections, ratePerSecond: freshRate, arrivals: 'poisson' },
      ...{ seconds: firstRequests / freshRate, warmSeconds: 0, seed: place.round + 1 },
    };
    const first = await bench.load(running, cell, place, order);
    await bench.stage.generator.run({
      ...{ kind: 'closed', port, connections, seconds: 20, requests: steadyAfter },
    });
    const steady = await bench.load(running, cell, place, order);
    return {
      ...first,
      faults: [...first.faults, ...steady.faults],
      values: { ...first.values, readyMs },
      histograms: {
        latency: first.histograms?.latency ?? [],
        steady: steady.histograms?.latency ?? [],
      },
    };
  } finally {
    await bench.stop(running);
  }
}

/** Tracecar says when it is ready; the others are with their first answer. */
async function untilReady(running: RunningArm): Promise<void> {
  if (running.name !== 'tracecar') return;
  const url = `http://127.0.0.1:${running.place!.adminPort}/ready`;
  const giveUpAt = performance.now() + readyPatienceMs;
  while (performance.now() < giveUpAt) {
    const isReady = await fetch(url).then(
      async (response) => (await response.text()) !== '' && response.ok,
      () => false,
    );
    if (isReady) return;
    await sleep(5);
  }
  throw new Error(`${running.name} is not ready within ${readyPatienceMs / 1000} s`);
}

/** Lost requests are the row's errors; drainMs is from the signal to the end of the process. */
async function measureDrain(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.startFresh(cell.arm);
  try {
    await untilReady(running);
    const child = running.child!;
    const { port } = running;
    const ended = once(child.process, 'exit').then(() => performance.now());
    let signalledAt = 0;
    const signal = sleep(beforeSignalMs).then(() => {
      signalledAt = performance.now();
      child.process.kill('SIGTERM');
    });
    const [row] = await Promise.all([
      bench.load(running, cell, place, {
        ...{ kind: 'open', port, connections, ratePerSecond: drainRate, arrivals: 'poisson' },
        ...{ seconds: beforeSignalMs / 1000 + afterSignalSeconds, warmSeconds: 0 },
        seed: place.round + 1,
      }),
      signal,
    ]);
    const loadAfterSignalMs = performance.now() - signalledAt;
    const endedAt = await Promise.race([ended, sleep(endPatienceMs, undefined, { ref: false })]);
    const faults = [...row.faults];
    if (endedAt === undefined) faults.push('not ended after SIGTERM: 40 s');
    if (loadAfterSignalMs > loadAfterSignalMaxMs) {
      faults.push(`load was late, ms after SIGTERM: ${Math.round(loadAfterSignalMs)}`);
    }
    const drainMs = (endedAt ?? Number.POSITIVE_INFINITY) - signalledAt;
    return {
      ...row,
      faults,
      values: {
        ...row.values,
        loadAfterSignalMs,
        ...(Number.isFinite(drainMs) ? { drainMs } : {}),
      },
    };
  } finally {
    await bench.stop(running);
  }
}
