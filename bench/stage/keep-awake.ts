/**
 * Keeps idle cores from halting during a run: they poll for work instead, by Linux's PM QoS.
 *
 * A halted core of a virtual machine is woken by its hypervisor 30 to 200 us late, and that would stand
 * in every latency. Whoever holds /dev/cpu_dma_latency open with a 0 in it allows no sleep that takes
 * time to wake from; the wish ends with the process. Polling counts as idle time.
 * A spinner of the lowest priority (SCHED_IDLE) does not do: beside one, a woken thread whose fair share
 * was used up waits for the next tick, and the generator was 2 to 4 ms late (2026-11-25, Linux 6.18).
 */

import { openSync, writeSync } from 'node:fs';

const device = '/dev/cpu_dma_latency';

/** Returns false where that is not possible: no such device, or not root. */
export function keepAwake(): boolean {
  try {
    // Never closed: closing takes the wish back.
    writeSync(openSync(device, 'w'), new Uint8Array(4));
    return true;
  } catch {
    return false;
  }
}
