/**
 * A trace as people look at it: its spans with their times and what is shown of each.
 *
 * Read from the answer of a query API, ours or Jaeger's, so it trusts nothing: what is missing is
 * empty, what is malformed is left out. Waterfall, page, comparison and explanation start from it.
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
  /** Nanoseconds since the epoch, 0 when it was not sent. */
  readonly startNs: bigint;
  /** At least 0; 0 when it is not known. */
  readonly durationNs: number;
  /** 0 unset, 1 ok, 2 error. */
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly attributes: readonly KeyValue[];
  /** Of the process that sent it; one list for all spans of an entry. */
  readonly resource: readonly KeyValue[];
  /** Name and version of the instrumentation: `tracecar 0.1.0`. */
  readonly scope: string;
  readonly traceState: string;
  readonly events: readonly StoredEvent[];
  readonly links: readonly StoredLink[];
}

export interface StoredEvent {
  readonly name: string;
  /** Nanoseconds since the epoch, 0 when it was not sent. */
  readonly timeNs: bigint;
  readonly attributes: readonly KeyValue[];
}

export interface StoredLink {
  /** Lower-case hex. */
  readonly traceId: string;
  readonly spanId: string;
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
    const sent = entry as OtlpResourceSpans;
    const resource = attributeList(sent.resource?.attributes);
    const service = attributeText(resource, 'service.name') ?? '';
    for (const group of objects(sent.scopeSpans)) {
      const origin = { service, resource, scope: scopeName(group.scope) };
      for (const each of objects(group.spans)) {
        const span = readSpan(traceId, origin, each as Partial<OtlpSpan>);
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

function scopeName(sent: unknown): string {
  const scope = asObject(sent);
  return [scope?.name, scope?.version]
    .filter((part) => typeof part === 'string')
    .join(' ')
    .trim();
}

function readSpan(
  traceId: string,
  { service, resource, scope }: Pick<StoredSpan, 'service' | 'resource' | 'scope'>,
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
    durationNs: startNs > 0n && endNs > startNs ? Number(endNs - startNs) : 0,
    statusCode: typeof status?.code === 'number' ? status.code : 0,
    statusMessage: typeof status?.message === 'string' ? status.message : '',
    attributes: attributeList(span.attributes),
    resource,
    scope,
    traceState: typeof span.traceState === 'string' ? span.traceState : '',
    events: span.events === undefined ? none : objects(span.events).map(readEvent),
    links: span.links === undefined ? none : objects(span.links).flatMap(readLink),
  };
}

const none: readonly never[] = [];

function readEvent(event: Readonly<Record<string, unknown>>): StoredEvent {
  return {
    name: typeof event.name === 'string' ? event.name : '',
    timeNs: readTime(event.timeUnixNano),
    attributes: attributeList(event.attributes),
  };
}

function readLink(link: Readonly<Record<string, unknown>>): StoredLink[] {
  const { traceId, spanId } = link;
  if (typeof traceId !== 'string' || typeof spanId !== 'string') return [];
  if (!/^[0-9a-f]{32}$/i.test(traceId) || !/^[0-9a-f]{16}$/i.test(spanId)) return [];
  const attributes = attributeList(link.attributes);
  return [{ traceId: traceId.toLowerCase(), spanId: spanId.toLowerCase(), attributes }];
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
