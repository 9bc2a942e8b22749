/**
 * Telemetry of the hot thread: ids and head sampling, the record ring, names and metrics.
 *
 * This file and what it imports never load OpenTelemetry: that is the worker's (worker.ts). Spans,
 * exporting and the access log are there; here a span costs a few hundred nanoseconds and no wait.
 *
 *   beginSpan ─► putTraceparent ─► ... exchange ... ─► finish ─► ring ═► worker ─► collector
 */

import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Random } from '../base/random.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { keepLimits, type TelemetryLimits, telemetryLimits } from '../model/telemetry-limits.ts';
import type { TraceContext } from './context/trace-context.ts';
import { TraceIds } from './context/trace-ids.ts';
import { type KeepReport, reportOf } from './keep/keep-report.ts';
import { KeepVerdicts } from './keep/keep-verdicts.ts';
import type { OwnKeys } from './keep/peer-keys.ts';
import type { ExemplarEntry } from './metrics/exemplars.ts';
import { MetricRegistry, type RequestSeries } from './metrics/metrics.ts';
import { MetricsFeed } from './metrics/metrics-feed.ts';
import { SlowLimits } from './metrics/slow-limit.ts';
import { type SpanCounts, WorkerCounters, type WorkerCounts } from './metrics/worker-counters.ts';
import { type ExchangeRecord, isExported } from './record/exchange-record.ts';
import { NameTable } from './record/name-table.ts';
import { createRingMemory } from './record/record-layout.ts';
import { RingWriter } from './record/ring-writer.ts';
import type { TelemetrySettings } from './settings/settings.ts';
import type { TagEnvironment } from './span/rule-book.ts';
import { tableMessage } from './table-message.ts';
import type { OwnAnswer, OwnDial } from './transport/own-dial.ts';
import { WorkerLink } from './worker-link.ts';

/** What the proxy gets. */
export interface HotTelemetry {
  /**
   * Gives the record its ids, trace flags, parent and sampledBy: from `context` when it is present,
   * else as a new root. `record.kind` is set before. When nothing is exported it starts no trace, and
   * a received one passes through as it came (its parent id is printed again).
   */
  beginSpan(record: ExchangeRecord, context: TraceContext): void;
  /** Copies the record into the ring; never blocks. The caller may reuse the record at once. */
  finish(record: ExchangeRecord): void;
  /**
   * Whether this process exports the record, as far as is known now: gives it a verdict by its status,
   * cause and time, or by what is known of its trace, and remembers that for the trace. Writes `flags`
   * and `sampledBy`. At the final head (the answer can say so), and at the end before `finish`
   * (`isEnd`: totalUs is set).
   */
  decide(record: ExchangeRecord, series: RequestSeries, now: Milliseconds, isEnd: boolean): boolean;
  /** The meshed peer of a CLIENT record has answered, and said whether it `keeps` the trace. */
  learn(record: ExchangeRecord, keeps: boolean, now: Milliseconds): void;
  /**
   * A peer at `address` asks to keep `count` traces: four words each in `ids`. Returns how many are
   * taken, in their order.
   */
  keep(ids: Int32Array, count: number, address: string, now: Milliseconds): number;
  /** Whether an answer to the record's downstream says that its trace is exported. */
  verdictOf(record: ExchangeRecord): boolean;
  /** Spans are exported: so traces have verdicts. */
  readonly isExporting: boolean;
  readonly names: NameTable;
  readonly metrics: MetricRegistry;
}

export interface TelemetryOptions {
  readonly settings: TelemetrySettings;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly random: Random;
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', text: string) => void;
  /** Tracecar's own version: the scope's. */
  readonly version: string;
  readonly accessLog: 'off' | 'json';
  readonly limits?: TelemetryLimits;
  /** How exporters reach their collectors; undefined: they dial as any program does. Never rejects. */
  readonly dialOwn?: ((to: OwnDial) => Promise<OwnAnswer>) | undefined;
  /** The worker's file; by default `./worker.ts` beside this one. A bundle passes its own. */
  readonly workerUrl?: URL | string;
  /** The worker starts when `startWorker` is called; records wait in the ring meanwhile. */
  readonly startsWorkerLater?: boolean;
}

