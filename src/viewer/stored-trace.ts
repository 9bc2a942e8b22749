/**
 * A trace as people look at it: its spans with their times and what is shown of each.
 *
 * Read from the answer of a query API, ours or Jaeger's, so it trusts nothing: what is missing is
 * empty, what is malformed is left out. Waterfall, page and (later) comparisons start from it.
 */

import {
  asObject,
  attributeText,
  type KeyValue,
  type OtlpResourceSpans,
  type OtlpSpan,
} from './otlp-json.ts';

export interface StoredSpan {
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  /** `service.name`; empty when the resource has none. */
  readonly service: string;
  readonly name: string;
  /** SpanKind. */
  readonly kind: number;
  /** Nanoseconds since the epoch. */
  readonly startNs: bigint;
  /** At least 0. */
  readonly durationNs: number;
  /** 0 unset, 1 ok, 2 error. */
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly attributes: readonly KeyValue[];
}

export interface StoredTrace {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** By start time, then by span id. */
  readonly spans: readonly StoredSpan[];
}

/**
 * The trace `traceId` in the body of an answer (`{"result":{"resourceSpans":[...]}}` or the result
 * alone), or undefined when the body is not such an answer. Spans of other traces are left out.
 */
export function readStoredTrace(traceId: string, body: unknown): StoredTrace | undefined {
  const outer = asObject(body);
  const result = asObject(outer?.result) ?? outer;
  if (result === undefined || !Array.isArray(result.resourceSpans)) return undefined;
  const spans = new Map<string, StoredSpan>();
  for (const entry of objects(result.resourceSpans)) {
    const resource = entry as OtlpResourceSpans;
    const service = attributeText(attributeList(resource.resource?.attributes), 'service.name');
    for (const group of objects(resource.scopeSpans)) {
      for (const each of objects(group.spans)) {
        const span = readSpan(traceId, service ?? '', each as Partial<OtlpSpan>);
        if (span !== undefined && !spans.has(span.spanId)) spans.set(span.spanId, span);
      }
    }
  }
  return { traceId, spans: [...spans.values()].sort(byStart) };
}

/** Compares by start time, then by span id, so that an order never depends on arrival. */
export function byStart(one: StoredSpan, other: StoredSpan): number {
  if (one.startNs !== other.startNs) return one.startNs < other.startNs ? -1 : 1;
  return one.spanId < other.spanId ? -1 : one.spanId > other.spanId ? 1 : 0;
}

function readSpan(
  traceId: string,
  service: string,
  span: Partial<OtlpSpan>,
): StoredSpan | undefined {
  if (typeof span.spanId !== 'string' || span.spanId === '') return undefined;
  if (typeof span.traceId !== 'string' || span.traceId.toLowerCase() !== traceId) return undefined;
  const startNs = readTime(span.startTimeUnixNano);
  const endNs = readTime(span.endTimeUnixNano);
  const status = asObject(span.status);
  return {
    spanId: span.spanId,
    parentSpanId: typeof span.parentSpanId === 'string' ? span.parentSpanId : '',
    service,
    name: typeof span.name === 'string' ? span.name : '',
    kind: typeof span.kind === 'number' ? span.kind : 0,
    startNs,
    durationNs: endNs > startNs ? Number(endNs - startNs) : 0,
    statusCode: typeof status?.code === 'number' ? status.code : 0,
    statusMessage: typeof status?.message === 'string' ? status.message : '',
    attributes: attributeList(span.attributes),
  };
}

function readTime(sent: unknown): bigint {
  return typeof sent === 'string' && /^\d{1,20}$/.test(sent) ? BigInt(sent) : 0n;
}

function objects(list: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(list) ? list.filter((each) => asObject(each) !== undefined) : [];
}

function attributeList(list: unknown): readonly KeyValue[] {
  return objects(list).filter(
    (each) => typeof each.key === 'string' && asObject(each.value) !== undefined,
  ) as unknown as KeyValue[];
}
