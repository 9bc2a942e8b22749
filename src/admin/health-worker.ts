/**
 * Entry of the health worker: the health port in a thread that traffic cannot hold up.
 *
 * It answers from what the hot thread said last, asks the application itself, and checks the secret of
 * a drain before the hot thread hears of it. Bundled on its own as dist/health-worker.cjs.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { HealthPort } from './health-port.ts';
import {
  type HealthNews,
  type HealthOrder,
  type HealthWorkerData,
  healthPace,
  Pulse,
} from './health-protocol.ts';
import { stuck } from './health-server.ts';

const data: HealthWorkerData = workerData;
const { address, applicationAddress, beats, drainSecret, ownAddresses, port, probes, state } = data;
const pulse = new Pulse(beats, systemClock);
let known = state;
let leaving: (() => void)[] = [];

function tell(news: HealthNews): void {
  parentPort?.postMessage(news);
}

function watchPulse(): void {
  pulse.look();
  systemWakeUps.after(healthPace.lookMs, watchPulse);
}

/** Resolves when the hot thread has begun the end, or has not found the time to say so. */
function leave(): Promise<void> {
  return new Promise((resolve) => {
    const callOff = systemWakeUps.after(healthPace.leaveMs, resolve);
    leaving.push(() => {
      callOff();
      resolve();
    });
    tell({ kind: 'leave' });
  });
}

parentPort?.on('message', (order: HealthOrder) => {
  if (order.kind === 'state') {
    known = order.state;
    return;
  }
  for (const resolve of leaving) resolve();
  leaving = [];
});
watchPulse();
new HealthPort(
  {
    whyNotReady: () => (pulse.isBeating ? known.whyNotReady : stuck),
    whyNotOpen: () => (pulse.isBeating ? known.whyNotOpen : stuck),
    isLive: () => pulse.isBeating,
    leave,
    drainSecret,
    probes,
    applicationAddress,
    wakeUps: systemWakeUps,
  },
  ownAddresses === undefined
    ? undefined
    : { ownAddresses, onProbe: (hasPassed) => tell({ kind: 'passage', hasPassed }) },
)
  .listen(address, port)
  .then(
    (bound) => tell({ kind: 'listening', address: bound.address, port: bound.port }),
    ({ code, message }: NodeJS.ErrnoException) => tell({ kind: 'failed', code: code ?? message }),
  );
