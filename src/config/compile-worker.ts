/**
 * Entry of the compiler's threads: one job and the end, or a session that lasts.
 *
 * A sidecar that carries traffic reads YAML here and nowhere else. Bundled on its own as
 * dist/compile-worker.cjs.
 */

import { setPriority } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { type CompileJob, runCompileJob } from './compile-job.ts';
import { CompileSession, type SessionRequest } from './compile-session.ts';

/** What a thread is started for: one job, or requests that come as messages. */
export type CompileWorkerData =
  | { readonly kind: 'job'; readonly job: CompileJob }
  | { readonly kind: 'session' };

/** On Linux a priority is a thread's: traffic goes first where the two share a core. */
const NICENESS = 10;
/** Characters that were read at once. */
const COLLECT_LENGTH_MIN = 256 * 1024;
/** The first edits took 35, 24 and 7 ms without (2026-11-25). */
const REHEARSALS = 5;

function giveWay(): void {
  try {
    setPriority(NICENESS);
  } catch {
    // Where it may not be lowered the system's share is fair.
  }
}

function settleIn(session: CompileSession, request: SessionRequest): void {
  giveWay();
  for (let times = 0; times < REHEARSALS; times++) session.rehearse(request, systemClock);
}

function lengthOf({ changed }: SessionRequest): number {
  return changed.reduce((sum, { text }) => sum + text.length, 0);
}

/** V8's own function, which a context has that is made while the flag is set. */
function collector(): NodeJS.GCFunction {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  return collect;
}

const data: CompileWorkerData = workerData;
if (data.kind === 'job') parentPort?.postMessage(runCompileJob(data.job, systemClock));
else {
  const session = new CompileSession();
  const collect = collector();
  let isFirst = true;
  parentPort?.on('message', (request: SessionRequest) => {
    parentPort?.postMessage(session.run(request, systemClock));
    // Of the first answer a start waits; from then on there is traffic.
    if (isFirst) settleIn(session, request);
    isFirst = false;
    // Of 2.5 MB of YAML 196 MB of heap are left, 46 of them in use, and small edits never clear them up.
    // Only this kind of collection moves what lives together: 48 MB after it (2026-11-26).
    if (lengthOf(request) < COLLECT_LENGTH_MIN) return;
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  });
}
