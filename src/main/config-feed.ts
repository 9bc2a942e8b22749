/**
 * Configuration of one sidecar: files to routing tables, one after the other, never a worse one.
 *
 *   folder changes -> compile, in a thread of its own -> no listener? same as now? -> apply
 *
 * Traffic never waits for a reload: ten thousand rules take a second to read.
 *
 * A file with an error keeps its last good content (config/read-files.ts), and without capture one
 * stops the start, as does a table without a listener, which never replaces one that has some. With
 * capture an empty table is good: connections pass through until files come (a ConfigMap may be made
 * later than the pod). Each diagnostic is logged once, while it lasts.
 */

import type { Clock } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import { type CompileJob, type CompileOutcome, runCompileJob } from '../config/compile-job.ts';
import { isLarge } from '../config/compiler-thread.ts';
import { type ConfigFiles, ConfigFolder } from '../config/config-folder.ts';
import type { CredentialTexts } from '../config/load.ts';
import type { GoodTexts } from '../config/read-files.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { configLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { StartError } from './listen-problem.ts';
import type { LogFields, LogLevel } from './log.ts';

/** What is in force of a file with an error (config/closing-resources.ts). */
const KEPT =
  'its last good content stays in force, and beside it what closes more: policies that are new in it, ' +
  'and those that cannot be evaluated, which deny';
const NEVER_GOOD = 'it never had good content, so nothing of it is in force but who may call';

export interface ConfigFeedOptions {
  readonly paths: readonly string[];
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `istio-system` when absent. */
  readonly rootNamespace?: string;
  /** `cluster.local` when absent. */
  readonly trustDomain?: string;
  /** Where Secrets are mounted; the usual folder when absent. */
  readonly secretsFolder?: string;
  /** `redirect`: a table without anything is good, because what it does not know passes through. */
  readonly capture: 'none' | 'redirect';
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly log: (level: LogLevel, message: string, fields?: LogFields) => void;
  /** Does what runCompileJob does, beside this thread: for reloads, and for whatever is large. */
  readonly compiler: TableCompiler;
  /** Makes the table hold; rejects at start only. Opening its listeners may go on after that. */
  readonly apply: (table: RoutingTable, credentials: CredentialTexts) => Promise<void>;
}

export interface TableCompiler {
  /**
   * One job at a time; `inForce` is the table that the job's digest is of. May reject: then what ran
   * before runs on.
   */
  run(job: CompileJob, inForce: RoutingTable | undefined): Promise<CompileOutcome>;
  close(): void;
}

/** What became of the readings since start. */
export interface FeedCounts {
  applied: number;
  unchanged: number;
  /** A file had an error, or no listener was left: what ran before still runs. */
  refused: number;
}

export class ConfigFeed {
  readonly counts: FeedCounts = { applied: 0, unchanged: 0, refused: 0 };
  diagnostics: readonly Diagnostic[] = [];
  table: RoutingTable | undefined;
  readonly #options: ConfigFeedOptions;
  readonly #folder: ConfigFolder;
  /** Resources in force; those of a refused file are its last good ones. */
  resources = 0;
  #digest = '';
  #goodTexts: GoodTexts = new Map();
  #known = new Set<string>();
  #pending: ConfigFiles | undefined;
  #isBusy = false;
  #isClosed = false;

