/**
 * The worker's counters in shared memory: one writer (worker), read by the hot thread at leisure.
 *
 * All are written at once between two steps of an edition number (odd while writing), and a reader
 * that meets an odd or changed edition tries again: what it returns was true at one moment, so that
 * started = sent + dropped + queued holds for every reading.
 */

import { Control, Counter, type RingMemory } from '../record/record-layout.ts';

export interface WorkerCounts {
  /** Sampled records taken out of the ring = sent + dropped + queued. */
  taken: number;
  sent: number;
  dropped: number;
  queued: number;
  /** The part of `dropped` that a full queue refused. */
  queueFull: number;
  linesDropped: number;
  linesWritten: number;
  /** The part of `taken` that was not chosen when it was taken. */
  recalled: number;
  /** Mark records taken out of the ring. */
  marks: number;
  /** Bytes of the history of records. */
  historyBytes: number;
  /** Trace ids that peers were told, and that did not get there or had no room to wait. */
  keepSent: number;
  keepFailed: number;
  /** Exports of metrics that failed. */
  metricsFailed: number;
}

/** All since start; started = sent + dropped + queued in every reading. */
export interface SpanCounts {
  /** Records handed to `finish` that were chosen by then, or were recalled. */
  readonly started: number;
  /** Records that were not chosen. */
  readonly unsampled: number;
  /** Accepted by the collector. */
  readonly sent: number;
  /** Given up: ring full, queue full, refused, not delivered in time. */
  readonly dropped: number;
  /** In the ring, in the worker's queue, or on their way. */
  readonly queued: number;
  /** The part of `dropped` that the worker's full queue refused. */
  readonly queueFull: number;
  /** Records, sampled or not, that a full ring refused. */
  readonly ringDropped: number;
  /** Access log lines that stdout did not take, or not in time: after the end, all but the written. */
  readonly linesDropped: number;
  /** The part of `started` that was chosen after its end; 0 where this is left out, as below. */
  readonly recalled?: number;
  /** Bytes that hold records of the last 30 s. */
  readonly historyBytes?: number;
  /** Trace ids that peers were told, and were not. */
  readonly keepSent?: number;
  readonly keepFailed?: number;
  /** Exports of metrics that failed. */
  readonly metricsFailed?: number;
}

const ATTEMPTS = 1_000;

export class WorkerCounters {
  readonly #words: Int32Array;
  readonly #counts: Float64Array;

  constructor(memory: RingMemory) {
    this.#words = new Int32Array(memory.buffer);
    this.#counts = new Float64Array(memory.buffer, 0, memory.textStart / 8);
  }

  /** Worker only, at its start: takes over from one that was ended inside `publish`. */
  takeOver(): WorkerCounts {
    if ((Atomics.load(this.#words, Control.Edition) & 1) === 1) {
      Atomics.add(this.#words, Control.Edition, 1);
    }
    return this.#copy();
  }

  /** Worker only. */
  publish(counts: WorkerCounts): void {
    const shared = this.#counts;
    Atomics.add(this.#words, Control.Edition, 1);
    shared[Counter.Taken] = counts.taken;
    shared[Counter.Sent] = counts.sent;
    shared[Counter.Dropped] = counts.dropped;
    shared[Counter.Queued] = counts.queued;
    shared[Counter.QueueFull] = counts.queueFull;
    shared[Counter.LinesDropped] = counts.linesDropped;
    shared[Counter.LinesWritten] = counts.linesWritten;
    shared[Counter.Recalled] = counts.recalled;
    shared[Counter.Marks] = counts.marks;
    shared[Counter.HistoryBytes] = counts.historyBytes;
    shared[Counter.KeepSent] = counts.keepSent;
    shared[Counter.KeepFailed] = counts.keepFailed;
    shared[Counter.MetricsFailed] = counts.metricsFailed;
    Atomics.add(this.#words, Control.Edition, 1);
  }

  /** The newest counts that are whole. */
  read(): WorkerCounts {
    for (let attempt = 0; ; attempt++) {
      const edition = Atomics.load(this.#words, Control.Edition);
      const counts = this.#copy();
      const isWhole = (edition & 1) === 0;
      if (isWhole && Atomics.load(this.#words, Control.Edition) === edition) return counts;
      // A worker that was ended inside `publish` leaves an odd edition until the next takes over.
      if (attempt === ATTEMPTS) return counts;
    }
  }

  #copy(): WorkerCounts {
    const shared = this.#counts;
    return {
      taken: shared[Counter.Taken]!,
      sent: shared[Counter.Sent]!,
      dropped: shared[Counter.Dropped]!,
      queued: shared[Counter.Queued]!,
      queueFull: shared[Counter.QueueFull]!,
      linesDropped: shared[Counter.LinesDropped]!,
      linesWritten: shared[Counter.LinesWritten]!,
      recalled: shared[Counter.Recalled]!,
      marks: shared[Counter.Marks]!,
      historyBytes: shared[Counter.HistoryBytes]!,
      keepSent: shared[Counter.KeepSent]!,
      keepFailed: shared[Counter.KeepFailed]!,
      metricsFailed: shared[Counter.MetricsFailed]!,
    };
  }
}
