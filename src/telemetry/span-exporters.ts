/**
 * Exporters of the OpenTelemetry SDK, built from our settings instead of the environment.
 *
 * Worker only: this file and what imports it load OpenTelemetry. The exporter retries 429, 502, 503,
 * 504 and connection errors with back-off within its timeout; anything else is final.
 */

import { type DiagLogger, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { ConsoleSpanExporter, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { TelemetrySettings } from './settings.ts';

/** The exporter that the settings name; undefined for `none`. */
export function createExporter(
  settings: TelemetrySettings,
  version: string,
): SpanExporter | undefined {
  switch (settings.exporter) {
    case 'none':
      return undefined;
    case 'console':
      return new ConsoleSpanExporter();
    case 'otlp':
      return createOtlpExporter(settings, version);
  }
}

function createOtlpExporter(settings: TelemetrySettings, version: string): SpanExporter {
  const { otlp, batch } = settings;
  return new OTLPTraceExporter({
    url: otlp.url,
    headers: { ...otlp.headers },
    timeoutMillis: otlp.timeoutMs,
    compression: otlp.compression as Compression,
    userAgent: `tracecar/${version}`,
    // A flush at shutdown sends the whole queue at once, beside a batch that is under way.
    concurrencyLimit: Math.ceil(batch.queueMax / batch.batchMax) + 2,
  });
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
