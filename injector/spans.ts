/**
 * The webhook's own spans by OpenTelemetry's SDK for Node.js: the only file that loads it.
 *
 * It costs 45 MB, so it is imported only when traces are asked for (`wantsSpans`). OTEL_* variables
 * configure it; spans go out as OTLP over HTTP, JSON, unless a protocol is named, because that is what
 * `tracecar view` takes. A request's span continues the API server's `traceparent`.
 */

import {
  type Attributes,
  type Context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { envDetector } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { SpanAttributes, WebhookSpan, WebhookTracer } from './webhook-tracer.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Starts the SDK; it reads the process's OTEL_* variables by itself. `version` is Tracecar's. */
export function startSpans(environment: Environment, version: string): WebhookTracer {
  const isNamed = (name: string) => (environment[name] ?? '') !== '';
  const isUsual = !(
    isNamed('OTEL_EXPORTER_OTLP_PROTOCOL') ||
    isNamed('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ||
    isNamed('OTEL_TRACES_EXPORTER')
  );
  const sdk = new NodeSDK({
    ...(isNamed('OTEL_SERVICE_NAME') ? {} : { serviceName: 'tracecar-injector' }),
    ...(isUsual ? { traceExporter: new OTLPTraceExporter() } : {}),
    // Spans only: no metrics, no logs, and no process arguments in the resource.
    metricReaders: [],
    logRecordProcessors: [],
    resourceDetectors: [envDetector],
  });
  sdk.start();
  const tracer = trace.getTracer('tracecar-injector', version);
  return {
    begin(name, headers, attributes) {
      const parent = propagation.extract(ROOT_CONTEXT, headers);
      const options = { kind: SpanKind.SERVER, attributes: { ...attributes } };
      return new RequestSpan(tracer, tracer.startSpan(name, options, parent), parent);
    },
    // A collector that is away costs its spans, not the end of the program.
    close: () => sdk.shutdown().catch(() => {}),
  };
}

class RequestSpan implements WebhookSpan {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;

  constructor(tracer: Tracer, span: Span, parent: Context) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = trace.setSpan(parent, span);
  }

  child<Result>(name: string, work: () => Result): Result {
    const span = this.#tracer.startSpan(name, {}, this.#context);
    try {
      return work();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message });
      throw error;
    } finally {
      span.end();
    }
  }

  add(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes as Attributes);
  }

  end(status: number): void {
    this.#span.setAttribute('http.response.status_code', status);
    if (status >= 500) {
      this.#span.setAttribute('error.type', String(status));
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end();
  }
}
