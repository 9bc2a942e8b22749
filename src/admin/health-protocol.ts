/**
 * What the hot thread and the health worker say to each other: plain data, and one shared counter.
 *
 *   hot ──state──► worker      hot ──beats[0] += 1, twice a second──► worker looks
 *   hot ──left───► worker      worker ──listening | failed | leave | passage──► hot
 */

import type { Clock, Milliseconds } from '../base/clock.ts';
import type { Probe } from './probe-definition.ts';

/** What readiness pages show; each empty when all is well. */
export interface HealthState {
  readonly whyNotReady: string;
  readonly whyNotOpen: string;
}

export interface HealthWorkerData {
  readonly address: string;
  readonly port: number;
  readonly drainSecret: string;
  readonly probes: readonly Probe[];
  readonly applicationAddress: string;
  /** Addresses of the pod whose connections are captured; absent: none are. */
  readonly ownAddresses: readonly string[] | undefined;
  /** In shared memory; the hot thread counts it up. */
  readonly beats: Int32Array;
  readonly state: HealthState;
}

export type HealthOrder =
  | { readonly kind: 'state'; readonly state: HealthState }
  /** The end of the pod has begun, as it was asked. */
  | { readonly kind: 'left' };

export type HealthNews =
  | { readonly kind: 'listening'; readonly address: string; readonly port: number }
  /** With the system's word: `EADDRINUSE`. */
  | { readonly kind: 'failed'; readonly code: string }
  /** Somebody with the secret wants the end of the pod. */
  | { readonly kind: 'leave' }
  /** Whether a probe from elsewhere passed the inbound rules (`Passage.onProbe`). */
  | { readonly kind: 'passage'; readonly hasPassed: boolean };

export const healthPace = Object.freeze({
  /** Between two beats of the hot thread. */
  beatMs: 500,
  /** How often the worker looks whether there was one. */
  lookMs: 1_000,
  /** Without a beat for this long the hot thread is stuck: beyond any pause of a healthy one. */
  stuckMs: 10_000,
  /** How long a drain waits for the hot thread, which will begin it in any case. */
  leaveMs: 5_000,
  /** Before a worker that died is started again, and between two warnings of it. */
  restartMs: 1_000,
  warningMs: 60_000,
});

/** Tells from the outside whether a thread turns: by a counter that it counts up. */
export class Pulse {
  readonly #beats: Int32Array;
  readonly #clock: Clock;
  #seen: number;
  #seenMs: Milliseconds;

  constructor(beats: Int32Array, clock: Clock) {
    this.#beats = beats;
    this.#clock = clock;
    this.#seen = Atomics.load(beats, 0);
    this.#seenMs = clock.now();
  }

  /** To be called every now and then: a beat counts from when it is seen. */
  look(): void {
    const count = Atomics.load(this.#beats, 0);
    if (count === this.#seen) return;
    this.#seen = count;
    this.#seenMs = this.#clock.now();
  }

  get isBeating(): boolean {
    this.look();
    return this.#clock.now() < this.#seenMs + healthPace.stuckMs;
  }
}
