/**
 * What a piece of measuring cost, and whether anybody else was there: /proc before and after it.
 *
 * Nothing here decides whether a row counts; every fault that can be seen is written down.
 */

import {
  type CoreTimes,
  microsPerTick,
  noThreads,
  readCoreTimes,
  readMemory,
  readThreadTimes,
  type ThreadTimes,
  threadsUsed,
} from '../stage/procfs.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';

/** Above these a row is dropped; shares of one core, from reference/performance.md 8.3. */
const stolenMax = 0.02;
const foreignMax = 0.05;

/** Idle time is known to a tick: less than two of them is nobody's. */
const resolutionUs = 2 * microsPerTick;

export interface Seen {
  /**
   * proxyCoreBusy, loadCoreBusy, foreign, stolen; and, of an arm with a process, cpuUs, hotCpuUs,
   * rssKb, anonymousKb, privateKb, pssKb.
   */
  readonly values: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
}

export class Watch {
  readonly #stage: Stage;
  readonly #pid: number | undefined;
  readonly #before: Conditions;

  /** Watching begins now; without an arm, or with direct, only the cores are watched. */
  constructor(stage: Stage, running: RunningArm | undefined) {
    this.#stage = stage;
    this.#pid = running?.child?.pid;
    this.#before = readConditions(stage, this.#pid);
  }

  /**
   * Watching ends now. `started` is an arm that was started since: its CPU time counts from its exec.
   * Throws when the arm's process is gone.
   */
  end(started?: RunningArm): Seen {
    const pid = started?.child?.pid ?? this.#pid;
    const after = readConditions(this.#stage, pid);
    const before = this.#before;
    const cores = compareCores(this.#stage, before, after);
    const faults = findCoreFaults(cores.stolen, cores.foreign);
    if (pid === undefined) return { values: cores, faults };
    const { allUs, mainUs } = threadsUsed(before.threads, after.threads);
    return { values: { cpuUs: allUs, hotCpuUs: mainUs, ...readMemory(pid), ...cores }, faults };
  }
}

interface Conditions {
  readonly atUs: number;
  /** Of the arm; none without one. */
  readonly threads: ThreadTimes;
  readonly proxyCore: CoreTimes;
  readonly loadCore: CoreTimes;
}

const unknownCore: CoreTimes = { idleUs: 0, stolenUs: 0 };

function readConditions(stage: Stage, pid: number | undefined): Conditions {
  const { cores } = stage;
  return {
    threads: pid === undefined ? noThreads : readThreadTimes(pid),
    proxyCore: cores === undefined ? unknownCore : readCoreTimes(cores.proxy),
    loadCore: cores === undefined ? unknownCore : readCoreTimes(cores.load),
    atUs: performance.now() * 1000,
  };
}

/** Without cores of our own nothing is known about others. */
function compareCores(stage: Stage, before: Conditions, after: Conditions) {
  const unknown = { proxyCoreBusy: 0, loadCoreBusy: 0, foreign: 0, stolen: 0 };
  if (stage.cores === undefined) return unknown;
  const wallUs = after.atUs - before.atUs;
  const proxy = usedOf(before.proxyCore, after.proxyCore, wallUs);
  const load = usedOf(before.loadCore, after.loadCore, wallUs);
  const armUs = threadsUsed(before.threads, after.threads).allUs;
  return {
    proxyCoreBusy: proxy.usedUs / wallUs,
    loadCoreBusy: load.usedUs / wallUs,
    foreign: Math.max(0, proxy.usedUs - armUs - resolutionUs) / wallUs,
    stolen: (proxy.stolenUs + load.stolenUs) / wallUs / 2,
  };
}

function usedOf(before: CoreTimes, after: CoreTimes, wallUs: number) {
  const stolenUs = after.stolenUs - before.stolenUs;
  return { stolenUs, usedUs: Math.max(0, wallUs - (after.idleUs - before.idleUs) - stolenUs) };
}

function findCoreFaults(stolen: number, foreign: number): string[] {
  const faults: string[] = [];
  if (stolen > stolenMax) faults.push(`time stolen by the hypervisor: ${percent(stolen)}`);
  if (foreign > foreignMax) faults.push(`others on the proxy's core: ${percent(foreign)}`);
  return faults;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
