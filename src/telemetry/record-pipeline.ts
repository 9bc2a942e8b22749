/**
 * The worker's loop: empties the ring, makes spans and log lines, publishes counters.
 *
 * Everything it works with is an argument, so that tests run it without a thread. It never throws
 * for what a collector or a reader does, and never waits for one while records come in.
 */

import type { Clock } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { TelemetryLimits } from '../model/limits.ts';
import { accessLogLine } from './access-log.ts';
import { DropWarnings } from './drop-warnings.ts';
import { ExchangeRecord } from './exchange-record.ts';
import type { LineOutput } from './line-output.ts';
import type { RingMemory } from './record-layout.ts';
import { RecordSpan, type SpanSurroundings } from './record-span.ts';
import { RingReader } from './ring-reader.ts';
import type { SpanQueue } from './span-queue.ts';
import { WorkerCounters, type WorkerCounts } from './worker-counters.ts';

export interface PipelineParts {
  readonly memory: RingMemory;
  readonly limits: TelemetryLimits;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly surroundings: SpanSurroundings;
  /** Takes the names posted so far into `surroundings.names`. */
  readonly readNames: () => void;
  /** Undefined when nothing is exported. */
  readonly spans: SpanQueue | undefined;
  /** Undefined without an access log. */
  readonly lines: LineOutput | undefined;
  /** Where spans go, for warnings. */
  readonly destination: string;
  readonly warn: (text: string) => void;
}

/** Records taken in one go; then sockets have their turn. Lines fill a pipe sooner than spans. */
const RECORDS_A_STEP = 2_048;
const LINES_A_STEP = 256;

/** Part of the time to flush that the collector may have; the rest is for ending the thread. */
const FLUSH_SHARE = 0.8;

export class RecordPipeline {
  readonly #parts: PipelineParts;
  readonly #reader: RingReader;
  readonly #counters: WorkerCounters;
  readonly #warnings: DropWarnings;
  /** What a worker before this one counted, its queue as dropped. */
  readonly #before: WorkerCounts;
  #taken = 0;
  #callOff: (() => void) | undefined;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#reader = new RingReader(parts.memory);
    this.#counters = new WorkerCounters(parts.memory);
    this.#before = this.#counters.takeOver();
    this.#before.dropped += this.#before.queued;
    this.#warnings = new DropWarnings(parts.limits.exportWarningMs, parts.warn);
  }

  /** Polls until `close`. */
  start(): void {
    const isMore = this.poll();
    const delayMs = isMore ? 0 : this.#parts.limits.ringPollMs;
    this.#callOff = this.#parts.wakeUps.after(delayMs, () => this.start());
  }

  /** Takes what is in the ring, up to one step's worth; tells whether there is more. */
  poll(): boolean {
    const available = this.#reader.available();
    const step = this.#parts.lines === undefined ? RECORDS_A_STEP : LINES_A_STEP;
    const count = Math.min(available, step);
    if (count > 0) this.#take(count);
    this.#publish();
    return available > count;
  }

  /** Empties the ring and sends everything, in less than `limits.flushMs`; gives the rest up. */
  async close(): Promise<void> {
    this.#callOff?.();
    const { spans, limits, wakeUps } = this.#parts;
    let callOff: (() => void) | undefined;
    let isLate = false;
    const tooLate = new Promise<void>((resolve) => {
      callOff = wakeUps.after(limits.flushMs * FLUSH_SHARE, () => {
        isLate = true;
        resolve();
      });
    });
    await Promise.race([tooLate, this.#flush(() => isLate)]);
    callOff?.();
    spans?.close();
    this.#publish();
  }

  async #flush(isLate: () => boolean): Promise<void> {
    const { spans, lines, wakeUps } = this.#parts;
    while (this.poll() && !isLate()) {
      await new Promise<void>((resolve) => {
        wakeUps.after(0, resolve);
      });
    }
    await Promise.all([spans?.flush(), lines?.end()]);
  }

  #take(count: number): void {
    const { spans, lines, surroundings } = this.#parts;
    this.#parts.readNames();
    for (let index = 0; index < count; index++) {
      const isSampled = spans !== undefined && this.#reader.nextIsSampled();
      if (!isSampled && lines === undefined) {
        this.#reader.skip();
        continue;
      }
      const record = new ExchangeRecord();
      this.#reader.read(record);
      lines?.add(accessLogLine(record, surroundings.names, surroundings.epochMs));
      if (isSampled) {
        this.#taken++;
        spans.push(new RecordSpan(record, surroundings));
      }
    }
    lines?.flush();
    this.#reader.release();
  }

  #publish(): void {
    const { spans, lines, clock } = this.#parts;
    const before = this.#before;
    const dropped = spans?.dropped ?? 0;
    const queueFull = spans?.queueFull ?? 0;
    const linesDropped = lines?.dropped ?? 0;
    this.#counters.publish({
      taken: before.taken + this.#taken,
      sent: before.sent + (spans?.sent ?? 0),
      dropped: before.dropped + dropped,
      queued: spans?.queued ?? 0,
      queueFull: before.queueFull + queueFull,
      linesDropped: before.linesDropped + linesDropped,
    });
    const losses = {
      spans: dropped,
      queueFull,
      records: this.#reader.dropped(),
      lines: linesDropped,
    };
    this.#warnings.check(clock.now(), losses, this.#parts.destination, spans?.trouble ?? '');
  }
}
