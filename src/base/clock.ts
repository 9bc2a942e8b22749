/**
 * Clocks: monotonic time for durations and deadlines, wall time for what people read.
 *
 * Wall time is one anchor plus the monotonic clock, so a step of the machine's clock never makes a
 * duration negative (reference/reliability.md O18). Everything below `main` takes a Clock as an
 * argument; this file is the only reader of the real one.
 */

// The global of that name is an accessor, which Node.js asks at each use.
import { performance } from 'node:perf_hooks';

/** Milliseconds, fractional; whether since start or since the epoch is in the name that holds it. */
export type Milliseconds = number;

export interface Clock {
  /** Monotonic milliseconds since an arbitrary start, with microsecond fraction. */
  now(): Milliseconds;
  /** Wall-clock milliseconds since the Unix epoch that correspond to monotonic 0. */
  readonly epochMs: Milliseconds;
}

/** The machine's clock. `epochMs` is read once, at start. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epochMs: performance.timeOrigin,
};

/**
 * Milliseconds since the epoch as the machine has them now. It may step, back too: only for what other
 * machines compare with theirs, such as the times in a certificate.
 */
export type WallTime = () => Milliseconds;

export const systemWallTime: WallTime = () => Date.now();

/** A clock that moves only when told: for tests and simulations. */
export class ManualClock implements Clock {
  readonly epochMs: Milliseconds;
  #now: Milliseconds;

  constructor(startMs: Milliseconds = 0, epochMs: Milliseconds = 1_700_000_000_000) {
    this.#now = startMs;
    this.epochMs = epochMs;
  }

  now(): Milliseconds {
    return this.#now;
  }

  /** Moves time forward by `ms` (at least 0). */
  advance(ms: Milliseconds): void {
    this.#now += ms;
  }
}
