/**
 * Lasting compiler: the hot thread's end of a compile session that runs in a thread of its own.
 *
 *   files that changed ──► session ──► patch ──► table in force + patch = new table
 *
 * It knows what the session has been told, so that only changed texts and changed parts of tables go
 * from thread to thread. A patch that does not fit is logged and the whole table is asked for.
 */

import { Worker } from 'node:worker_threads';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import type { CompileJob, CompileOutcome } from './compile-job.ts';
import type { SessionReply, SessionRequest, TableChange } from './compile-session.ts';
import type { CompileWorkerData } from './compile-worker.ts';
import type { FileContent } from './config-folder.ts';
import { deepFreeze } from './deep-freeze.ts';
import { applyPatch } from './table-patch.ts';

export class LastingCompiler {
  readonly #worker: Worker;
  readonly #warn: (text: string) => void;
  /** What the session has. */
  #told = new Map<string, FileContent>();
  #diagnostics: readonly Diagnostic[] = [];
  #settle: ((reply: SessionReply) => void) | undefined;
  #refuse: ((error: Error) => void) | undefined;
  isOver = false;

  constructor(url: URL, warn: (text: string) => void) {
    const workerData: CompileWorkerData = { kind: 'session' };
    this.#worker = new Worker(url, { name: 'compiler', workerData, env: {} });
    this.#worker.unref();
    this.#warn = warn;
    this.#worker.on('message', (reply: SessionReply) => this.#settle?.(reply));
    this.#worker.on('error', (error: Error) => this.#end(error));
    this.#worker.on('exit', (code) => {
      this.#end(new Error(`the compiler's thread ended with status ${code}`));
    });
  }

  /** One job at a time; `inForce` is the table that the job's digest is of. */
  async run(job: CompileJob, inForce: RoutingTable | undefined): Promise<CompileOutcome> {
    const reply = await this.#ask(job, inForce);
    this.#diagnostics = reply.diagnostics ?? this.#diagnostics;
    const { table, digest } = await this.#tableOf(reply.change, job, inForce);
    const { refusedFiles, resources, parsedAtMs } = reply;
    return {
      table,
      digest,
      credentials: reply.credentials,
      diagnostics: this.#diagnostics,
      refusedFiles,
      goodTexts: goodTextsAfter(job, refusedFiles),
      resources,
      parsedAtMs,
    };
  }

  /** Ends it; a job under way rejects. */
  close(): void {
    void this.#worker.terminate();
  }

  async #tableOf(
    change: TableChange,
    job: CompileJob,
    inForce: RoutingTable | undefined,
  ): Promise<{ table: RoutingTable | undefined; digest: string }> {
    switch (change.kind) {
      case 'none':
        return { table: undefined, digest: job.digest };
      case 'whole':
        return { table: deepFreeze(change.table), digest: change.digest };
      case 'patch':
        try {
          if (inForce === undefined) throw new Error('there is no table yet');
          return { table: applyPatch(inForce, change.patch), digest: '' };
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error);
          this.#warn(`a part of a new configuration does not fit (${why}): taking the whole`);
          // The session takes its table for the one in force now, so it cannot send a patch again.
          const again = await this.#ask(job, inForce);
          if (again.change.kind === 'patch') throw error;
          return this.#tableOf(again.change, job, inForce);
        }
    }
  }

  #ask(job: CompileJob, inForce: RoutingTable | undefined): Promise<SessionReply> {
    const { files, problems } = job.files;
    const told = this.#told;
    const changed = files.filter((each) => !isSame(each, told.get(each.file)));
    this.#told = new Map(files.map((each) => [each.file, each]));
    const request: SessionRequest = {
      names: files.map(({ file }) => file),
      changed,
      problems,
      goodTexts: told.size === 0 ? job.goodTexts : undefined,
      context: job.context,
      digest: job.digest,
      inForce: inForce?.generation ?? 0,
    };
    return new Promise<SessionReply>((resolve, reject) => {
      this.#settle = resolve;
      this.#refuse = reject;
      // Only while somebody waits for it does the thread keep the process alive.
      this.#worker.ref();
      this.#worker.postMessage(request);
    }).finally(() => this.#worker.unref());
  }

  #end(error: Error): void {
    this.isOver = true;
    this.#refuse?.(error);
  }
}

function isSame(content: FileContent, known: FileContent | undefined): boolean {
  return known !== undefined && known.text === content.text && known.problem === content.problem;
}

/** As readFiles says it; a refused file keeps what it had. */
function goodTextsAfter({ files, goodTexts }: CompileJob, refusedFiles: readonly string[]) {
  const refused = new Set(refusedFiles);
  const next = new Map<string, string>();
  for (const { file, text } of files.files) {
    const counts = refused.has(file) ? goodTexts.get(file) : text;
    if (counts !== undefined) next.set(file, counts);
  }
  return next;
}
