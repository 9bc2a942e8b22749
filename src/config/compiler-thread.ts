/**
 * Compiler thread: runs compile jobs beside the hot thread, so that traffic goes on while files are
 * read. A thread for each job: reloads are rare, and its memory goes with it.
 *
 * What comes back is a copy: the table is frozen again here. A job fails only by a bug of ours or for
 * want of memory, and then alone.
 */

import { Worker } from 'node:worker_threads';
import type { CompileJob, CompileOutcome } from './compile-job.ts';
import { deepFreeze } from './deep-freeze.ts';

export class CompilerThread {
  readonly #url: URL;
  #worker: Worker | undefined;

  /** @param url of the entry where it is not compile-worker.ts beside this file */
  constructor(url = new URL('./compile-worker.ts', import.meta.url)) {
    this.#url = url;
  }

  /** One at a time. Rejects when the thread ends without an answer. */
  run(job: CompileJob): Promise<CompileOutcome> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.#url, { name: 'compiler', workerData: job, env: {} });
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

  /** Ends a job under way: its promise rejects. */
  close(): void {
    void this.#worker?.terminate();
  }
}
