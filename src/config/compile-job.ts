/**
 * Compile job: files to one workload's routing table in one step. Pure; plain data in, plain data out.
 *
 *   files ── readFiles ──► resources ── compileTable ──► table ── digest ──► same as in force? left out
 *
 * A sidecar does it once at start, and then in the compiler's thread (compile-worker.ts).
 */

import type { Clock, Milliseconds } from '../base/clock.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { digestOf } from './compile-session.ts';
import type { ConfigFiles } from './config-folder.ts';
import { type CompileContext, type CredentialTexts, compileTable } from './load.ts';
import { type GoodTexts, readFiles } from './read-files.ts';

export interface CompileJob {
  readonly files: ConfigFiles;
  readonly goodTexts: GoodTexts;
  readonly context: CompileContext;
  /** Of the table in force; empty for none. */
  readonly digest: string;
}

export interface CompileOutcome {
  /** Undefined when it is the one in force. */
  readonly table: RoutingTable | undefined;
  /** Says whether two tables are the same but for their generation. */
  readonly digest: string;
  /** Of the table, or of the one in force. */
  readonly credentials: CredentialTexts;
  readonly diagnostics: readonly Diagnostic[];
  readonly refusedFiles: readonly string[];
  readonly goodTexts: GoodTexts;
  /** Resources that count. */
  readonly resources: number;
  /** When the files were parsed, since the epoch. */
  readonly parsedAtMs: Milliseconds;
}

export function runCompileJob(job: CompileJob, clock: Clock): CompileOutcome {
  const { files, context } = job;
  const reading = readFiles(files, job.goodTexts, context.namespace);
  const parsedAtMs = clock.epochMs + clock.now();
  const { table, diagnostics, credentials } = compileTable(reading.resources, context);
  const digest = digestOf(table);
  return {
    table: digest === job.digest ? undefined : table,
    digest,
    credentials,
    diagnostics: [...reading.diagnostics, ...diagnostics],
    refusedFiles: reading.refusedFiles,
    goodTexts: reading.goodTexts,
    resources: reading.resources.length,
    parsedAtMs,
  };
}
