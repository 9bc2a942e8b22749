/**
 * Exporters of the OpenTelemetry SDK, built from our settings instead of the environment.
 *
 * Worker only: this file and what imports it load OpenTelemetry. The exporter retries 429, 502, 503,
 * 504 and connection errors with back-off within its timeout; anything else is final.
 */

import { type DiagLogger, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  ConsoleSpanExporter,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import { ExchangeRecord } from './exchange-record.ts';
import { RecordSpan, type SpanSurroundings } from './record-span.ts';
import type { TelemetrySettings } from './settings.ts';
import { type EncodedSpan, TraceJson } from './trace-json.ts';

/** An exporter, and how it wants the spans that it exports. */
export interface SpanOutput {
  readonly exporter: SpanExporter;
  /** The span of a record, which the caller may use again. */
  spanOf(record: ExchangeRecord): ReadableSpan;
}

/** The output that the settings name; undefined for `none`. */
export function createOutput(
  settings: TelemetrySettings,
  version: string,
  around: SpanSurroundings,
): SpanOutput | undefined {
  switch (settings.exporter) {
    case 'none':
      return undefined;
    case 'console':
      return { exporter: new ConsoleSpanExporter(), spanOf: (record) => spanOf(record, around) };
    case 'otlp':
      return createOtlpOutput(settings, version, around);
  }
}

function createOtlpOutput(
  settings: TelemetrySettings,
  version: string,
  around: SpanSurroundings,
): SpanOutput {
  const { otlp, batch } = settings;
  const exporter = new OTLPTraceExporter({
    url: otlp.url,
    headers: { ...otlp.headers },
    timeoutMillis: otlp.timeoutMs,
    compression: otlp.compression as Compression,
    userAgent: `tracecar/${version}`,
    // A flush at shutdown sends the whole queue at once, beside a batch that is under way.
    concurrencyLimit: Math.ceil(batch.queueMax / batch.batchMax) + 2,
  });
  const json = new TraceJson(around);
  if (!writeWith(json, exporter)) return { exporter, spanOf: (record) => spanOf(record, around) };
  return { exporter, spanOf: (record) => json.encode(record) as unknown as ReadableSpan };
}

/** A span with a copy of the record. */
function spanOf(record: ExchangeRecord, around: SpanSurroundings): ReadableSpan {
  return new RecordSpan(Object.assign(new ExchangeRecord(), record), around);
}

/** What makes the bytes of a batch, in the exporter. */
export interface TraceSerializer {
  serializeRequest(spans: readonly unknown[]): Uint8Array | undefined;
}

/** The part of the exporter that is its own business; a version without it goes on as it is. */
interface WithDelegate {
  readonly _delegate?: { _serializer?: TraceSerializer };
}

/** The exporter's serializer; undefined when it is not where this version keeps it. */
export function serializerOf(exporter: OTLPTraceExporter): TraceSerializer | undefined {
  return (exporter as unknown as WithDelegate)._delegate?._serializer;
}

/** From now on `json` writes the batches, the exporter does the rest; false when that cannot be. */
function writeWith(json: TraceJson, exporter: OTLPTraceExporter): boolean {
  const own = serializerOf(exporter);
  if (typeof own?.serializeRequest !== 'function') return false;
  const { _delegate: delegate } = exporter as unknown as Required<WithDelegate>;
  // It also reads the collector's answers.
  delegate._serializer = Object.assign(Object.create(own) as TraceSerializer, {
    serializeRequest: (spans: readonly EncodedSpan[]) => json.serialize(spans),
  });
  return true;
}

/** The SDK's enum of 'none' and 'gzip', which its exporter does not export. */
type Compression = NonNullable<
  NonNullable<ConstructorParameters<typeof OTLPTraceExporter>[0]>['compression']
>;

const PARTIAL_SUCCESS = 'Received Partial Success';

/**
 * The SDK tells partial success (a collector took a batch but not all of its spans) only to its
 * diagnostic log: `onRejected` gets the number. Everything else it logs is in the counts already.
 */
export function watchPartialSuccess(onRejected: (spans: number) => void): void {
  const ignore = (): void => undefined;
  const logger: DiagLogger = {
    error: ignore,
    warn: (message, ...rest) => {
      const text = [message, ...rest].join(' ');
      if (!text.includes(PARTIAL_SUCCESS)) return;
      const rejected = Number(/"rejectedSpans":"?([0-9]{1,9})/.exec(text)?.[1] ?? 0);
      if (rejected > 0) onRejected(rejected);
    },
    info: ignore,
    debug: ignore,
    verbose: ignore,
  };
  diag.setLogger(logger, { suppressOverrideMessage: true });
}