  constructor(options: ConfigFeedOptions) {
    this.#options = options;
    this.#folder = new ConfigFolder({
      paths: options.paths,
      limits: configLimits,
      wakeUps: options.wakeUps,
      onChange: (files) => void this.#take(files),
    });
  }

  /**
   * The first table. Throws StartError when a path is not there or, without capture, when a file has
   * an error or the files give this workload nothing to listen on. Ends early when `close` is called.
   */
  async start(): Promise<void> {
    const files = this.#folder.read();
    const outcome = await this.#compileFirst(files);
    if (outcome === undefined) return;
    this.#goodTexts = outcome.goodTexts;
    const { table, diagnostics } = outcome;
    const isNothing = this.#isNothing(table);
    // That no Sidecar was found is said once, by the error below.
    this.#report(isNothing ? diagnostics.filter(({ file }) => file !== '') : diagnostics);
    const bad = this.#badAtStart(files, outcome);
    if (bad !== '') throw new StartError(bad);
    if (table === undefined || isNothing) throw new StartError(this.#whyNothing(files));
    if (files.files.length === 0) {
      const { paths } = this.#options;
      const what = paths.length === 0 ? 'no --config' : `no *.yaml file in ${paths.join(', ')} yet`;
      const message = `${what}: nothing is routed, connections pass through`;
      this.#options.log('info', message);
    }
    await this.#swap(table, outcome);
  }

  /** Follows the files from now on. */
  watch(): void {
    if (!this.#isClosed) this.#folder.watch();
  }

  /** Reads the files at once (SIGHUP). */
  reload(): Promise<void> {
    if (this.table === undefined) return Promise.resolve();
    return this.#take(this.#folder.read());
  }

  close(): void {
    this.#isClosed = true;
    this.#folder.close();
    this.#options.compiler.close();
  }

  /** One swap at a time; of what is found meanwhile only the newest is taken. */
  async #take(files: ConfigFiles): Promise<void> {
    this.#pending = files;
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#pending !== undefined && !this.#isClosed) {
      const next: ConfigFiles = this.#pending;
      this.#pending = undefined;
      try {
        const outcome = await this.#compile(next);
        if (outcome !== undefined) await this.#takeOne(next, outcome);
      } catch (error) {
        this.#complainOfBug(error);
      }
    }
    this.#isBusy = false;
  }

  /** Met in files that nobody should have to restart for: what ran before runs on. */
  #complainOfBug(error: unknown): void {
    this.counts.refused += 1;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.log('error', `internal-error: this configuration could not be taken: ${text}`);
  }

  async #takeOne(files: ConfigFiles, outcome: CompileOutcome): Promise<void> {
    const { table, diagnostics, refusedFiles } = outcome;
    this.#report(diagnostics);
    if (refusedFiles.length > 0) {
      this.counts.refused += 1;
      for (const file of refusedFiles) {
        const isKept = this.#goodTexts.has(file);
        this.#options.log('error', `${file} has an error: ${isKept ? KEPT : NEVER_GOOD}`);
      }
    }
    if (table === undefined) {
      if (refusedFiles.length === 0) this.counts.unchanged += 1;
    } else if (this.#isNothing(table)) {
      if (refusedFiles.length === 0) this.counts.refused += 1;
      this.#options.log('error', `${this.#whyNothing(files)}; what ran before stays in force`);
    } else {
      await this.#swap(table, outcome);
      if (refusedFiles.length === 0) this.counts.applied += 1;
      const { clock, log } = this.#options;
      log('info', 'configuration applied', {
        generation: table.generation,
        // To the moment from which every request meets it.
        sinceParsedMs: Math.round((clock.epochMs + clock.now() - outcome.parsedAtMs) * 1000) / 1000,
      });
      if (outcome.resources === 0) {
        this.#options.log(
          'warn',
          'no resource is left: no route, no TLS, everything passes through',
        );
      }
    }
  }

  #isNothing(table: RoutingTable | undefined): boolean {
    return this.#options.capture === 'none' && table?.listeners.length === 0;
  }

  /** Why the first reading may not be used; empty when it may. */
  #badAtStart({ missingPaths }: ConfigFiles, { refusedFiles }: CompileOutcome): string {
    const { paths, capture } = this.#options;
    if (missingPaths.length > 0) return `cannot read ${missingPaths.join(', ')} (--config)`;
    // An injected pod starts all the same: it would otherwise hang on a mistake made elsewhere.
    if (refusedFiles.length === 0 || capture === 'redirect') return '';
    const has = refusedFiles.length === 1 ? 'has an error' : 'have errors';
    return `${refusedFiles.join(', ')} ${has}: \`tracecar validate ${paths.join(' ')}\` explains`;
  }

  async #swap(
    table: RoutingTable,
    { digest, resources, credentials }: CompileOutcome,
  ): Promise<void> {
    this.table = table;
    this.resources = resources;
    this.#digest = digest;
    await this.#options.apply(table, credentials);
  }

  #jobFor(files: ConfigFiles): CompileJob {
    const { namespace, labels, rootNamespace, trustDomain, secretsFolder, capture } = this.#options;
    const generation = (this.table?.generation ?? 0) + 1;
    const root = rootNamespace === undefined ? {} : { rootNamespace };
    const domain = trustDomain === undefined ? {} : { trustDomain };
    const secrets = secretsFolder === undefined ? {} : { secretsFolder };
    const context = { namespace, labels, ...root, ...domain, ...secrets, generation, capture };
    return { files, goodTexts: this.#goodTexts, context, digest: this.#digest };
  }

  /** Undefined when all is over. */
  async #compileFirst(files: ConfigFiles): Promise<CompileOutcome | undefined> {
    // A large one in the thread that remembers it for the edits to come.
    if (isLarge(files)) return this.#compile(files);
    // Here and now: nothing waits yet, and a thread would cost 60 ms and 8 MiB (2026-11-25).
    return runCompileJob(this.#jobFor(files), this.#options.clock);
  }

  /** Undefined when all is over. */
  async #compile(files: ConfigFiles): Promise<CompileOutcome | undefined> {
    try {
      const outcome = await this.#options.compiler.run(this.#jobFor(files), this.table);
      if (this.#isClosed) return undefined;
      this.#goodTexts = outcome.goodTexts;
      return outcome;
    } catch (error) {
      if (this.#isClosed) return undefined;
      throw error;
    }
  }

  #report(diagnostics: readonly Diagnostic[]): void {
    const known = new Set<string>();
    for (const diagnostic of diagnostics) {
      const text = diagnosticLine(diagnostic);
      known.add(text);
      if (this.#known.has(text)) continue;
      this.#options.log(diagnostic.severity === 'error' ? 'error' : 'warn', text);
    }
    this.#known = known;
    this.diagnostics = diagnostics;
  }

  #whyNothing({ files, problems }: ConfigFiles): string {
    const { paths, namespace, labels } = this.#options;
    const where = paths.join(', ');
    const isRead = problems.every(({ problem }) => problem.kind === 'file-left-out');
    if (files.length === 0 && isRead) {
      return `no *.yaml file in ${where}; a first one to copy is examples/ab-rollout`;
    }
    const errors = this.diagnostics.filter(
      ({ severity, file }) => severity === 'error' && file !== '',
    ).length;
    const because =
      errors > 0
        ? `${errors === 1 ? 'an error' : `${errors} errors`}: \`tracecar validate ${paths.join(' ')}\` explains`
        : `no Sidecar of namespace ${namespace} selects the labels ${printLabels(labels)}; set --labels, or write one as in examples/ab-rollout`;
    return `${where} gives this workload nothing to listen on: ${because}`;
  }
}

/** `file:3:5: error TC0102: message (spec.http[0]). Fix.` */
function diagnosticLine(diagnostic: Diagnostic): string {
  const { file, line, column, severity, code, message, path, fix } = diagnostic;
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  const field = path === '' ? '' : ` (${path})`;
  return `${place}: ${severity} ${code}: ${message}${field}. ${fix}`.trimEnd();
}

function printLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return pairs.length === 0 ? '(none)' : pairs.join(',');
}
