/**
 * Batches that remember a few of their spans until the collector has taken them: those become exemplars.
 *
 * It stands between the queue and the batches of an exporter and changes nothing of either. Of a batch
 * that a collector took in part (OTLP partial success) nobody knows which spans it has: none counts.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { TelemetryLimits } from '../../model/telemetry-limits.ts';
import { type ExemplarStore, HeldExemplars } from '../metrics/exemplars.ts';
import type { ExchangeRecord } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import type { SpanBatch } from './span-batches.ts';
import type { SpanOutput } from './span-exporters.ts';

export class ExemplarOutput implements SpanOutput {
  readonly #output: SpanOutput;
  readonly #store: ExemplarStore;
  readonly #epochMs: number;
  readonly #limits: TelemetryLimits;
  #wasPartial = false;

  /** `epochMs`: wall-clock milliseconds at the records' monotonic 0. */
  constructor(output: SpanOutput, store: ExemplarStore, epochMs: number, limits: TelemetryLimits) {
    this.#output = output;
    this.#store = store;
    this.#epochMs = epochMs;
    this.#limits = limits;
  }

  newBatch(): SpanBatch {
    const held = new HeldExemplars(this.#epochMs, this.#limits.exemplarsPerBatchMax);
    return new ExemplarBatch(this.#output.newBatch(), held, () => this.#taken(held));
  }

  shutdown(): Promise<void> {
    return this.#output.shutdown();
  }

  /** The collector refused spans of the batch whose answer comes next. */
  refused(): void {
    this.#wasPartial = true;
  }

  #taken(held: HeldExemplars): void {
    if (!this.#wasPartial) this.#store.take(held);
    this.#wasPartial = false;
  }
}

class ExemplarBatch implements SpanBatch {
  readonly #batch: SpanBatch;
  readonly #held: HeldExemplars;
  readonly #onTaken: () => void;

  constructor(batch: SpanBatch, held: HeldExemplars, onTaken: () => void) {
    this.#batch = batch;
    this.#held = held;
    this.#onTaken = onTaken;
  }

  get length(): number {
    return this.#batch.length;
  }

  get bytes(): number {
    return this.#batch.bytes;
  }

  add(record: ExchangeRecord, text: RecordText): void {
    this.#held.add(record);
    this.#batch.add(record, text);
  }

  export(done: (result: ExportResult) => void): void {
    this.#batch.export((result) => {
      if (result.code === ExportResultCode.SUCCESS) this.#onTaken();
      done(result);
    });
  }

  drop(): void {
    this.#batch.drop();
  }
}
