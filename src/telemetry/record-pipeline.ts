/**
 * The worker's loop: empties the ring, makes spans and log lines, publishes counters.
 *
 * Everything it works with is an argument, so that tests run it without a thread. It never throws
 * for what a collector or a reader does, and never waits for one while records come in.
 */

import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Random } from '../base/random.ts';
import type { TelemetryLimits } from '../model/telemetry-limits.ts';
import { DropWarnings } from './drop-warnings.ts';
import { accessLogLine } from './export/access-log.ts';
import type { LineOutput } from './export/line-output.ts';
import { laneOf } from './export/span-lanes.ts';
import type { SpanQueue } from './export/span-queue.ts';
import type { KeepSender } from './keep/keep-sender.ts';
import { type PushSpan, Recall } from './keep/recall.ts';
import { RecordHistory } from './keep/record-history.ts';
import { WorkerCounters, type WorkerCounts } from './metrics/worker-counters.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from './record/exchange-record.ts';
import type { RingMemory } from './record/record-layout.ts';
import { RingReader } from './record/ring-reader.ts';
import type { SpanSurroundings } from './span/span-surroundings.ts';

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
  /** Exports of metrics that have failed, of which others keep count. */
  readonly metricsFailed?: () => number;
  /** Undefined: what is not chosen when it ends never is. */
  readonly keep?: KeepParts | undefined;
}

/** For traces that are chosen late. */
export interface KeepParts {
  /** For records that nobody has chosen yet. */
  readonly historyBytes: number;
  readonly random: Random;
  readonly sender: KeepSender;
}

/** Records taken in one go; then sockets have their turn. Lines fill a pipe sooner than spans. */
const RECORDS_A_STEP = 2_048;
const LINES_A_STEP = 256;

/** While the queue of spans is full, records wait in the ring, up to this share of it. */
const HELD_SHARE = 0.5;
/** Until the next look at a queue that has taken some: a batch is sent in less. */
const HELD_POLL_MS = 10;

/** Part of the time to flush that the collector may have; the rest is for ending the thread. */
const FLUSH_SHARE = 0.8;
/** The least of it that is used, whatever the two threads' clocks say. */
const FLUSH_SHARE_MIN = 0.1;

