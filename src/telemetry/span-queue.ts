/**
 * The way of spans to a collector, with exact accounts: the SDK's BatchSpanProcessor in front of an
 * exporter of the SDK.
 *
 *   push ─► [ waiting: the processor's queue ] ─► [ in flight: batches ] ─► sent | dropped
 *              full: dropped
 *
 * The processor does not say what it drops, so its bound is checked here first: a span that is pushed
 * is always in exactly one of the four places, and whatever the exporter says later counts once.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { ExchangeRecord } from './exchange-record.ts';
import type { BatchSettings } from './settings.ts';
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
  readonly #queueMax: number;
  readonly #processor: BatchSpanProcessor;
  readonly #output: SpanOutput;

  constructor(output: SpanOutput, settings: BatchSettings) {
    const { exporter } = output;
    this.#output = output;
    this.#queueMax = settings.queueMax;
    this.#processor = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => this.#export(exporter, spans, done),
        shutdown: () => exporter.shutdown(),
      },
      maxQueueSize: settings.queueMax,
      maxExportBatchSize: settings.batchMax,
      scheduledDelayMillis: settings.delayMs,
      exportTimeoutMillis: settings.timeoutMs,
    });
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

  /** Nothing more is taken: what comes now is refused unread. */
  get isFull(): boolean {
    return this.#isClosed || this.#waiting >= this.#queueMax;
  }

  /** A span comes that is not taken, because the queue is full. */
  refuse(): void {
    this.dropped++;
    this.queueFull++;
  }

  /** Takes the span of `record`, which the caller may use again; or refuses it. */
  push(record: ExchangeRecord): void {
    if (this.isFull) {
      this.refuse();
      return;
    }
    this.#waiting++;
    this.#processor.onEnd(this.#output.spanOf(record));
  }

  /** A collector that took a batch refused some spans of it (OTLP partial success). */
  reject(spans: number): void {
    this.sent -= spans;
    this.dropped += spans;
    this.#lastError = `the collector rejected ${spans} spans of a batch`;
  }

  /** Sends everything; resolves when every batch has its answer, also a bad one. */
  async flush(): Promise<void> {
    try {
      await this.#processor.shutdown();
    } catch {
      // The exporter's answers are in the counts already.
    }
  }

  /** Gives up what is still queued; later answers change nothing. */
  close(): void {
    this.#isClosed = true;
    this.dropped += this.queued;
    this.#waiting = 0;
    this.#inFlight = 0;
  }

  #export(exporter: SpanExporter, spans: ReadableSpan[], done: (result: ExportResult) => void) {
    const count = spans.length;
    this.#waiting -= count;
    this.#inFlight += count;
    let isAnswered = false;
    const answer = (result: ExportResult): void => {
      if (!isAnswered && !this.#isClosed) this.#account(count, result);
      isAnswered = true;
      done(result);
    };
    try {
      exporter.export(spans, answer);
    } catch (error) {
      answer({ code: ExportResultCode.FAILED, error: error as Error });
    }
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
