/**
 * Compiler thread: runs compile jobs beside the hot thread, so that traffic goes on while files are
 * read.
 *
 * A small configuration gets a thread for each job: reloads are rare, and its memory goes with it. For
 * a large one a thread lasts, which remembers what it has read: an edit costs what it changes
 * (docs/decisions/edits.md). A job fails only by a bug of ours or for want of memory, and then alone.
 */

import { Worker } from 'node:worker_threads';
import { configLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import type { CompileJob, CompileOutcome } from './compile-job.ts';
import type { CompileWorkerData } from './compile-worker.ts';
import type { ConfigFiles } from './config-folder.ts';
import { deepFreeze } from './deep-freeze.ts';
import { LastingCompiler } from './lasting-compiler.ts';

export class CompilerThread {
  readonly #url: URL;
  readonly #warn: (text: string) => void;
  #worker: Worker | undefined;
  #lasting: LastingCompiler | undefined;

  /**
   * @param url of the entry where it is not compile-worker.ts beside this file
   * @param warn is told what went another way than it should, and still well
   */
  constructor(
    url = new URL('./compile-worker.ts', import.meta.url),
    warn: (text: string) => void = () => {},
  ) {
    this.#url = url;
    this.#warn = warn;
  }

  /**
   * One at a time. `inForce`: the table that `job.digest` is of. Rejects when the thread ends without
   * an answer.
   */
  async run(job: CompileJob, inForce?: RoutingTable | undefined): Promise<CompileOutcome> {
    if (this.#lasting?.isOver === true) this.#lasting = undefined;
    if (isLarge(job.files)) {
      this.#lasting ??= new LastingCompiler(this.#url, this.#warn);
      return this.#lasting.run(job, inForce);
    }
    this.#lasting?.close();
    this.#lasting = undefined;
    return this.#runOnce(job);
  }

  /** Ends a job under way: its promise rejects. */
  close(): void {
    void this.#worker?.terminate();
    this.#lasting?.close();
  }

  #runOnce(job: CompileJob): Promise<CompileOutcome> {
    return new Promise((resolve, reject) => {
      const workerData: CompileWorkerData = { kind: 'job', job };
      const worker = new Worker(this.#url, { name: 'compiler', workerData, env: {} });
      this.#worker = worker;
      worker.once('message', (outcome: CompileOutcome) => {
        deepFreeze(outcome.table);
        resolve(outcome);
      });
      worker.once('error', reject);
      worker.once('exit', (code) => {
        if (this.#worker === worker) this.#worker = undefined;
        // After an answer this changes nothing.
        reject(new Error(`the compiler's thread ended with status ${code}`));
      });
    });
  }
}

/** Whether a thread lasts for these files. */
export function isLarge({ files }: ConfigFiles): boolean {
  let length = 0;
  for (const { text } of files) length += text.length;
  return length >= configLimits.largeTextMin;
}
