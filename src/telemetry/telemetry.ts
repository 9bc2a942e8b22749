/**
 * Telemetry of the hot thread: ids and head sampling, the record ring, names and metrics.
 *
 * This file and what it imports never load OpenTelemetry: that is the worker's (worker.ts). Spans,
 * exporting and the access log are there; here a span costs a few hundred nanoseconds and no wait.
 *
 *   beginSpan ─► putTraceparent ─► ... exchange ... ─► finish ─► ring ═► worker ─► collector
 */

import type { Clock } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Random } from '../base/random.ts';
import { type TelemetryLimits, telemetryLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { clustersMessage } from './cluster-facts.ts';
import { type ExchangeRecord, RecordFlag } from './exchange-record.ts';
import { MetricRegistry } from './metrics.ts';
import { NameTable } from './name-table.ts';
import { createRingMemory } from './record-layout.ts';
import { RingWriter } from './ring-writer.ts';
import type { TelemetrySettings } from './settings.ts';
import type { TraceContext } from './trace-context.ts';
import { TraceIds } from './trace-ids.ts';
import { type SpanCounts, WorkerCounters, type WorkerCounts } from './worker-counters.ts';
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
  /** The worker's file; by default `./worker.ts` beside this one. A bundle passes its own. */
  readonly workerUrl?: URL | string;
  /** The worker starts when `startWorker` is called; records wait in the ring meanwhile. */
  readonly startsWorkerLater?: boolean;
}

export class Telemetry implements HotTelemetry {
  readonly names: NameTable;
  readonly metrics: MetricRegistry;
  readonly #ids: TraceIds;
  readonly #isExporting: boolean;
  readonly #ring: RingWriter | undefined;
  readonly #counters: WorkerCounters | undefined;
  #link: WorkerLink | undefined;
  #started = 0;
  #unsampled = 0;
  #written = 0;
  /** Records in the ring since start, sampled or not: lines of an access log, if there is one. */
  #recorded = 0;
  readonly #hasLines: boolean;
  #isClosed = false;

  /** Starts the worker unless there is nothing for it: no exporter and no access log. */
  static start(options: TelemetryOptions): Telemetry {
    return new Telemetry(options);
  }

  private constructor(options: TelemetryOptions) {
    const limits = options.limits ?? telemetryLimits;
    this.#isExporting = options.settings.exporter !== 'none';
    this.#hasLines = options.accessLog !== 'off';
    this.#ids = new TraceIds(options.settings.sampler, options.random, this.#isExporting);
    this.names = new NameTable((id, name) => this.#link?.announce(id, name), limits.namesMax);
    this.metrics = new MetricRegistry(limits.metricSeriesMax, () => this.counts());
    if (!this.#isExporting && options.accessLog === 'off') return;
    const memory = createRingMemory(limits.recordRingBytes, limits.textRingBytes);
    this.#ring = new RingWriter(memory, limits.recordTextBytesMax);
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
      warn: (text) => options.log('warn', text),
    });
    if (options.startsWorkerLater !== true) this.#link.start();
  }

  /** Starts the worker that was to start later; a second call and one after `flushAndClose` do nothing. */
  startWorker(): void {
    this.#link?.start();
  }

  beginSpan(record: ExchangeRecord, context: TraceContext): void {
    this.#ids.begin(record, context);
  }

  finish(record: ExchangeRecord): void {
    const ring = this.#ring;
    if (ring === undefined) return;
    const isSampled = this.#isExporting && (record.flags & RecordFlag.Sampled) !== 0;
    if (isSampled) this.#started++;
    else this.#unsampled++;
    if (this.#isClosed || !ring.write(record)) return;
    this.#recorded++;
    if (isSampled) this.#written++;
  }

  /** What spans say of the clusters of `table`; call it before exchanges can begin under the table. */
  describe(table: RoutingTable): void {
    this.#link?.announceClusters(clustersMessage(table));
  }

  /** Exact at one moment; costs about a microsecond. */
  counts(): SpanCounts {
    const worker = this.#counters?.read();
    const inRing = this.#written - (worker?.taken ?? 0);
    const refused = this.#started - this.#written;
    const queued = this.#isClosed ? 0 : inRing + (worker?.queued ?? 0);
    const lost = this.#isClosed ? inRing + (worker?.queued ?? 0) : 0;
    return {
      started: this.#started,
      unsampled: this.#unsampled,
      sent: worker?.sent ?? 0,
      dropped: refused + lost + (worker?.dropped ?? 0),
      queued,
      queueFull: worker?.queueFull ?? 0,
      ringDropped: this.#ring?.dropped ?? 0,
      linesDropped: this.#linesDropped(worker),
    };
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
    await this.#link?.close();
    this.#link = undefined;
    this.#isClosed = true;
  }
}