export class Telemetry implements HotTelemetry {
  readonly names: NameTable;
  readonly metrics: MetricRegistry;
  readonly #ids: TraceIds;
  readonly isExporting: boolean;
  readonly #ring: RingWriter | undefined;
  readonly #counters: WorkerCounters | undefined;
  /** Undefined when nothing is exported: then there is nothing to choose. */
  readonly #verdicts: KeepVerdicts | undefined;
  #link: WorkerLink | undefined;
  #feed: MetricsFeed | undefined;
  #started = 0;
  #unsampled = 0;
  #written = 0;
  /** Records in the ring since start, sampled or not: lines of an access log, if there is one. */
  #recorded = 0;
  readonly #hasLines: boolean;
  #isClosed = false;
  readonly #clock: Clock;
  readonly #wakeUps: WakeUps;
  readonly #slowLimits: SlowLimits;
  #callOffTurn: (() => void) | undefined;

  /** Starts the worker unless there is nothing for it: no exporter and no access log. */
  static start(options: TelemetryOptions): Telemetry {
    return new Telemetry(options);
  }

  private constructor(options: TelemetryOptions) {
    const limits = options.limits ?? telemetryLimits;
    this.#clock = options.clock;
    this.#wakeUps = options.wakeUps;
    this.isExporting = options.settings.exporter !== 'none';
    this.#hasLines = options.accessLog !== 'off';
    this.#ids = new TraceIds(
      options.settings.sampler,
      options.random,
      this.isExporting,
      options.settings.spans,
    );
    this.names = new NameTable((id, name) => this.#link?.announce(id, name), limits.namesMax);
    this.metrics = new MetricRegistry(
      limits.metricSeriesMax,
      () => this.counts(),
      limits.metricCellsMax,
      options.settings.zone,
    );
    this.#slowLimits = new SlowLimits(() => this.metrics.allSeries());
    const sendsMetrics = options.settings.metrics.exporter === 'otlp';
    if (!this.isExporting && options.accessLog === 'off' && !sendsMetrics) return;
    const memory = createRingMemory(limits.recordRingBytes, limits.textRingBytes);
    const ring = new RingWriter(memory, limits.recordTextBytesMax);
    this.#ring = ring;
    if (this.isExporting) {
      const seed = options.random.u32();
      const write = (mark: ExchangeRecord) => !this.#isClosed && ring.write(mark);
      this.#verdicts = new KeepVerdicts(options.settings.keep, seed, write);
    }
    this.#counters = new WorkerCounters(memory);
    this.#link = new WorkerLink({
      clock: options.clock,
      wakeUps: options.wakeUps,
      workerUrl: options.workerUrl ?? new URL('./worker.ts', import.meta.url),
      start: {
        memory,
        settings: options.settings,
        limits,
        accessLog: options.accessLog,
        version: options.version,
        epochMs: options.clock.epochMs,
      },
      names: () => this.names.names(),
      dialOwn: options.dialOwn,
      warn: (text) => options.log('warn', text),
    });
    if (sendsMetrics) {
      this.#feed = new MetricsFeed({
        registry: this.metrics,
        clock: options.clock,
        wakeUps: options.wakeUps,
        intervalMs: options.settings.metrics.intervalMs,
        post: (snapshot) => this.#link?.sendMetrics(snapshot),
      });
    }
    if (options.startsWorkerLater !== true) this.startWorker();
  }

  /** Starts the worker that was to start later; a second call and one after `flushAndClose` do nothing. */
  startWorker(): void {
    this.#link?.start();
    this.#feed?.start();
    const isJudging = this.#verdicts !== undefined && this.#link !== undefined;
    if (isJudging && this.#callOffTurn === undefined) this.#turn();
  }

  /** Learns what is slow, again and again. */
  #turn(): void {
    this.#slowLimits.turn(this.#clock.now());
    this.#callOffTurn = this.#wakeUps.after(keepLimits.slowTurnMs, () => this.#turn());
  }

  beginSpan(record: ExchangeRecord, context: TraceContext): void {
    this.#ids.begin(record, context);
    this.#verdicts?.begin(record);
  }

  finish(record: ExchangeRecord): void {
    const ring = this.#ring;
    if (ring === undefined) return;
    const isSampled = this.isExporting && isExported(record.flags);
    if (isSampled) this.#started++;
    else this.#unsampled++;
    if (this.#isClosed || !ring.write(record)) return;
    this.#recorded++;
    if (isSampled) this.#written++;
  }

  decide(
    record: ExchangeRecord,
    series: RequestSeries,
    now: Milliseconds,
    isEnd: boolean,
  ): boolean {
    return this.#verdicts?.decide(record, series, now, isEnd) ?? false;
  }

  learn(record: ExchangeRecord, keeps: boolean, now: Milliseconds): void {
    this.#verdicts?.learn(record, keeps, now);
  }

  keep(ids: Int32Array, count: number, address: string, now: Milliseconds): number {
    return this.#verdicts?.keep(ids, count, address, now) ?? count;
  }

  verdictOf(record: ExchangeRecord): boolean {
    return this.#verdicts?.verdictOf(record) ?? false;
  }

  /**
   * What spans say of `table`, and how they are sampled from now on; call it before exchanges can begin
   * under the table. `environment`: the variables that its tags may name.
   */
  describe(table: RoutingTable, environment: TagEnvironment = {}): void {
    this.#ids.setRules(table.tracing);
    this.#link?.announceTable(tableMessage(table, environment));
  }

  /** What sidecars that have proved an identity are called with from now on (keep messages). */
  setKeys(keys: OwnKeys): void {
    this.#link?.setKeys(keys);
  }

  /** Another table is in force: `dialOwn` may answer otherwise. */
  redial(): void {
    this.#link?.redial();
  }

  /** What was kept after the fact; undefined when nothing is exported. */
  keepReport(): KeepReport | undefined {
    return this.#verdicts === undefined ? undefined : reportOf(this.#verdicts, this.counts());
  }

  /** Exact at one moment; costs about a microsecond. */
  counts(): SpanCounts {
    const worker = this.#counters?.read();
    const recalled = worker?.recalled ?? 0;
    const inRing = this.#written + recalled - (worker?.taken ?? 0);
    const refused = this.#started - this.#written;
    const queued = this.#isClosed ? 0 : inRing + (worker?.queued ?? 0);
    const lost = this.#isClosed ? inRing + (worker?.queued ?? 0) : 0;
    return {
      started: this.#started + recalled,
      unsampled: this.#unsampled - recalled,
      sent: worker?.sent ?? 0,
      dropped: refused + lost + (worker?.dropped ?? 0),
      queued,
      queueFull: worker?.queueFull ?? 0,
      ringDropped: this.#ring?.dropped ?? 0,
      linesDropped: this.#linesDropped(worker),
      recalled,
      historyBytes: worker?.historyBytes ?? 0,
      keepSent: worker?.keepSent ?? 0,
      keepFailed: worker?.keepFailed ?? 0,
      metricsFailed: worker?.metricsFailed ?? 0,
    };
  }

  /** Traces that a collector has, by bucket of what is counted; after 100 ms at most. */
  async exemplars(): Promise<readonly ExemplarEntry[]> {
    return (await this.#link?.exemplars()) ?? [];
  }

  #linesDropped(worker: WorkerCounts | undefined): number {
    if (worker === undefined || !this.#hasLines) return 0;
    // Nobody writes them any more: in the ring, or held for a reader.
    return this.#isClosed ? this.#recorded - worker.linesWritten : worker.linesDropped;
  }

  /**
   * Sends what is left and ends the worker, in limits.flushMs at most; what is not delivered by then
   * is counted as dropped. Records finished later are dropped and counted too.
   */
  async flushAndClose(): Promise<void> {
    this.#callOffTurn?.();
    // Before a worker that was to start later has started there is nothing to send to.
    this.#link?.start();
    this.#feed?.end();
    await this.#link?.close();
    this.#link = undefined;
    this.#isClosed = true;
  }
}