export class RecordPipeline {
  readonly #parts: PipelineParts;
  readonly #reader: RingReader;
  readonly #counters: WorkerCounters;
  readonly #warnings: DropWarnings;
  /** What a worker before this one counted, its queue as dropped. */
  readonly #before: WorkerCounts;
  /** The one under way; nobody keeps it. */
  readonly #record = new ExchangeRecord();
  #taken = 0;
  readonly #heldMax: number;
  /** Records were left in the ring, for a queue that has no room for them. */
  #isHeld = false;
  #hadRoom = true;
  #callOff: (() => void) | undefined;
  readonly #recall: Recall | undefined;
  #marks = 0;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#recall = startRecall(parts);
    this.#reader = new RingReader(parts.memory);
    // A line of the access log does not wait for a collector.
    this.#heldMax = parts.lines === undefined ? parts.memory.recordsMax * HELD_SHARE : 0;
    this.#counters = new WorkerCounters(parts.memory);
    this.#before = this.#counters.takeOver();
    this.#before.dropped += this.#before.queued;
    const { lines } = parts;
    if (lines !== undefined) {
      // Lines that the worker before this one had taken and still held.
      const { linesWritten, linesDropped, marks } = this.#before;
      const handled = linesWritten + linesDropped + marks;
      this.#before.linesDropped += Math.max(0, this.#reader.taken - handled);
      lines.onChange = () => this.#publish();
    }
    this.#warnings = new DropWarnings(parts.limits.exportWarningMs, parts.warn);
  }

  /** Polls until `close`. */
  start(): void {
    const isMore = this.poll();
    const { ringPollMs } = this.#parts.limits;
    // A queue that had no room at the last look and has none now does not move.
    const pauseMs = this.#isHeld && this.#hadRoom ? Math.min(HELD_POLL_MS, ringPollMs) : ringPollMs;
    const delayMs = isMore ? 0 : pauseMs;
    this.#callOff = this.#parts.wakeUps.after(delayMs, () => this.start());
  }

  /** Takes what is in the ring, up to one step's worth; tells whether there is more to take now. */
  poll(): boolean {
    return this.#poll(this.#heldMax);
  }

  #poll(heldMax: number): boolean {
    const { lines, spans } = this.#parts;
    const available = this.#reader.available();
    const room = spans?.room ?? Number.POSITIVE_INFINITY;
    const wanted = Math.min(available, Math.max(room, available - heldMax));
    const count = Math.min(wanted, lines === undefined ? RECORDS_A_STEP : LINES_A_STEP);
    if (count > 0) this.#take(count);
    this.#recall?.forget(this.#parts.clock.now());
    this.#isHeld = wanted < available;
    this.#hadRoom = room > 0;
    this.#publish();
    this.#warn(0);
    return wanted > count;
  }

  /** Empties the ring and sends everything, in less than `withinMs`; gives the rest up. */
  async close(withinMs: Milliseconds = this.#parts.limits.flushMs): Promise<void> {
    this.#callOff?.();
    const { spans, lines, limits, wakeUps } = this.#parts;
    const share = Math.min(1, Math.max(FLUSH_SHARE_MIN, withinMs / limits.flushMs));
    let callOff: (() => void) | undefined;
    let isLate = false;
    const tooLate = new Promise<void>((resolve) => {
      callOff = wakeUps.after(limits.flushMs * share * FLUSH_SHARE, () => {
        isLate = true;
        resolve();
      });
    });
    await Promise.race([tooLate, this.#flush(() => isLate)]);
    callOff?.();
    spans?.close();
    // What has waited in the ring is counted as given up with the rest.
    while (lines === undefined && this.#poll(0));
    lines?.giveUp();
    this.#publish();
    this.#warn(lines === undefined ? 0 : this.#reader.available());
  }

  async #flush(isLate: () => boolean): Promise<void> {
    const { memory, spans, lines, wakeUps } = this.#parts;
    // Nothing more comes, so that all may wait for its turn until it is late.
    const heldMax = lines === undefined ? memory.recordsMax : 0;
    for (;;) {
      const isMore = this.#poll(heldMax);
      if (isLate() || !(isMore || this.#isHeld)) break;
      await new Promise<void>((resolve) => {
        wakeUps.after(isMore ? 0 : HELD_POLL_MS, resolve);
      });
      // There is time to wait for a slow reader, and nobody else waits.
      await lines?.taken();
    }
    await Promise.all([spans?.flush(), lines?.end(), this.#parts.keep?.sender.close()]);
  }

  #take(count: number): void {
    const { lines } = this.#parts;
    const now = this.#parts.clock.now();
    this.#parts.readNames();
    for (let index = 0; index < count; index++) this.#takeNext(now);
    lines?.flush();
    this.#reader.release();
  }

  #takeNext(now: Milliseconds): void {
    const reader = this.#reader;
    const record = this.#record;
    const { spans, lines } = this.#parts;
    if (reader.nextKind() === RecordKind.Mark) {
      reader.readNumbers(record);
      this.#marks++;
      this.#recall?.onMark(record, reader.text, now);
      return;
    }
    if (lines !== undefined) this.#addLine(lines);
    if (spans === undefined) reader.skip();
    else if (reader.nextIsExported()) this.#takeSpan(spans, now);
    else if (this.#recall === undefined) reader.skip();
    else this.#recall.takeNext(reader, record, now);
  }

  #takeSpan(spans: SpanQueue, now: Milliseconds): void {
    const reader = this.#reader;
    const record = this.#record;
    this.#taken++;
    if (spans.isFull) {
      reader.skip();
      spans.refuse();
      return;
    }
    reader.readNumbers(record);
    spans.push(record, reader.text, laneOf(record));
    if ((record.flags & RecordFlag.Kept) !== 0) this.#recall?.onKept(record, reader.text, now);
  }

  #addLine(lines: LineOutput): void {
    const { surroundings } = this.#parts;
    const record = this.#record;
    this.#reader.peekNumbers(record);
    this.#reader.text.decode(record);
    lines.add(accessLogLine(record, surroundings.names, surroundings.epochMs));
  }

  #publish(): void {
    const { spans, lines, keep, metricsFailed } = this.#parts;
    const before = this.#before;
    const recalled = this.#recall?.recalled ?? 0;
    const told = keep?.sender.counts;
    this.#counters.publish({
      taken: before.taken + this.#taken + recalled,
      sent: before.sent + (spans?.sent ?? 0),
      dropped: before.dropped + (spans?.dropped ?? 0),
      queued: spans?.queued ?? 0,
      queueFull: before.queueFull + (spans?.queueFull ?? 0),
      linesDropped: before.linesDropped + (lines?.dropped ?? 0),
      linesWritten: before.linesWritten + (lines?.written ?? 0),
      recalled: before.recalled + recalled,
      marks: before.marks + this.#marks,
      historyBytes: this.#recall?.bytes ?? 0,
      keepSent: before.keepSent + (told?.sent ?? 0),
      keepFailed: before.keepFailed + (told === undefined ? 0 : told.failed + told.dropped),
      metricsFailed: before.metricsFailed + (metricsFailed?.() ?? 0),
    });
  }

  /** `linesLeft`: lines that nobody will write. */
  #warn(linesLeft: number): void {
    const { spans, lines, clock } = this.#parts;
    const losses = {
      spans: spans?.dropped ?? 0,
      queueFull: spans?.queueFull ?? 0,
      records: this.#reader.dropped(),
      lines: (lines?.dropped ?? 0) + linesLeft,
      stuck: spans?.stuck ?? 0,
    };
    this.#warnings.check(clock.now(), losses, this.#parts.destination, spans?.trouble ?? '');
  }
}

function startRecall({ spans, keep }: PipelineParts): Recall | undefined {
  if (spans === undefined || keep === undefined) return undefined;
  const { historyBytes, random, sender } = keep;
  const push: PushSpan = (record, text) => spans.push(record, text, laneOf(record));
  return new Recall(random.u32(), new RecordHistory(historyBytes), push, sender);
}
