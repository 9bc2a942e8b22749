/**
 * A trace in the JSON of Jaeger's older API (`/api/traces/ID`): flat tags, references, processes.
 *
 * Made from OTLP as Jaeger 2.13 makes it (seen on the real one, 2026-11): status, kind and scope become
 * tags, links are FOLLOWS_FROM, lists and maps are JSON as text. Times are microseconds.
 */

import {
  type AnyValue,
  attributeText,
  type KeyValue,
  type OtlpEvent,
  type OtlpResourceSpans,
  type OtlpScope,
  type OtlpSpan,
  spanKindNames,
  statusError,
  type TracesData,
} from './otlp-json.ts';

interface Tag {
  readonly key: string;
  readonly type: 'string' | 'bool' | 'int64' | 'float64' | 'binary';
  readonly value: string | number | boolean;
}

interface Process {
  readonly serviceName: string;
  readonly tags: readonly Tag[];
}

interface Reference {
  readonly refType: 'CHILD_OF' | 'FOLLOWS_FROM';
  readonly traceID: string;
  readonly spanID: string;
}

interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  readonly references: readonly Reference[];
  readonly startTime: number;
  readonly duration: number;
  readonly tags: readonly Tag[];
  readonly logs: readonly { readonly timestamp: number; readonly fields: readonly Tag[] }[];
  readonly processID: string;
  readonly warnings: null;
}

export interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, Process>>;
  readonly warnings: null;
}

/** One trace, of the OTLP that the query API v3 answers for it. */
export function jaegerTrace(traceID: string, { resourceSpans = [] }: TracesData): JaegerTrace {
  const processes: Record<string, Process> = {};
  const ids = new Map<string, string>();
  const spans: JaegerSpan[] = [];
  for (const entry of resourceSpans) {
    const process = processOf(entry);
    const key = JSON.stringify(process);
    const processID = ids.get(key) ?? `p${ids.size + 1}`;
    ids.set(key, processID);
    processes[processID] = process;
    for (const { scope = {}, spans: ofScope = [] } of entry.scopeSpans ?? []) {
      for (const span of ofScope) spans.push(jaegerSpan(span, scope, processID));
    }
  }
  return { traceID, spans, processes, warnings: null };
}

function processOf({ resource }: OtlpResourceSpans): Process {
  const attributes = resource?.attributes ?? [];
  return {
    serviceName: attributeText(attributes, 'service.name') ?? '',
    tags: sorted(attributes.filter(({ key }) => key !== 'service.name').map(tagOf)),
  };
}

function jaegerSpan(span: OtlpSpan, scope: OtlpScope, processID: string): JaegerSpan {
  const startNs = BigInt(span.startTimeUnixNano ?? 0);
  const endNs = BigInt(span.endTimeUnixNano ?? 0);
  const { parentSpanId, links = [] } = span;
  const references: Reference[] = [];
  if (parentSpanId !== undefined) {
    references.push({ refType: 'CHILD_OF', traceID: span.traceId, spanID: parentSpanId });
  }
  for (const { traceId, spanId } of links) {
    references.push({ refType: 'FOLLOWS_FROM', traceID: traceId, spanID: spanId });
  }
  return {
    traceID: span.traceId,
    spanID: span.spanId,
    operationName: span.name ?? '',
    references,
    startTime: Number(startNs / 1000n),
    duration: endNs > startNs ? Number((endNs - startNs) / 1000n) : 0,
    tags: sorted([...(span.attributes ?? []).map(tagOf), ...ownTags(span, scope)]),
    logs: (span.events ?? []).map(logOf),
    processID,
    warnings: null,
  };
}

/** What OTLP has fields for and Jaeger's model has not. */
function ownTags(span: OtlpSpan, scope: OtlpScope): Tag[] {
  const { message = '', code = 0 } = span.status;
  const isError = code === statusError;
  const texts: readonly (readonly [string, string])[] = [
    ['span.kind', spanKindNames[span.kind ?? 0] ?? ''],
    ['otel.scope.name', scope.name ?? ''],
    ['otel.scope.version', scope.version ?? ''],
    ['otel.status_code', ['', 'OK', 'ERROR'][code] ?? ''],
    ['otel.status_description', message],
    ['w3c.tracestate', span.traceState ?? ''],
  ];
  const tags = texts
    .filter(([, value]) => value !== '')
    .map(([key, value]): Tag => ({ key, type: 'string', value }));
  return isError ? [...tags, { key: 'error', type: 'bool', value: true }] : tags;
}

function logOf(event: OtlpEvent): JaegerSpan['logs'][number] {
  const fields = (event.attributes ?? []).map(tagOf);
  return {
    timestamp: Number(BigInt(event.timeUnixNano ?? 0) / 1000n),
    fields: [{ key: 'event', type: 'string', value: event.name ?? '' }, ...fields],
  };
}

function tagOf({ key, value }: KeyValue): Tag {
  if (value.boolValue !== undefined) return { key, type: 'bool', value: value.boolValue };
  if (value.intValue !== undefined) {
    const number = Number(value.intValue);
    // One that JSON's readers would round is given as the text it is.
    return { key, type: 'int64', value: Number.isSafeInteger(number) ? number : value.intValue };
  }
  if (value.doubleValue !== undefined) return { key, type: 'float64', value: value.doubleValue };
  if (value.bytesValue !== undefined) return { key, type: 'binary', value: value.bytesValue };
  if (value.arrayValue !== undefined || value.kvlistValue !== undefined) {
    return { key, type: 'string', value: JSON.stringify(plainOf(value)) };
  }
  return { key, type: 'string', value: value.stringValue ?? '' };
}

/** A value as JSON would have it; the depth was bounded when it came in. */
function plainOf(value: AnyValue): unknown {
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(plainOf);
  if (value.kvlistValue !== undefined) {
    const pairs = (value.kvlistValue.values ?? []).map(({ key, value: inner }) => [
      key,
      plainOf(inner),
    ]);
    return Object.fromEntries(pairs);
  }
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? value.bytesValue ?? null;
}

function sorted(tags: readonly Tag[]): Tag[] {
  return [...tags].sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0));
}
