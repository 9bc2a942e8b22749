/**
 * OTLP in JSON as this room writes it: the shapes and the order of keys of the OpenTelemetry
 * collector's own marshaler, which is what Jaeger's API v3 sends (pdata 1.46, read 2026-11).
 *
 * Ids are lower-case hex, enums are numbers, 64-bit integers are strings, and a field that has its
 * default value is left out, except `resource`, `scope`, `status` and an attribute's `value`.
 */

export interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}

/** At most one of the fields is there; none is the empty value. */
export interface AnyValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  /** Decimal digits of a signed 64-bit number. */
  readonly intValue?: string;
  /** JSON has no word for the three others. */
  readonly doubleValue?: number | 'NaN' | 'Infinity' | '-Infinity';
  readonly arrayValue?: { readonly values?: readonly AnyValue[] };
  readonly kvlistValue?: { readonly values?: readonly KeyValue[] };
  /** Base64. */
  readonly bytesValue?: string;
}

export interface OtlpStatus {
  readonly message?: string | undefined;
  /** 1 ok, 2 error. */
  readonly code?: number | undefined;
}

export interface OtlpEvent {
  readonly timeUnixNano?: string | undefined;
  readonly name?: string | undefined;
  readonly attributes?: readonly KeyValue[] | undefined;
  readonly droppedAttributesCount?: number | undefined;
}

export interface OtlpLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState?: string | undefined;
  readonly attributes?: readonly KeyValue[] | undefined;
  readonly droppedAttributesCount?: number | undefined;
  readonly flags?: number | undefined;
}

/** Fields are declared, and must be set, in the order in which they are written. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState?: string | undefined;
  readonly parentSpanId?: string | undefined;
  readonly flags?: number | undefined;
  readonly name?: string | undefined;
  readonly kind?: number | undefined;
  readonly startTimeUnixNano?: string | undefined;
  readonly endTimeUnixNano?: string | undefined;
  readonly attributes?: readonly KeyValue[] | undefined;
  readonly droppedAttributesCount?: number | undefined;
  readonly events?: readonly OtlpEvent[] | undefined;
  readonly droppedEventsCount?: number | undefined;
  readonly links?: readonly OtlpLink[] | undefined;
  readonly droppedLinksCount?: number | undefined;
  readonly status: OtlpStatus;
}

export interface OtlpResource {
  readonly attributes?: readonly KeyValue[] | undefined;
  readonly droppedAttributesCount?: number | undefined;
}

export interface OtlpScope {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly attributes?: readonly KeyValue[] | undefined;
  readonly droppedAttributesCount?: number | undefined;
}

export interface OtlpScopeSpans {
  readonly scope?: OtlpScope;
  readonly spans?: readonly OtlpSpan[];
  readonly schemaUrl?: string;
}

export interface OtlpResourceSpans {
  readonly resource?: OtlpResource;
  readonly scopeSpans?: readonly OtlpScopeSpans[];
  readonly schemaUrl?: string;
}

/** The body of an export request, and the `result` of an answer of the query API. */
export interface TracesData {
  readonly resourceSpans?: readonly OtlpResourceSpans[];
}

export const SpanKind = {
  Unspecified: 0,
  Internal: 1,
  Server: 2,
  Client: 3,
  Producer: 4,
  Consumer: 5,
} as const;

/** By number, as the query API spells them; an unspecified kind is empty. */
export const spanKindNames: readonly string[] = [
  '',
  'internal',
  'server',
  'client',
  'producer',
  'consumer',
];

export const statusError = 2;

/** A parsed JSON value that is an object, or undefined. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** A scalar value as text, the way a search compares it; undefined for lists and bytes. */
export function valueText(value: AnyValue): string | undefined {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return value.intValue;
  if (value.boolValue !== undefined) return String(value.boolValue);
  if (value.doubleValue !== undefined) return String(value.doubleValue);
  return undefined;
}

/** The text of the attribute with this key, or undefined. */
export function attributeText(
  attributes: readonly KeyValue[] | undefined,
  key: string,
): string | undefined {
  const found = attributes?.find((each) => each.key === key);
  return found === undefined ? undefined : valueText(found.value);
}
