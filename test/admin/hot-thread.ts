/**
 * A thread with a HealthLink that a test can bring to a standstill: the entry of a worker.
 *
 *   gate[0]: 1 while it stands still; the test puts it back to 0 and notifies
 */

import { parentPort, workerData } from 'node:worker_threads';
import { HealthLink } from '../../src/admin/health-link.ts';
import type { Probe } from '../../src/admin/probe-definition.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';

export interface HotThreadData {
  readonly gate: Int32Array;
  readonly probes: readonly Probe[];
  readonly drainSecret: string;
}

const { drainSecret, gate, probes }: HotThreadData = workerData;
let hasLeft = false;
const link = new HealthLink({
  clock: systemClock,
  wakeUps: systemWakeUps,
  whyNotReady: () => (hasLeft ? 'draining' : ''),
  whyNotOpen: () => '',
  leave: () => {
    hasLeft = true;
  },
  ...{ drainSecret, probes },
  applicationAddress: '127.0.0.1',
  passage: undefined,
  warn: (text) => parentPort?.postMessage({ warning: text }),
});

parentPort?.on('message', () => {
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  while (Atomics.load(gate, 0) === 1) Atomics.wait(gate, 0, 1);
});
const { port } = await link.listen('127.0.0.1', 0);
parentPort?.postMessage({ port });
