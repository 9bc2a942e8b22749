/**
 * Exporters of the OpenTelemetry SDK, built from our settings instead of the environment.
 *
 * Worker only: this file and what imports it load OpenTelemetry. The exporter retries 429, 502, 503,
 * 504 and connection errors with back-off within its timeout; anything else is final.
 */

import { type DiagLogger, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { ConsoleSpanExporter, type SpanExporter } from '@opentelemetry/sdk-trace';
import { JsonBytes } from './json-bytes.ts';
import type { SpanSurroundings } from './record-span.ts';
import { RequestWatch } from './request-watch.ts';
import type { TelemetrySettings } from './settings.ts';
import { type JsonBatch, JsonBatches, ObjectBatch, type SpanBatch } from './span-batches.ts';
import { TraceJson } from './trace-json.ts';

/** Where spans go. */
export interface SpanOutput {
  /** An empty batch, to be filled and exported. */
  newBatch(): SpanBatch;
  /** Resolves when all exports have their answers. */
  shutdown(): Promise<void>;
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
      return objectsTo(new ConsoleSpanExporter(), around);
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
  const json = new TraceJson(around, new JsonBytes());
  if (!sendsOwnBytes(exporter)) return objectsTo(exporter, around);
  const batches = new JsonBatches(exporter, json, new RequestWatch());
  return { newBatch: () => batches.newBatch(), shutdown: () => exporter.shutdown() };
}

function objectsTo(exporter: SpanExporter, around: SpanSurroundings): SpanOutput {
  return {
    newBatch: () => new ObjectBatch(exporter, around),
    shutdown: () => exporter.shutdown(),
  };
}

/** What makes the bytes of a batch, in the exporter. */
export interface TraceSerializer {
  serializeRequest(spans: unknown): Uint8Array | undefined;
}

/** The part of the exporter that is its own business; a version without it goes on as it is. */
interface WithDelegate {
  readonly _delegate?: { _serializer?: TraceSerializer };
}

/** The exporter's serializer; undefined when it is not where this version keeps it. */
export function serializerOf(exporter: OTLPTraceExporter): TraceSerializer | undefined {
  return (exporter as unknown as WithDelegate)._delegate?._serializer;
}

/** From now on the exporter sends the bytes of JsonBatches; false when that cannot be. */
function sendsOwnBytes(exporter: OTLPTraceExporter): boolean {
  const own = serializerOf(exporter);
  if (typeof own?.serializeRequest !== 'function') return false;
  const { _delegate: delegate } = exporter as unknown as Required<WithDelegate>;
  // It also reads the collector's answers.
  delegate._serializer = Object.assign(Object.create(own) as TraceSerializer, {
    serializeRequest: (batch: unknown) => (batch as JsonBatch).bytes(),
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
