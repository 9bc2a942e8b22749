/**
 * Exporters of the OpenTelemetry SDK, built from our settings instead of the environment.
 *
 * Worker only: this file and what imports it load OpenTelemetry. Two places inside the exporter are
 * replaced: what makes the bytes of a request, and what stands before its HTTP (own-transport.ts). A
 * version that keeps them elsewhere goes on by itself.
 */

import { type DiagLogger, diag } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { ConsoleSpanExporter, type SpanExporter } from '@opentelemetry/sdk-trace';
import { assert } from '../../base/assert.ts';
import type { TelemetrySettings } from '../settings/settings.ts';
import type { GrowingBytes } from '../span/growing-bytes.ts';
import { JsonBytes } from '../span/json-bytes.ts';
import { ProtoBytes } from '../span/proto-bytes.ts';
import type { SpanSurroundings } from '../span/span-surroundings.ts';
import { TraceJson } from '../span/trace-json.ts';
import { TraceProto } from '../span/trace-proto.ts';
import type { OwnPath } from '../transport/own-path.ts';
import { replaceTransport } from '../transport/own-transport.ts';
import { watchRequests } from '../transport/request-watch.ts';
import type { LineOutput } from './line-output.ts';
import { type ByteBatch, ByteBatches, ObjectBatch, type SpanBatch } from './span-batches.ts';

/** Where spans go. */
export interface SpanOutput {
  /** An empty batch, to be filled and exported. */
  newBatch(): SpanBatch;
  /** Resolves when all exports have their answers. */
  shutdown(): Promise<void>;
}

/** What some outputs need. */
export interface OutputWays {
  /** There for `otlp/stdout`. */
  readonly stdout?: LineOutput | undefined;
  /** By which a collector is reached; undefined: it is dialled. */
  readonly path?: OwnPath | undefined;
}

/** The output that the settings name; undefined for `none`. */
export function createOutput(
  settings: TelemetrySettings,
  version: string,
  around: SpanSurroundings,
  { stdout, path }: OutputWays = {},
): SpanOutput | undefined {
  switch (settings.exporter) {
    case 'none':
      return undefined;
    case 'console':
      return objectsTo(new ConsoleSpanExporter(), around);
    case 'otlp/stdout':
      assert(stdout !== undefined, 'otlp/stdout has a stdout');
      return createLineOutput(stdout, around);
    case 'otlp':
      return createOtlpOutput(settings, version, around, path);
  }
}

/**
 * A request of OTLP/JSON a line, as the specification's `otlp/stdout` has it: for collectors that read
 * the output of containers.
 */
function createLineOutput(stdout: LineOutput, around: SpanSurroundings): SpanOutput {
  const failed = new Error('stdout does not take it');
  const exporter = {
    export: (spans: unknown, done: (result: ExportResult) => void) => {
      const request = (spans as ByteBatch<GrowingBytes>).request();
      stdout.addApart(Buffer.from(request).toString('utf8'), (isWritten) =>
        done(
          isWritten
            ? { code: ExportResultCode.SUCCESS }
            : { code: ExportResultCode.FAILED, error: failed },
        ),
      );
    },
    shutdown: async () => undefined,
  };
  const json = new TraceJson(around, new JsonBytes());
  const requests = watchRequests();
  const batches = batchesOf(exporter, json, () => new JsonBytes(), requests);
  return { newBatch: () => batches.newBatch(), shutdown: () => exporter.shutdown() };
}

function createOtlpOutput(
  settings: TelemetrySettings,
  version: string,
  around: SpanSurroundings,
  path: OwnPath | undefined,
): SpanOutput {
  const exporter = openExporter(settings, version, path);
  if (!sendsOwnBytes(exporter)) return objectsTo(exporter, around);
  const requests = watchRequests();
  const isProtobuf = settings.otlp.protocol === 'http/protobuf';
  const batches = isProtobuf
    ? batchesOf(
        exporter,
        new TraceProto(around, new ProtoBytes()),
        () => new ProtoBytes(),
        requests,
      )
    : batchesOf(exporter, new TraceJson(around, new JsonBytes()), () => new JsonBytes(), requests);
  return { newBatch: () => batches.newBatch(), shutdown: () => exporter.shutdown() };
}

function batchesOf<Out extends GrowingBytes>(
  ...parts: ConstructorParameters<typeof ByteBatches<Out>>
): { newBatch(): SpanBatch } {
  return new ByteBatches(...parts);
}

function openExporter(
  { otlp, batch }: TelemetrySettings,
  version: string,
  path: OwnPath | undefined,
): OTLPTraceExporter {
  const isProtobuf = otlp.protocol === 'http/protobuf';
  const Exporter = isProtobuf ? ProtobufTraceExporter : OTLPTraceExporter;
  const options = {
    url: otlp.url,
    headers: { ...otlp.headers },
    timeoutMillis: Math.min(otlp.timeoutMs, batch.timeoutMs),
    userAgent: `tracecar/${version}`,
    // A flush at shutdown sends the whole queue at once, each span alone if need be.
    concurrencyLimit: batch.queueMax + 2,
    ...(path && { httpAgentOptions: () => path.agentFor(otlp, 'traces') }),
  };
  if (otlp.compression === 'none') {
    const plain = new Exporter(options);
    replaceTransport(plain, {});
    return plain;
  }
  const headers = { ...otlp.headers, 'Content-Encoding': 'gzip' };
  const exporter = new Exporter({ ...options, headers });
  if (replaceTransport(exporter, { isGzip: true })) return exporter;
  return new Exporter({ ...options, compression: otlp.compression as Compression });
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

/** From now on the exporter sends the bytes of ByteBatches; false when that cannot be. */
function sendsOwnBytes(exporter: OTLPTraceExporter): boolean {
  const own = serializerOf(exporter);
  if (typeof own?.serializeRequest !== 'function') return false;
  const { _delegate: delegate } = exporter as unknown as Required<WithDelegate>;
  // It also reads the collector's answers.
  delegate._serializer = Object.assign(Object.create(own) as TraceSerializer, {
    serializeRequest: (batch: unknown) => (batch as ByteBatch<GrowingBytes>).request(),
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
 * diagnostic log, right before the batch's result: `onRejected` gets the number that the collector
 * says, 1 or more, whatever the batch had. Everything else it logs is in the counts already.
 */
export function watchPartialSuccess(onRejected: (spans: number) => void): void {
  const ignore = (): void => undefined;
  const logger: DiagLogger = {
    error: ignore,
    warn: (message, answer) => {
      if (!message.includes(PARTIAL_SUCCESS)) return;
      const rejected = rejectedSpans(answer);
      if (rejected > 0) onRejected(rejected);
    },
    info: ignore,
    debug: ignore,
    verbose: ignore,
  };
  diag.setLogger(logger, { suppressOverrideMessage: true });
}

/** Of a partial success as JSON, where an int64 is a number or its digits; 0 for everything else. */
function rejectedSpans(json: unknown): number {
  try {
    const { rejectedSpans: said } = JSON.parse(String(json)) as {
      readonly rejectedSpans?: unknown;
    };
    const isNumber = typeof said === 'number' || (typeof said === 'string' && /^\d+$/.test(said));
    return isNumber ? Math.trunc(Number(said)) : 0;
  } catch {
    return 0;
  }
}
