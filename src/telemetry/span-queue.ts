/**
 * The way of spans to a collector, with exact accounts: batches as the specification's batching
 * processor makes them (OTEL_BSP_*), written where they will be sent from.
 *
 *   push ─► [ waiting: batches, the last one filling ] ─► [ in flight ] ─► sent | dropped
 *              full: dropped
 *
 * One batch is exported at a time: at once when there is a full one, else `delayMs` after the first
 * span of it came. A span that is pushed is always in exactly one of the four places, and whatever the
 * exporter says later counts once.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { WakeUps } from '../base/deadlines.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import type { RecordText } from './record-text.ts';
import type { BatchSettings } from './settings.ts';
import type { SpanBatch } from './span-batches.ts';
import type { SpanOutput } from './span-exporters.ts';

export class SpanQueue {
  /** Accepted by the collector. */
  sent = 0;
  /** Given up; `queueFull` of them because the queue was full. */
  dropped = 0;
  queueFull = 0;
  #lastError = '';
  #waiting = 0;
  #inFlight = 0;
  #isClosed = false;
  /** All are full but the last, which may be. */
  readonly #batches: SpanBatch[] = [];
  #filling: SpanBatch | undefined;
  #isExporting = false;
  #callOff: (() => void) | undefined;
  readonly #output: SpanOutput;
  readonly #settings: BatchSettings;
  readonly #wakeUps: WakeUps;

  constructor(output: SpanOutput, settings: BatchSettings, wakeUps: WakeUps) {
    this.#output = output;
    this.#settings = settings;
    this.#wakeUps = wakeUps;
  }

  /** Why spans are lost, for a person; empty when no export has failed and some have not. */
  get trouble(): string {
    if (this.#lastError === '' && this.sent === 0) return 'no answer from it yet';
    return this.#lastError;
  }

  /** Waiting and in flight. */
  get queued(): number {
    return this.#waiting + this.#inFlight;
  }

  /** Spans that it takes now. */
  get room(): number {
    return this.#isClosed ? 0 : Math.max(0, this.#settings.queueMax - this.#waiting);
  }

  /** Nothing more is taken: what comes now is refused unread. */
  get isFull(): boolean {
    return this.room === 0;
  }

  /** A span comes that is not taken, because the queue is full. */
  refuse(): void {
    this.dropped++;
    this.queueFull++;
  }

  /** Takes the span of `record` and its `text`, both of which the caller may use again; or refuses it. */
  push(record: ExchangeRecord, text: RecordText): void {
    if (this.isFull) {
      this.refuse();
      return;
    }
    const batch = this.#filling ?? this.#startBatch();
    batch.add(record, text);
    this.#waiting++;
    const isFull = batch.length >= this.#settings.batchMax;
    if (isFull) this.#filling = undefined;
    if (isFull || this.#callOff === undefined) this.#exportWhenDue();
  }

  /** A collector that took a batch refused some spans of it (OTLP partial success). */
  reject(spans: number): void {
    this.sent -= spans;
    this.dropped += spans;
    this.#lastError = `the collector rejected ${spans} spans of a batch`;
  }

  /** Sends everything at once; resolves when every batch has its answer, also a bad one. */
  async flush(): Promise<void> {
    this.#callOff?.();
    const exports: Promise<void>[] = [];
    for (let batch = this.#batches.shift(); batch !== undefined; batch = this.#batches.shift()) {
      exports.push(this.#export(batch));
    }
    this.#filling = undefined;
    // What comes from now on waits until `close`.
    this.#isExporting = true;
    await Promise.all(exports);
    try {
      await this.#output.shutdown();
    } catch {
      // The exporter's answers are in the counts already.
    }
  }

  /** Gives up what is still queued; later answers change nothing. */
  close(): void {
    this.#isClosed = true;
    this.#callOff?.();
    this.dropped += this.queued;
    this.#waiting = 0;
    this.#inFlight = 0;
  }

  #startBatch(): SpanBatch {
    const batch = this.#output.newBatch();
    this.#batches.push(batch);
    this.#filling = batch;
    return batch;
  }

  /** Exports the first batch when it is full, and sees to it that it is exported in time else. */
  #exportWhenDue(): void {
    if (this.#isExporting || this.#isClosed || this.#waiting === 0) return;
    if (this.#waiting >= this.#settings.batchMax) this.#exportNext();
    else {
      this.#callOff ??= this.#wakeUps.after(this.#settings.delayMs, () => this.#exportNext());
    }
  }

  #exportNext(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    const batch = this.#batches.shift();
    if (batch === undefined) return;
    if (batch === this.#filling) this.#filling = undefined;
    this.#isExporting = true;
    void this.#export(batch).then(() => {
      this.#isExporting = false;
      this.#exportWhenDue();
    });
  }

  /** Resolves when the batch has its answer or its time is over; never rejects. */
  #export(batch: SpanBatch): Promise<void> {
    const count = batch.length;
    this.#waiting -= count;
    this.#inFlight += count;
    return new Promise((resolve) => {
      const callOff = this.#wakeUps.after(this.#settings.timeoutMs, resolve);
      let isAnswered = false;
      const answer = (result: ExportResult): void => {
        if (!isAnswered && !this.#isClosed) this.#account(count, result);
        isAnswered = true;
        callOff();
        resolve();
      };
      try {
        batch.export(answer);
      } catch (error) {
        answer({ code: ExportResultCode.FAILED, error: error as Error });
      }
    });
  }

  #account(count: number, result: ExportResult): void {
    this.#inFlight -= count;
    if (result.code === ExportResultCode.SUCCESS) {
      this.sent += count;
    } else {
      this.dropped += count;
      this.#lastError = describeError(result.error);
    }
  }
}

function describeError(error: Error | undefined): string {
  if (error === undefined) return 'the export failed';
  const code = (error as { code?: unknown }).code;
  const text = error.message || error.name;
  const hasCode = code === undefined || text.includes(String(code));
  return (hasCode ? text : `${code} ${text}`).slice(0, 200);
}
