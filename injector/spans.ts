/**
 * The webhook's own spans by OpenTelemetry's SDK for Node.js: the only file that loads it.
 *
 * It costs 45 MB, so it is imported only when traces are asked for (`wantsSpans`). OTEL_* variables
 * configure it; spans go out as OTLP over HTTP, JSON, unless a protocol is named, because that is what
 * `tracecar view` takes. A request's span continues the API server's `traceparent`.
 *
 * While reviews are answered only times and attributes are noted. The SDK's spans are made of them
 * a moment later, when a burst is over: their 40 us a review delay no answer of it (2026-11-25).
 */

import type { IncomingHttpHeaders } from 'node:http';
import {
  type Attributes,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { envDetector } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { systemClock } from '../src/base/clock.ts';
import { systemWakeUps } from '../src/base/deadlines.ts';
import type { SpanAttributes, WebhookSpan, WebhookTracer } from './webhook-tracer.ts';

/** A burst of a hundred pods is answered in less. */
const restMs = 50;
/** Notes told in one turn, at least; about 0.3 ms. */
const told = 8;

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
  const teller = new Teller(tracer);
  return {
    begin: (name, headers, attributes) => new RequestNote(name, headers, attributes, teller),
    close: async () => {
      teller.tell(Number.POSITIVE_INFINITY);
      // A collector that is away costs its spans, not the end of the program.
      await sdk.shutdown().catch(() => {});
    },
  };
}

/** Makes spans of notes: a while after the first one, and then only some in each turn. */
class Teller {
  readonly #tracer: Tracer;
  readonly #ended: RequestNote[] = [];

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  take(note: RequestNote): void {
    if (this.#ended.push(note) === 1) systemWakeUps.after(restMs, () => this.#tellSome());
  }

  /** Tells the first `count` notes. */
  tell(count: number): void {
    for (const note of this.#ended.splice(0, count)) tell(this.#tracer, note);
  }

  /** A share of them, so that none waits long however fast reviews come. */
  #tellSome(): void {
    this.tell(Math.max(told, Math.ceil(this.#ended.length / told)));
    if (this.#ended.length > 0) setImmediate(() => this.#tellSome());
  }
}

interface ChildNote {
  readonly name: string;
  /** Both as performance.now() has them, which the SDK takes. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** Empty when it did not throw. */
  readonly failure: string;
}

/** What there is to tell about one request. */
class RequestNote implements WebhookSpan {
  readonly name: string;
  readonly headers: IncomingHttpHeaders;
  readonly attributes: Attributes;
  readonly children: ChildNote[] = [];
  readonly startedAt = systemClock.now();
  endedAt = 0;
  status = 0;
  readonly #teller: Teller;

  constructor(
    name: string,
    headers: IncomingHttpHeaders,
    attributes: SpanAttributes,
    teller: Teller,
  ) {
    this.name = name;
    this.headers = headers;
    this.attributes = { ...attributes };
    this.#teller = teller;
  }

  child<Result>(name: string, work: () => Result): Result {
    const startedAt = systemClock.now();
    let failure = '';
    try {
      return work();
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.children.push({ name, startedAt, endedAt: systemClock.now(), failure });
    }
  }

  add(attributes: SpanAttributes): void {
    Object.assign(this.attributes, attributes);
  }

  end(status: number): void {
    this.endedAt = systemClock.now();
    this.status = status;
    this.#teller.take(this);
  }
}

/** Makes the request's span and its children. */
function tell(tracer: Tracer, note: RequestNote): void {
  const { attributes, status } = note;
  attributes['http.response.status_code'] = status;
  if (status >= 500) attributes['error.type'] = String(status);
  const parent = propagation.extract(ROOT_CONTEXT, note.headers);
  const options = { kind: SpanKind.SERVER, attributes, startTime: note.startedAt };
  const span = tracer.startSpan(note.name, options, parent);
  const context = trace.setSpan(parent, span);
  for (const { name, startedAt, endedAt, failure } of note.children) {
    const child = tracer.startSpan(name, { startTime: startedAt }, context);
    if (failure !== '') child.setStatus({ code: SpanStatusCode.ERROR, message: failure });
    child.end(endedAt);
  }
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(note.endedAt);
}
