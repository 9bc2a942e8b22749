/**
 * Batches of spans in the two forms that exporters of the SDK take: as the bytes of a request, and as
 * objects.
 *
 * A batch of bytes is written where it is sent from, and its memory is used again once a collector has
 * taken it and no request is under way any more. That of a batch which was given up is not.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { ExchangeRecord } from './exchange-record.ts';
import { JsonBytes } from './json-bytes.ts';
import { RecordSpan, type SpanSurroundings } from './record-span.ts';
import type { RecordText } from './record-text.ts';
import type { RequestWatch } from './request-watch.ts';
import type { TraceJson } from './trace-json.ts';

/** Spans that are exported together; `add` until it is exported, once. */
export interface SpanBatch {
  /** Spans in it. */
  readonly length: number;
  /** Adds the span of `record`, which the caller may use again, with `text` as its strings. */
  add(record: ExchangeRecord, text: RecordText): void;
  /** Hands the batch to the exporter; `done` is called once, or twice when the exporter errs. */
  export(done: (result: ExportResult) => void): void;
}

/** Memory of batches that were sent: one is filled while another is under way, and rarely more. */
const MEMORIES_KEPT_MAX = 3;

/** Makes batches of bytes. */
export class JsonBatches {
  readonly #exporter: SpanExporter;
  readonly #json: TraceJson;
  readonly #requests: RequestWatch;
  readonly #free: JsonBytes[] = [];

  constructor(exporter: SpanExporter, json: TraceJson, requests: RequestWatch) {
    this.#exporter = exporter;
    this.#json = json;
    this.#requests = requests;
  }

  newBatch(): JsonBatch {
    const out = this.#free.pop() ?? new JsonBytes();
    return new JsonBatch(this.#exporter, this.#json, out, () => this.#keep(out));
  }

  #keep(out: JsonBytes): void {
    this.#requests.afterAll(() => {
      if (this.#free.length < MEMORIES_KEPT_MAX) this.#free.push(out);
    });
  }
}

export class JsonBatch implements SpanBatch {
  length = 0;
  readonly #exporter: SpanExporter;
  readonly #json: TraceJson;
  readonly #out: JsonBytes;
  readonly #onTaken: () => void;

  constructor(exporter: SpanExporter, json: TraceJson, out: JsonBytes, onTaken: () => void) {
    this.#exporter = exporter;
    this.#json = json;
    this.#out = out;
    this.#onTaken = onTaken;
    json.begin(out);
  }

  add(record: ExchangeRecord, text: RecordText): void {
    this.#json.add(this.#out, record, text);
    this.length++;
  }

  export(done: (result: ExportResult) => void): void {
    let isAnswered = false;
    // Of the spans the exporter asks nothing itself: its serializer gets this batch and calls `bytes`.
    this.#exporter.export(this as unknown as ReadableSpan[], (result) => {
      if (!isAnswered && result.code === ExportResultCode.SUCCESS) this.#onTaken();
      isAnswered = true;
      done(result);
    });
  }

  /** The request, in place. */
  bytes(): Uint8Array {
    return this.#json.finish(this.#out);
  }
}

/** A batch of objects, each with a copy of its record. */
export class ObjectBatch implements SpanBatch {
  readonly #exporter: SpanExporter;
  readonly #around: SpanSurroundings;
  readonly #spans: RecordSpan[] = [];

  constructor(exporter: SpanExporter, around: SpanSurroundings) {
    this.#exporter = exporter;
    this.#around = around;
  }

  get length(): number {
    return this.#spans.length;
  }

  add(record: ExchangeRecord, text: RecordText): void {
    const copy = Object.assign(new ExchangeRecord(), record);
    text.decode(copy);
    this.#spans.push(new RecordSpan(copy, this.#around));
  }

  export(done: (result: ExportResult) => void): void {
    this.#exporter.export(this.#spans, done);
  }
}
