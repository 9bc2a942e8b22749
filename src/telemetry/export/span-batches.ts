/**
 * Batches of spans in the two forms that exporters of the SDK take: as the bytes of a request, and as
 * objects.
 *
 * A batch of bytes is written where it is sent from, and its memory is used again once the batch was
 * taken by a collector or given up, and no request of it is under way any more.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { ExchangeRecord } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import type { GrowingBytes } from '../span/growing-bytes.ts';
import { RecordSpan } from '../span/record-span.ts';
import type { SpanSurroundings } from '../span/span-surroundings.ts';
import { RequestGroup, type RequestWatch } from '../transport/request-watch.ts';

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

/** Writes requests of one form: TraceJson, TraceProto. */
export interface TraceWriter<Out> {
  /** Starts a request in `out`, which is written over. */
  begin(out: Out): void;
  /** Adds the span of `record` with `text` as its strings. */
  add(out: Out, record: ExchangeRecord, text: RecordText): void;
  /** The whole request, in place; asked again, the same. */
  finish(out: Out): Uint8Array;
}

/** Makes batches of bytes. */
export class ByteBatches<Out extends GrowingBytes> {
  readonly #exporter: SpanExporter;
  readonly #writer: TraceWriter<Out>;
  readonly #newMemory: () => Out;
  readonly #requests: RequestWatch;
  readonly #free: Out[] = [];

  constructor(
    exporter: SpanExporter,
    writer: TraceWriter<Out>,
    newMemory: () => Out,
    requests: RequestWatch,
  ) {
    this.#exporter = exporter;
    this.#writer = writer;
    this.#newMemory = newMemory;
    this.#requests = requests;
  }

  newBatch(): ByteBatch<Out> {
    const out = this.#free.pop() ?? this.#newMemory();
    const onDone = (): void => {
      if (this.#free.length < MEMORIES_KEPT_MAX) this.#free.push(out);
    };
    return new ByteBatch(this.#exporter, this.#writer, out, this.#requests, onDone);
  }
}

export class ByteBatch<Out extends GrowingBytes> implements SpanBatch {
  length = 0;
  readonly #exporter: SpanExporter;
  readonly #writer: TraceWriter<Out>;
  readonly #out: Out;
  readonly #requests: RequestWatch;
  readonly #ownRequests = new RequestGroup();
  readonly #onDone: () => void;
  #isExported = false;
  #isDone = false;

  /** `onDone`: its memory is not needed any more. */
  constructor(
    exporter: SpanExporter,
    writer: TraceWriter<Out>,
    out: Out,
    requests: RequestWatch,
    onDone: () => void,
  ) {
    this.#exporter = exporter;
    this.#writer = writer;
    this.#out = out;
    this.#requests = requests;
    this.#onDone = onDone;
    writer.begin(out);
  }

  add(record: ExchangeRecord, text: RecordText): void {
    this.#writer.add(this.#out, record, text);
    this.length++;
  }

  get bytes(): number {
    return this.#out.end;
  }

  export(done: (result: ExportResult) => void): void {
    this.#isExported = true;
    const onResult = (result: ExportResult): void => {
      if (result.code === ExportResultCode.SUCCESS) this.drop();
      done(result);
    };
    // Of the spans the exporter asks nothing itself: its serializer gets this batch.
    const spans = this as unknown as ReadableSpan[];
    this.#requests.run(this.#ownRequests, () => this.#exporter.export(spans, onResult));
  }

  drop(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#isExported) this.#ownRequests.afterAll(this.#onDone);
    else this.#onDone();
  }

  /** The request, in place. */
  request(): Uint8Array {
    return this.#writer.finish(this.#out);
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
