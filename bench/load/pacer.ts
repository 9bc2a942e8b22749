/**
 * The generator's metronome: a thread that sleeps until a request is due, then pokes the generator.
 *
 * Timers of the event loop know whole milliseconds only, and spinning would starve the backend, which
 * shares the core. A futex wait is exact to 30-60 us here (measured 2026-11-25). The poke says nothing:
 * the generator reads its own clock and plan, and counts how late it was beside every latency.
 */

import { parentPort } from 'node:worker_threads';
import { monotonicMs } from './monotonic.ts';

const never = new Int32Array(new SharedArrayBuffer(4));

/** Due times: milliseconds of monotonicMs, rising. Pokes come `leadMs` before them. */
export interface Pace {
  readonly dueAt: Float64Array;
  readonly leadMs: number;
}

parentPort!.on('message', ({ dueAt, leadMs }: Pace) => {
  for (let index = 0; index < dueAt.length; index++) {
    const pokeAt = dueAt[index]! - leadMs;
    for (let waitMs = pokeAt - monotonicMs(); waitMs > 0; ) {
      Atomics.wait(never, 0, 0, waitMs);
      waitMs = pokeAt - monotonicMs();
    }
    // Several requests due by now are one poke.
    while (index + 1 < dueAt.length && dueAt[index + 1]! <= monotonicMs()) index++;
    parentPort!.postMessage(0);
  }
});
