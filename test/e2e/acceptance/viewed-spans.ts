/**
 * Spans as a user of the query API v3 sees them, attributes in their own types: what acceptance tests
 * judge by.
 */

import assert from 'node:assert/strict';

export interface ViewedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for a root. */
  readonly parentId: string;
  /** `service.name` of the resource. */
  readonly service: string;
  readonly kind: 'SERVER' | 'CLIENT' | 'OTHER';
  readonly durationUs: number;
  /** Strings, numbers and booleans as such; anything else as JSON text. */
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Answer {
  readonly result?: {
    readonly resourceSpans?: readonly {
      readonly resource?: { readonly attributes?: readonly Attribute[] };
      readonly scopeSpans?: readonly { readonly spans?: readonly AnsweredSpan[] }[];
    }[];
  };
}

interface AnsweredSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind?: number | string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly Attribute[];
}

/** Every span of at most `tracesMax` traces since `sinceMs` (epoch) that have a span of `service`. */
export async function readSpans(
  viewer: string,
  service: string,
  tracesMax: number,
  sinceMs: number = Date.now() - 3_600_000,
): Promise<readonly ViewedSpan[]> {
  const query = new URLSearchParams({
    'query.service_name': service,
    'query.start_time_min': new Date(sinceMs).toISOString(),
    'query.start_time_max': new Date(Date.now() + 60_000).toISOString(),
    'query.search_depth': String(tracesMax),
  });
  const response = await fetch(`${viewer}/api/v3/traces?${query}`);
  if (response.status === 404) return [];
  assert.equal(response.status, 200, `${query}`);
  return viewAll((await response.json()) as Answer);
}

function viewAll({ result }: Answer): readonly ViewedSpan[] {
  return (result?.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const name = String(attributesOf(resource?.attributes)['service.name'] ?? '');
    return (scopeSpans ?? []).flatMap(({ spans }) => (spans ?? []).map((each) => view(each, name)));
  });
}

/** The spans of one trace; none when the viewer has it not. */
export async function readTrace(viewer: string, traceId: string): Promise<readonly ViewedSpan[]> {
  const response = await fetch(`${viewer}/api/v3/traces/${traceId}`);
  if (response.status === 404) return [];
  assert.equal(response.status, 200, traceId);
  return viewAll((await response.json()) as Answer);
}

function view(span: AnsweredSpan, service: string): ViewedSpan {
  const isServer = span.kind === 2 || span.kind === 'SPAN_KIND_SERVER';
  const isClient = span.kind === 3 || span.kind === 'SPAN_KIND_CLIENT';
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentSpanId ?? '',
    service,
    kind: isServer ? 'SERVER' : isClient ? 'CLIENT' : 'OTHER',
    durationUs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1000,
    attributes: attributesOf(span.attributes),
  };
}

/** 64-bit integers come as text in JSON. */
function attributesOf(attributes: readonly Attribute[] = []): ViewedSpan['attributes'] {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const { stringValue, intValue, doubleValue, boolValue } = value;
      if (typeof stringValue === 'string') return [key, stringValue];
      if (intValue !== undefined) return [key, Number(intValue)];
      if (doubleValue !== undefined) return [key, Number(doubleValue)];
      return [key, typeof boolValue === 'boolean' ? boolValue : JSON.stringify(value)];
    }),
  );
}
