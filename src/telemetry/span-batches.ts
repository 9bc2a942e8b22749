/**
 * Batches of spans in the two forms that exporters of the SDK take: as the bytes of a request, and as
 * objects.
 *
 * A batch of bytes is written where it is sent from, and its memory is used again once the batch was
 * taken by a collector or given up, and no request is under way any more.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { ExchangeRecord } from './exchange-record.ts';
import { JsonBytes } from './json-bytes.ts';
import { RecordSpan } from './record-span.ts';
import type { RecordText } from './record-text.ts';
import type { RequestWatch } from './request-watch.ts';
import type { SpanSurroundings } from './span-surroundings.ts';
import type { TraceJson } from './trace-json.ts';

/** Spans that are exported together; `add` until it is exported, again when that failed. */
export interface SpanBatch {
  /** Spans in it. */
  readonly length: number;
  /** Memory that they take, about. */
  readonly bytes: number;
  /** Adds the span of `record`, which the caller may use again, with `text` as its strings. */
  add(record: ExchangeRecord, text: RecordText): void;
  /** Hands the batch to the exporter; `done` is called once, or twice when the exporter errs. */
  export(done: (result: ExportResult) => void): void;
  /** It is given up, and not exported any more. */
  drop(): void;
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
  /** Its memory is not needed any more once no request is under way. */
  readonly #onDone: () => void;
  #isDone = false;

  constructor(exporter: SpanExporter, json: TraceJson, out: JsonBytes, onDone: () => void) {
    this.#exporter = exporter;
    this.#json = json;
    this.#out = out;
    this.#onDone = onDone;
    json.begin(out);
  }

  add(record: ExchangeRecord, text: RecordText): void {
    this.#json.add(this.#out, record, text);
    this.length++;
  }

  get bytes(): number {
    return this.#out.end;
  }

  export(done: (result: ExportResult) => void): void {
    // Of the spans the exporter asks nothing itself: its serializer gets this batch.
    this.#exporter.export(this as unknown as ReadableSpan[], (result) => {
      if (result.code === ExportResultCode.SUCCESS) this.drop();
      done(result);
    });
  }

  drop(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#onDone();
  }

  /** The request, in place. */
  request(): Uint8Array {
    return this.#json.finish(this.#out);
  }
}

/** A record with its strings, before attributes are made of it. */
const OBJECT_BYTES = 1_024;

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

  get bytes(): number {
    return this.#spans.length * OBJECT_BYTES;
  }

  add(record: ExchangeRecord, text: RecordText): void {
    const copy = Object.assign(new ExchangeRecord(), record);
    text.decode(copy);
    this.#spans.push(new RecordSpan(copy, this.#around));
  }

  export(done: (result: ExportResult) => void): void {
    this.#exporter.export(this.#spans, done);
  }

  drop(): void {
    this.#spans.length = 0;
  }
}
