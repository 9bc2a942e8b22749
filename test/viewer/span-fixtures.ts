/**
 * Spans for the viewer's tests, as OTLP JSON: a trace of the demo's shape and small made-up ones.
 */

import { gzipSync } from 'node:zlib';

type Scalar = string | number | boolean;

export interface SpanFixture {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly service: string;
  readonly name: string;
  /** 2 server, 3 client. */
  readonly kind?: number;
  /** Milliseconds since the epoch, and after the start. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly attributes?: Readonly<Record<string, Scalar>>;
  readonly isError?: boolean;
}

export function attributeList(attributes: Readonly<Record<string, Scalar>>) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value:
      typeof value === 'string'
        ? { stringValue: value }
        : typeof value === 'boolean'
          ? { boolValue: value }
          : Number.isInteger(value)
            ? { intValue: String(value) }
            : { doubleValue: value },
  }));
}

function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n);
}

/** The body of an export request with these spans, one entry of `resourceSpans` each. */
export function exportBody(spans: readonly SpanFixture[]) {
  return {
    resourceSpans: spans.map((span) => ({
      resource: { attributes: attributeList({ 'service.name': span.service }) },
      scopeSpans: [
        {
          scope: { name: 'tracecar', version: '0.1.0' },
          spans: [
            {
              traceId: span.traceId,
              spanId: span.spanId,
              ...(span.parentSpanId === undefined ? {} : { parentSpanId: span.parentSpanId }),
              name: span.name,
              kind: span.kind ?? 1,
              startTimeUnixNano: nanoseconds(span.startMs),
              endTimeUnixNano: nanoseconds(span.startMs + span.durationMs),
              attributes: attributeList(span.attributes ?? {}),
              status: span.isError === true ? { code: 2 } : {},
            },
          ],
        },
      ],
    })),
  };
}

/** The five spans of one request of the demo, from `startMs` on. */
export function demoTrace(traceId: string, startMs: number): SpanFixture[] {
  const inbound = { 'tracecar.direction': 'inbound', 'http.response.status_code': 200 };
  const outbound = { 'tracecar.direction': 'outbound', 'http.response.status_code': 200 };
  return [
    {
      traceId,
      spanId: '00000000000000a1',
      service: 'web',
      name: 'GET /productpage',
      kind: 2,
      startMs,
      durationMs: 2.31,
      attributes: { ...inbound, 'tracecar.time.proxy_us': 14 },
    },
    {
      traceId,
      spanId: '00000000000000a2',
      parentSpanId: '00000000000000a1',
      service: 'web',
      name: 'GET',
      kind: 3,
      startMs: startMs + 0.12,
      durationMs: 2.01,
      attributes: {
        ...outbound,
        'service.peer.name': 'reviews',
        'tracecar.subset': 'v1',
        'tracecar.weight': 60,
        'tracecar.time.proxy_us': 11,
      },
    },
    {
      traceId,
      spanId: '00000000000000a3',
      parentSpanId: '00000000000000a2',
      service: 'reviews',
      name: 'GET /reviews/{id}',
      kind: 2,
      startMs: startMs + 0.3,
      durationMs: 1.7,
      attributes: { ...inbound, 'tracecar.time.proxy_us': 9 },
    },
    {
      traceId,
      spanId: '00000000000000a4',
      parentSpanId: '00000000000000a3',
      service: 'reviews',
      name: 'GET',
      kind: 3,
      startMs: startMs + 0.5,
      durationMs: 0.9,
      attributes: { ...outbound, 'service.peer.name': 'ratings', 'tracecar.time.proxy_us': 9 },
    },
    {
      traceId,
      spanId: '00000000000000a5',
      parentSpanId: '00000000000000a4',
      service: 'ratings',
      name: 'GET /ratings',
      kind: 2,
      startMs: startMs + 0.7,
      durationMs: 0.5,
      attributes: { ...inbound, 'tracecar.time.proxy_us': 8 },
    },
  ];
}

/** Sends a body as an exporter does. */
export async function sendSpans(baseOtlp: string, body: unknown, gzip = false): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(`${baseOtlp}/v1/traces`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    },
    body: gzip ? gzipSync(text) : text,
  });
}
