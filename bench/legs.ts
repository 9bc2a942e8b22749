/**
 * One measurement of one arm: load for a short time, and what it cost the proxy's core meanwhile.
 *
 * A leg never decides whether its row counts; it writes down every fault it can see: wrong answers,
 * time stolen by the hypervisor, another process on the proxy's core, a generator that was late.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Arm } from './arms.ts';
import { Histogram } from './histogram.ts';
import type { LoadErrors, LoadOrder, LoadReport } from './load-order.ts';
import {
  type CoreTimes,
  microsPerTick,
  readCoreTimes,
  readCpuMicros,
  readMemory,
} from './procfs.ts';
import type { LoadRow, StartRow } from './result.ts';
import type { Cores, RunningArm, Stage } from './stage.ts';

/** Above these a row is dropped; shares of one core, from reference/performance.md 8.3. */
const stolenMax = 0.02;
const foreignMax = 0.05;
const latenessP99MaxUs = 200;
const loadCoreBusyMax = 0.8;

/** Idle time and CPU time are each known to a tick: less than two of them is nobody's. */
const resolutionUs = 2 * microsPerTick;

const idleBeforeMemoryMs = 500;

/** Where a row stands: its round and its place in the round's order, both from 0. */
export interface RowPlace {
  readonly round: number;
  readonly place: number;
}

/** The three loads of reference/performance.md 2.1; `seed` makes the same arrivals for all arms. */
export function orderFor(
  leg: LoadRow['leg'],
  port: number,
  seconds: number,
  seed: number,
): LoadOrder {
  if (leg === 'saturation') return { kind: 'closed', port, connections: 16, seconds };
  const common = { kind: 'open', port, seconds, seed } as const;
  return leg === 'single'
    ? { ...common, connections: 1, ratePerSecond: 1000, arrivals: 'even', warmSeconds: 0.1 }
    : { ...common, connections: 16, ratePerSecond: 2000, arrivals: 'poisson', warmSeconds: 0.15 };
}

/** Runs one leg against a running arm. */
export async function measureLoad(
  stage: Stage,
  cores: Cores | undefined,
  running: RunningArm,
  leg: LoadRow['leg'],
  seconds: number,
  place: RowPlace,
): Promise<LoadRow> {
  const order = orderFor(leg, running.port, seconds, place.round + 1);
  const pid = running.child?.pid;
  const before = readConditions(cores, pid);
  const report = await stage.generator.run(order);
  const conditions = compareConditions(cores, before, readConditions(cores, pid));
  const open = leg !== 'saturation';
  const row = {
    ...place,
    arm: running.name,
    leg,
    elapsedSeconds: report.elapsedSeconds,
    requests: report.sent,
    requestsPerSecond: report.completed / seconds,
    errors: sumErrors(report.errors),
    ...conditions,
    ...(open ? describeLatency(report) : {}),
  };
  if (leg === 'saturation') row.requestsPerSecond = report.completed / report.elapsedSeconds;
  return { ...row, faults: findFaults(row, report.errors) };
}

/** Starts a second copy of an arm, reads its memory at rest, and stops it. */
export async function measureStart(
  stage: Stage,
  cores: Cores | undefined,
  arm: Arm,
  place: RowPlace,
): Promise<StartRow> {
  const before = readConditions(cores, undefined);
  const running = await stage.startArm(arm);
  await sleep(idleBeforeMemoryMs);
  const { pid } = running.child!;
  const conditions = compareConditions(cores, before, readConditions(cores, pid));
  const { rssKb, anonymousKb } = readMemory(pid);
  await stage.stopArm(running);
  const { firstAnswerMs } = running;
  const faults = findCoreFaults(conditions);
  return { ...place, arm: arm.name, leg: 'start', faults, firstAnswerMs, rssKb, anonymousKb };
}

interface Conditions {
  readonly atUs: number;
  readonly cpuUs: number;
  readonly proxyCore: CoreTimes;
  readonly loadCore: CoreTimes;
}

const unknownCore: CoreTimes = { idleUs: 0, stolenUs: 0 };

/** `pid` is the proxy's; undefined without one. */
function readConditions(cores: Cores | undefined, pid: number | undefined): Conditions {
  return {
    cpuUs: pid === undefined ? 0 : readCpuMicros(pid),
    proxyCore: cores === undefined ? unknownCore : readCoreTimes(cores.proxy),
    loadCore: cores === undefined ? unknownCore : readCoreTimes(cores.load),
    atUs: performance.now() * 1000,
  };
}

/** Without cores of our own nothing is known about others. */
function compareConditions(cores: Cores | undefined, before: Conditions, after: Conditions) {
  const wallUs = after.atUs - before.atUs;
  const cpuUs = after.cpuUs - before.cpuUs;
  if (cores === undefined) {
    return { cpuUs, proxyCoreBusy: 0, loadCoreBusy: 0, foreign: 0, stolen: 0 };
  }
  const proxy = usedOf(before.proxyCore, after.proxyCore, wallUs);
  const load = usedOf(before.loadCore, after.loadCore, wallUs);
  return {
    cpuUs,
    proxyCoreBusy: proxy.usedUs / wallUs,
    loadCoreBusy: load.usedUs / wallUs,
    foreign: Math.max(0, proxy.usedUs - cpuUs - resolutionUs) / wallUs,
    stolen: (proxy.stolenUs + load.stolenUs) / wallUs / 2,
  };
}

function usedOf(before: CoreTimes, after: CoreTimes, wallUs: number) {
  const stolenUs = after.stolenUs - before.stolenUs;
  return { stolenUs, usedUs: Math.max(0, wallUs - (after.idleUs - before.idleUs) - stolenUs) };
}

function describeLatency(report: LoadReport) {
  const lateness = new Histogram();
  lateness.add(report.lateness);
  const latenessP99Us = lateness.percentile(0.99) / 1000;
  return { latency: report.latency, service: report.service, latenessP99Us };
}

function sumErrors(errors: LoadErrors): number {
  return errors.status + errors.body + errors.cut + errors.late;
}

/** Open-loop rows care about the load's core; a closed loop may fill it, and then says so elsewhere. */
function findFaults(row: Omit<LoadRow, 'faults'>, errors: LoadErrors): readonly string[] {
  const faults: string[] = [];
  if (row.errors > 0) {
    const kinds = Object.entries(errors).filter(([, count]) => count > 0);
    faults.push(`wrong answers: ${kinds.map(([kind, count]) => `${count} ${kind}`).join(', ')}`);
  }
  if (row.requests === 0) faults.push('no requests');
  faults.push(...findCoreFaults(row));
  if (row.leg === 'saturation') return faults;
  if (row.loadCoreBusy > loadCoreBusyMax)
    faults.push(`load core busy: ${percent(row.loadCoreBusy)}`);
  if ((row.latenessP99Us ?? 0) > latenessP99MaxUs) {
    faults.push(`generator late, p99: ${Math.round(row.latenessP99Us!)} us`);
  }
  return faults;
}

function findCoreFaults({ stolen, foreign }: { stolen: number; foreign: number }): string[] {
  const faults: string[] = [];
  if (stolen > stolenMax) faults.push(`time stolen by the hypervisor: ${percent(stolen)}`);
  if (foreign > foreignMax) faults.push(`others on the proxy's core: ${percent(foreign)}`);
  return faults;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
