/**
 * What `npm run story` makes of its figures: what fails it, and which targets of speed are met.
 *
 * Correctness fails the story: a request that failed, a trace in pieces, a wrong parent, a split that
 * is not the one of the route. Speed does not, because a busy machine is slow; it is said in words
 * that can be searched for, `target ...: met` and `target ...: MISSED`. The webhook's target is judged
 * by bench/webhook.ts: 100 pods at once would measure the API server here, which shares the cores.
 */

export interface StoryArm {
  readonly requests: number;
  readonly failed: readonly string[];
  readonly split: { readonly v1: number; readonly v2: number };
  readonly counts: {
    readonly whole: number;
    readonly traces: number;
    readonly wrongParents: number;
  };
  /** Spans between two sidecars, and those without the verified peer that they should have. */
  readonly hops: { readonly hops: number; readonly unverified: readonly string[] };
}

/** Share of v1 in the route of the story, and how far the counted one may be from it. */
export const v1Share = 0.6;
const splitTolerance = 0.02;

/** What is wrong with an arm, a line each; empty when it keeps the promise. */
export function faultsOf({ requests, failed, split, counts, hops }: StoryArm): string[] {
  const faults: string[] = [];
  if (failed.length > 0) faults.push(`requests failed: ${failed.join(', ')}`);
  const answered = split.v1 + split.v2;
  if (answered !== requests) faults.push(`${answered} of ${requests} requests were answered`);
  const { whole, traces, wrongParents } = counts;
  if (whole !== requests) faults.push(`${whole} of ${requests} requests are one whole trace`);
  if (traces !== requests) faults.push(`${traces} traces of ${requests} requests`);
  if (wrongParents !== 0) faults.push(`${wrongParents} spans have a wrong parent`);
  const { length } = hops.unverified;
  if (length > 0) {
    faults.push(`${length} of ${hops.hops} hops without their peer, first: ${hops.unverified[0]}`);
  }
  const share = split.v1 / requests;
  if (!(Math.abs(share - v1Share) <= splitTolerance + 1e-9)) {
    const [counted, wanted] = [share, v1Share].map((each) => `${(each * 100).toFixed(1)} %`);
    faults.push(`v1 answered ${counted} instead of ${wanted}`);
  }
  return faults;
}

export interface StorySpeed {
  /** CPU per request of Tracecar's sidecars, of Envoy's. */
  readonly cpuRatio: number;
  /** How much later a pod is Ready with a sidecar. */
  readonly readyDeltaMs: number;
}

/** One line for each target. What was not measured is missed. */
export function targetLines({ cpuRatio, readyDeltaMs }: StorySpeed): string[] {
  const line = (what: string, isMet: boolean, measured: string) =>
    `target ${what}: ${isMet ? 'met' : 'MISSED'} (${measured})`;
  return [
    line("CPU per request <= 0.6 of Envoy's", cpuRatio <= 0.6, cpuRatio.toFixed(2)),
    line(
      'Ready at most 1.5 s later with a sidecar',
      readyDeltaMs <= 1_500,
      `${(readyDeltaMs / 1000).toFixed(2)} s`,
    ),
  ];
}

/** Requests that meet the planted fault (fault.cjs). */
export const faultsPlanted = 20;

/** What is left of the requests that met it, and of those that did not. */
export interface KeptFailures {
  readonly requests: number;
  /** Requests that were not answered well. */
  readonly failed: number;
  /** Requests that failed in another way than was planted; a line each. */
  readonly surprises: readonly string[];
  /** Failures of which there is any span at all. */
  readonly kept: number;
  /** Failures of which there is exactly one trace, and it is whole. */
  readonly whole: number;
  /** `file rule subset weight` of the call to reviews in those that are whole, with their number. */
  readonly named: Readonly<Record<string, number>>;
  /** Traces of requests that did not fail. */
  readonly others: number;
  /** One that is whole. */
  readonly example: string | undefined;
}

/** What breaks the promise, a line each: all of them, whole, and each names its rule. */
export function keptFaultsOf(kept: KeptFailures): string[] {
  const { requests, failed, surprises, whole, named, others } = kept;
  const faults = surprises.map((each) => `not the planted fault: ${each}`);
  if (failed !== faultsPlanted) faults.push(`${failed} requests failed, not ${faultsPlanted}`);
  if (whole !== failed) faults.push(`${whole} of ${failed} failures are one whole trace`);
  const names = Object.keys(named);
  if (names.length !== 1 || !/^\S*reviews-route\.yaml:\d+:\d+ 0 v2 40$/.test(names[0] ?? '')) {
    faults.push(`the failures name ${names.join(' and ') || 'no rule'}`);
  }
  // Requests that a busy machine made slow are kept as well, at most one a second and route.
  if (others > requests / 20) faults.push(`${others} traces of requests that did not fail`);
  return faults;
}
