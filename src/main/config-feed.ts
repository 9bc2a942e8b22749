/**
 * Configuration of one sidecar: files to routing tables, one after the other, never a worse one.
 *
 *   folder changes -> reading -> compile -> no listener? same as now? -> apply (generation + 1)
 *
 * A file with an error keeps its last good content (config/config-folder.ts), and without capture one
 * stops the start, as does a table without a listener, which never replaces one that has some. With
 * capture an empty table is good: connections pass through until files come (a ConfigMap may be made
 * later than the pod). Each diagnostic is logged once, while it lasts.
 */

import type { WakeUps } from '../base/deadlines.ts';
import { ConfigFolder, type ConfigReading } from '../config/config-folder.ts';
import { compileTable } from '../config/load.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { configLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { StartError } from './listen-problem.ts';
import type { LogFields, LogLevel } from './log.ts';

export interface ConfigFeedOptions {
  readonly paths: readonly string[];
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `redirect`: a table without anything is good, because what it does not know passes through. */
  readonly capture: 'none' | 'redirect';
  readonly wakeUps: WakeUps;
  readonly log: (level: LogLevel, message: string, fields?: LogFields) => void;
  /** Makes the table hold; rejects at start only. Opening its listeners may go on after that. */
  readonly apply: (table: RoutingTable) => Promise<void>;
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
  #print = '';
  #known = new Set<string>();
  #pending: ConfigReading | undefined;
  #isBusy = false;

  constructor(options: ConfigFeedOptions) {
    this.#options = options;
    this.#folder = new ConfigFolder({
      paths: options.paths,
      limits: configLimits,
      wakeUps: options.wakeUps,
      onChange: (reading) => void this.#take(reading),
    });
  }

  /**
   * The first table. Throws StartError when a path is not there or, without capture, when a file has
   * an error or the files give this workload nothing to listen on.
   */
  async start(): Promise<void> {
    const reading = this.#folder.read();
    const { table, diagnostics } = this.#compile(reading);
    const isNothing = this.#isNothing(table);
    // That no Sidecar was found is said once, by the error below.
    this.#report(isNothing ? diagnostics.filter(({ file }) => file !== '') : diagnostics);
    const bad = this.#badAtStart(reading);
    if (bad !== '') throw new StartError(bad);
    if (isNothing) throw new StartError(this.#whyNothing(reading));
    if (reading.sources.length === 0) {
      const { paths } = this.#options;
      const what = paths.length === 0 ? 'no --config' : `no *.yaml file in ${paths.join(', ')} yet`;
      const message = `${what}: nothing is routed, connections pass through`;
      this.#options.log('info', message);
    }
    await this.#swap(table);
  }

  /** Follows the files from now on. */
  watch(): void {
    this.#folder.watch();
  }

  /** Reads the files at once (SIGHUP). */
  reload(): Promise<void> {
    if (this.table === undefined) return Promise.resolve();
    return this.#take(this.#folder.read());
  }

  close(): void {
    this.#folder.close();
  }

  /** One swap at a time; of readings that arrive meanwhile only the newest is taken. */
  async #take(reading: ConfigReading): Promise<void> {
    this.#pending = reading;
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#pending !== undefined) {
      const next: ConfigReading = this.#pending;
      this.#pending = undefined;
      try {
        await this.#takeOne(next);
      } catch (error) {
        // Our bug, met in a reading that nobody should have to restart for: what ran before runs on.
        this.counts.refused += 1;
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#options.log(
          'error',
          `internal-error: this configuration could not be taken: ${text}`,
        );
      }
    }
    this.#isBusy = false;
  }

  async #takeOne(reading: ConfigReading): Promise<void> {
    const { table, diagnostics } = this.#compile(reading);
    this.#report(diagnostics);
    if (reading.refusedFiles.length > 0) {
      this.counts.refused += 1;
      const files = reading.refusedFiles.join(', ');
      this.#options.log('error', `${files} has an error: its last good content stays in force`);
    }
    if (this.#isNothing(table)) {
      if (reading.refusedFiles.length === 0) this.counts.refused += 1;
      this.#options.log('error', `${this.#whyNothing(reading)}; what ran before stays in force`);
    } else if (printTable(table) === this.#print) {
      if (reading.refusedFiles.length === 0) this.counts.unchanged += 1;
    } else {
      await this.#swap(table);
      if (reading.refusedFiles.length === 0) this.counts.applied += 1;
      this.#options.log('info', 'configuration applied', { generation: table.generation });
      if (reading.resources.length === 0) {
        this.#options.log(
          'warn',
          'no resource is left: no route, no TLS, everything passes through',
        );
      }
    }
  }

  #isNothing(table: RoutingTable): boolean {
    return this.#options.capture === 'none' && table.listeners.length === 0;
  }

  /** Why the first reading may not be used; empty when it may. */
  #badAtStart({ missingPaths, refusedFiles }: ConfigReading): string {
    const { paths, capture } = this.#options;
    if (missingPaths.length > 0) return `cannot read ${missingPaths.join(', ')} (--config)`;
    // An injected pod starts all the same: it would otherwise hang on a mistake made elsewhere.
    if (refusedFiles.length === 0 || capture === 'redirect') return '';
    const has = refusedFiles.length === 1 ? 'has an error' : 'have errors';
    return `${refusedFiles.join(', ')} ${has}: \`tracecar validate ${paths.join(' ')}\` explains`;
  }

  async #swap(table: RoutingTable): Promise<void> {
    this.table = table;
    this.#print = printTable(table);
    await this.#options.apply(table);
  }

  #compile(reading: ConfigReading) {
    const { namespace, labels, capture } = this.#options;
    const generation = (this.table?.generation ?? 0) + 1;
    const { table, diagnostics } = compileTable(reading.resources, {
      namespace,
      labels,
      generation,
      capture,
    });
    return { table, diagnostics: [...reading.diagnostics, ...diagnostics] };
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

  #whyNothing(reading: ConfigReading): string {
    const { paths, namespace, labels } = this.#options;
    const where = paths.join(', ');
    if (reading.sources.length === 0 && reading.diagnostics.length === 0) {
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

/** The table without its generation, to see whether two are the same. */
function printTable(table: RoutingTable): string {
  return JSON.stringify({ ...table, generation: 0 }, (_key, value) =>
    value instanceof RegExp ? String(value) : value,
  );
}
