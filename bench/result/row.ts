/**
 * What a run writes down: rows, and the result file around them.
 *
 * Types only. A row is one cell of one round, kept whatever happened, with every fault that was seen;
 * dropping happens in Summary and is counted there. Names of values carry their units.
 */

import type { SparseCounts } from '../load/histogram.ts';
import type { Cell, Scale } from '../scenarios/scenario.ts';

export interface Row {
  /** From 0. */
  readonly round: number;
  /** Place in the round's order, from 0. */
  readonly place: number;
  readonly arm: string;
  readonly point: string;
  /** Why the row must not count, each as 'kind: value'; empty when it counts. */
  readonly faults: readonly string[];
  /**
   * requests, errors, elapsedSeconds, requestsPerSecond, cpuUs (all threads), hotCpuUs (main thread),
   * rssKb, anonymousKb, privateKb, pssKb, firstAnswerMs, latenessP99Us, and what a scenario adds.
   * Shares of one core, 0 to 1: proxyCoreBusy, loadCoreBusy, foreign and loadForeign (of the proxy's and
   * of the load's core, what another process used), stolen and loadStolen (by the hypervisor; in
   * results without loadStolen, stolen is the mean of both cores). Direct has no CPU time and no
   * memory of a proxy.
   */
  readonly values: Readonly<Record<string, number>>;
  /** What could not be counted, and what to run to have it; the row counts without. */
  readonly lacks?: readonly string[];
  /** In ns: 'latency' from the time a request was due, 'service' from its sending. */
  readonly histograms?: Readonly<Record<string, SparseCounts>>;
}

export interface ResultArm {
  readonly name: string;
  readonly label: string;
  readonly setting: string;
  readonly version?: string;
  readonly program?: string;
  /** A hash of what ran, where it is built and no part of the commit. */
  readonly build?: string;
  readonly missing?: string;
  readonly install?: string;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly kernel: string;
  readonly node: string;
  readonly mitigations: Readonly<Record<string, string>>;
  readonly loadAverage: number;
  /** Share of both cores that was busy in one second before the first round, nothing being asked. */
  readonly idleBusy: number;
}

/** What another load generator measured of an arm at saturation; enters no other number. */
export interface CrossCheck {
  readonly arm: string;
  readonly tool: string;
  readonly version: string;
  readonly requestsPerSecond: number;
  /** 0 for direct, which has no process of a proxy. */
  readonly cpuUsPerRequest: number;
  /** Why there is no figure; both are 0 then. */
  readonly failed?: string;
}

/** One scenario's result file; drawn from and from nothing else. */
export interface Result {
  readonly schema: 'tracecar-bench/2';
  /** The scenario's name, and its title. */
  readonly scenario: string;
  readonly title: string;
  readonly scale: Scale;
  readonly date: string;
  readonly commit: string;
  readonly command: readonly string[];
  readonly rounds: number;
  /** Measured seconds of one load. */
  readonly seconds: number;
  /** Noise was tolerated: the figures are a smoke test. */
  readonly tolerateNoise: boolean;
  /** Whether idle cores polled for work instead of halting. */
  readonly keptAwake: boolean;
  readonly durationSeconds: number;
  readonly machine: Machine;
  readonly pinning: { readonly proxy: number; readonly load: number } | 'none';
  readonly backend: string;
  /** All arms of the scenario, direct ones and missing ones too. */
  readonly arms: readonly ResultArm[];
  /** Labels of arms that the caller did not want. */
  readonly leftOut?: readonly string[];
  /** What each round measures, missing arms left out. */
  readonly cells: readonly Cell[];
  /** Spans that the collector counted over all of it; proof that tracing was on. */
  readonly spansCollected: number;
  readonly crossChecks: readonly CrossCheck[];
  readonly rows: readonly Row[];
}
