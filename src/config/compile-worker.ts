/**
 * Entry of the compiler's thread: does the one job of its `workerData`, answers and ends.
 *
 * A sidecar that carries traffic reads YAML here and nowhere else. Bundled on its own as
 * dist/compile-worker.cjs.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { type CompileJob, runCompileJob } from './compile-job.ts';

parentPort?.postMessage(runCompileJob(workerData as CompileJob, systemClock));
