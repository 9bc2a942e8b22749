/**
 * Compile session: one reading after the other of the same folder, each at the cost of what changed.
 *
 *   changed files ── readFiles(memory) ──► resources ── compileTable(memory) ──► table
 *                                                        settle(table in force) ──► patch, or the whole
 *
 * What a session answers is what runCompileJob answers, in parts; only the way there is shorter. It
 * belongs to one thread and one workload, and holds the parsed resources and the last table.
 */

import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { CompileMemory } from './compile/compile-memory.ts';
import { compileEdit, type LastCompile } from './compile-edit.ts';
import type { FileContent, PathProblem } from './config-folder.ts';
import {
  type CompileContext,
  type CompileResult,
  type CredentialTexts,
  compileTable,
} from './load.ts';
import { type GoodTexts, ReadMemory, readFiles } from './read-files.ts';
import type { Resource } from './resource/resource.ts';
import { settle, type TablePatch } from './table-patch.ts';

/** Plain data: what the asking thread knows and the session does not. */
export interface SessionRequest {
  /** Every file, by name. */
  readonly names: readonly string[];
  /** Those of them that are new here, or others than before. */
  readonly changed: readonly FileContent[];
  readonly problems: readonly PathProblem[];
  /** At first: of readings before the session. */
  readonly goodTexts: GoodTexts | undefined;
  readonly context: CompileContext;
  /** Of the table in force, as in a CompileJob; empty where it is not known. */
  readonly digest: string;
  /** Generation of the table in force; 0 for none. */
  readonly inForce: number;
}

export type TableChange =
  | { readonly kind: 'none' }
  | { readonly kind: 'patch'; readonly patch: TablePatch }
  | { readonly kind: 'whole'; readonly table: RoutingTable; readonly digest: string };

/** Plain data. */
export interface SessionReply {
  readonly change: TableChange;
  readonly credentials: CredentialTexts;
  /** Undefined when they are those of the reply before. */
  readonly diagnostics: readonly Diagnostic[] | undefined;
  readonly refusedFiles: readonly string[];
  readonly resources: number;
  readonly parsedAtMs: Milliseconds;
}

export class CompileSession {
  readonly #readMemory = new ReadMemory();
  readonly #memory = new CompileMemory();
  #files = new Map<string, FileContent>();
  #goodTexts: GoodTexts = new Map();
  /** As the asking thread has it, unless it refused it: then its generation is another. */
  #table: RoutingTable | undefined;
  #diagnostics: readonly Diagnostic[] | undefined;
  #last: LastCompile | undefined;
  /** Compilations that were of rules only. */
  edits = 0;

  run(request: SessionRequest, clock: Clock): SessionReply {
    const { context, problems } = request;
    const files = this.#take(request);
    const reading = readFiles(
      { files, problems, missingPaths: [] },
      request.goodTexts ?? this.#goodTexts,
      context.namespace,
      this.#readMemory,
    );
    this.#goodTexts = reading.goodTexts;
    const parsedAtMs = clock.epochMs + clock.now();
    const compiled = this.#compile(reading.resources, context);
    const diagnostics = [...reading.diagnostics, ...compiled.diagnostics];
    const areKnown = isDeepStrictEqual(diagnostics, this.#diagnostics);
    this.#diagnostics = diagnostics;
    return {
      change: this.#changeTo(compiled.table, request),
      credentials: compiled.credentials,
      diagnostics: areKnown ? undefined : diagnostics,
      refusedFiles: reading.refusedFiles,
      resources: reading.resources.length,
      parsedAtMs,
    };
  }

  /**
   * Does the work of an edit that changes nothing, with the smallest file: the first true one then finds
   * code that has run before. Answers nothing and leaves everything as it is.
   */
  rehearse({ problems, context }: SessionRequest, clock: Clock): void {
    const files = [...this.#files.values()];
    const [first] = files.toSorted((one, other) => one.text.length - other.text.length);
    const inForce = this.#table?.generation;
    if (first === undefined || inForce === undefined) return;
    this.#readMemory.forget(first.file);
    const names = files.map(({ file }) => file);
    const about = { names, changed: [], problems, goodTexts: undefined, digest: '', inForce };
    this.run({ ...about, context: { ...context, generation: inForce + 1 } }, clock);
  }

  #compile(resources: readonly Resource[], context: CompileContext): CompileResult {
    const last = this.#last;
    const edited = last && compileEdit(last, resources, context, this.#memory);
    if (edited !== undefined && last !== undefined) {
      this.#last = { ...edited, resources, world: last.world };
      this.edits++;
      return edited;
    }
    // What it throws is a bug that ends the thread, and the memory with it.
    const compiled = compileTable(resources, context, this.#memory);
    this.#last = { ...compiled, resources };
    return compiled;
  }

  #take({ names, changed }: SessionRequest): FileContent[] {
    const fresh = new Map(changed.map((each) => [each.file, each]));
    const files = names.map((name) => fresh.get(name) ?? this.#files.get(name)!);
    this.#files = new Map(files.map((each) => [each.file, each]));
    return files;
  }

  #changeTo(table: RoutingTable, { inForce, digest }: SessionRequest): TableChange {
    const known = this.#table?.generation === inForce ? this.#table : undefined;
    if (known !== undefined) {
      const settled = settle(known, table);
      if (settled.patch === undefined) return { kind: 'none' };
      this.#table = settled.table;
      return { kind: 'patch', patch: settled.patch };
    }
    const own = digestOf(table);
    if (own === digest) {
      this.#table = { ...table, generation: inForce };
      return { kind: 'none' };
    }
    this.#table = table;
    return { kind: 'whole', table, digest: own };
  }
}

/** Says whether two tables are the same but for their generation. */
export function digestOf(table: RoutingTable): string {
  const text = JSON.stringify({ ...table, generation: 0 }, (_key, value) =>
    value instanceof RegExp ? String(value) : value,
  );
  return createHash('sha256').update(text).digest('base64');
}
