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
  readEndedMicros,
  readMemory,
  readThreadTimes,
  type ThreadTimes,
  threadsUsed,
} from '../stage/procfs.ts';
import type { Stage } from '../stage/stage.ts';

/**
 * Above these a row is dropped; shares of one core, each of the two by itself, from
 * reference/performance.md 8.3.
 */
const stolenMax = 0.02;
const foreignMax = 0.05;

/** Idle time is known to a tick: less than two of them is nobody's. */
const resolutionUs = 2 * microsPerTick;

export interface Seen {
  /**
   * proxyCoreBusy, loadCoreBusy, foreign, loadForeign, stolen, loadStolen; and, of an arm with a process,
   * cpuUs, hotCpuUs, rssKb, anonymousKb, privateKb, pssKb.
   */
  readonly values: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
}

/** An arm, as far as it is watched: direct ones have no process. */
export interface Watched {
  readonly child: { readonly pid: number } | undefined;
  /** Its further processes, whose CPU time is the arm's too; of memory only the first one's is read. */
  readonly also?: readonly { readonly pid: number }[];
}

export class Watch {
  readonly #stage: Stage;
  readonly #pids: readonly number[];
  readonly #withEnded: boolean;
  readonly #before: Conditions;

  /**
   * Watching begins now; without an arm, or with direct, only the cores are watched. `withEnded`: the
   * bench's children that end meanwhile are the load, and no strangers on its core.
   */
  constructor(stage: Stage, running: Watched | undefined, withEnded = false) {
    this.#stage = stage;
    this.#pids = pidsOf(running);
    this.#withEnded = withEnded;
    this.#before = readConditions(stage, this.#pids, withEnded);
  }

  /**
   * Watching ends now. `started` is an arm that was started since: its CPU time counts from its exec.
   * Throws when the arm's process is gone.
   */
  end(started?: Watched): Seen {
    const pids = started === undefined ? this.#pids : pidsOf(started);
    const [pid] = pids;
    const after = readConditions(this.#stage, pids, this.#withEnded);
    const before = this.#before;
    const shares = compareCores(this.#stage, before, after);
    // What starts runs on the load's core until taskset has moved it, and is no stranger there.
    const cores = started === undefined ? shares : { ...shares, loadForeign: 0 };
    const faults = findCoreFaults(cores);
    if (pid === undefined) return { values: cores, faults };
    const { allUs, mainUs } = usedBetween(before.threads, after.threads);
    return { values: { cpuUs: allUs, hotCpuUs: mainUs, ...readMemory(pid), ...cores }, faults };
  }
}

export interface Conditions {
  readonly atUs: number;
  /** Of the arm, each process by itself; none without one. */
  readonly threads: readonly ThreadTimes[];
  /** Of all that we run on the load's core, the bench itself too. */
  readonly loadThreads: readonly ThreadTimes[];
  readonly proxyCore: CoreTimes;
  readonly loadCore: CoreTimes;
}

/** What the two cores did, each a share of that core, 0 to 1. */
export type CoreShares = ReturnType<typeof compareCores>;

const unknownCore: CoreTimes = { idleUs: 0, stolenUs: 0 };

function pidsOf(running: Watched | undefined): readonly number[] {
  if (running?.child === undefined) return [];
  return [running.child, ...(running.also ?? [])].map(({ pid }) => pid);
}

function readConditions(stage: Stage, pids: readonly number[], withEnded: boolean): Conditions {
  const { cores } = stage;
  const ended = withEnded ? [{ ...noThreads, ticksUs: readEndedMicros(process.pid) }] : [];
  return {
    threads: pids.map(readThreadTimes),
    loadThreads:
      cores === undefined ? [] : [...stage.loadProcesses().flatMap(readIfThere), ...ended],
    proxyCore: cores === undefined ? unknownCore : readCoreTimes(cores.proxy),
    loadCore: cores === undefined ? unknownCore : readCoreTimes(cores.load),
    atUs: performance.now() * 1000,
  };
}

/** A process of the load that is gone is seen by the stage, not here. */
function readIfThere(pid: number): readonly ThreadTimes[] {
  try {
    return [readThreadTimes(pid)];
  } catch {
    return [];
  }
}

/** Without cores of our own nothing is known about others. */
function compareCores(stage: Stage, before: Conditions, after: Conditions) {
  const unknown = { proxyCoreBusy: 0, loadCoreBusy: 0, foreign: 0, stolen: 0 };
  if (stage.cores === undefined) return { ...unknown, loadForeign: 0, loadStolen: 0 };
  return compareConditions(before, after);
}

/** Exported for tests. What our own processes used of a core is not foreign. */
export function compareConditions(before: Conditions, after: Conditions) {
  const wallUs = after.atUs - before.atUs;
  const proxy = usedOf(before.proxyCore, after.proxyCore, wallUs);
  const load = usedOf(before.loadCore, after.loadCore, wallUs);
  const armUs = usedBetween(before.threads, after.threads).allUs;
  const loadUs = usedBetween(before.loadThreads, after.loadThreads).allUs;
  const foreign = (usedUs: number, ownUs: number) =>
    Math.max(0, usedUs - ownUs - resolutionUs) / wallUs;
  return {
    proxyCoreBusy: proxy.usedUs / wallUs,
    loadCoreBusy: load.usedUs / wallUs,
    foreign: foreign(proxy.usedUs, armUs),
    loadForeign: foreign(load.usedUs, loadUs),
    stolen: proxy.stolenUs / wallUs,
    loadStolen: load.stolenUs / wallUs,
  };
}

/** By all of them; one that was not there before has begun since. */
function usedBetween(before: readonly ThreadTimes[], after: readonly ThreadTimes[]) {
  let allUs = 0;
  let mainUs = 0;
  for (const each of after) {
    const earlier = before.find(({ pid }) => pid === each.pid);
    const used = threadsUsed(earlier ?? { ...noThreads, pid: each.pid }, each);
    allUs += used.allUs;
    mainUs += used.mainUs;
  }
  return { allUs, mainUs };
}

function usedOf(before: CoreTimes, after: CoreTimes, wallUs: number) {
  const stolenUs = after.stolenUs - before.stolenUs;
  return { stolenUs, usedUs: Math.max(0, wallUs - (after.idleUs - before.idleUs) - stolenUs) };
}

/** Exported for tests. Each core is judged by itself: one that is calm does not excuse the other. */
export function findCoreFaults(shares: CoreShares): string[] {
  const faults: string[] = [];
  const { stolen, loadStolen, foreign, loadForeign } = shares;
  if (stolen > stolenMax) faults.push(`time stolen from the proxy's core: ${percent(stolen)}`);
  if (loadStolen > stolenMax) {
    faults.push(`time stolen from the load's core: ${percent(loadStolen)}`);
  }
  if (foreign > foreignMax) faults.push(`others on the proxy's core: ${percent(foreign)}`);
  if (loadForeign > foreignMax) faults.push(`others on the load's core: ${percent(loadForeign)}`);
  return faults;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
