/**
 * Which traces a search finds: those with one span that meets every condition at once, newest
 * arrival first, as Jaeger's memory store does it.
 *
 * Numbers and names are compared from the index of each span; its JSON is parsed only when
 * attributes are asked for and everything else fits.
 */

import type { DecodedSpan } from './otlp-decode.ts';
import {
  attributeText,
  type KeyValue,
  type OtlpSpan,
  spanKindNames,
  statusError,
} from './otlp-json.ts';
import type { SpanOrigin } from './span-origin.ts';
import type { TraceEntry, TraceStore } from './trace-store.ts';

export interface TraceQuery {
  /** Empty: any. */
  readonly service: string;
  readonly operation: string;
  /** Start of the span, in microseconds since the epoch, both ends included. */
  readonly startMinUs: number;
  readonly startMaxUs: number;
  readonly durationMinNs: number;
  readonly durationMaxNs: number;
  readonly attributes: ReadonlyMap<string, string>;
  /** At least 1. */
  readonly tracesMax: number;
}

/** The traces found, at most `tracesMax`. */
export function findTraces(store: TraceStore, query: TraceQuery): TraceEntry[] {
  const found: TraceEntry[] = [];
  for (const trace of store.newestFirst()) {
    if (found.length >= query.tracesMax) break;
    if (hasMatch(trace, query)) found.push(trace);
  }
  return found;
}

function hasMatch(trace: TraceEntry, query: TraceQuery): boolean {
  for (const [origin, spans] of trace.groups) {
    if (query.service !== '' && query.service !== origin.service) continue;
    if (spans.some((span) => spanMatches(span, origin, query))) return true;
  }
  return false;
}

function spanMatches(span: DecodedSpan, origin: SpanOrigin, query: TraceQuery): boolean {
  if (query.operation !== '' && query.operation !== span.name) return false;
  if (span.startUs < query.startMinUs || span.startUs > query.startMaxUs) return false;
  if (span.durationNs < query.durationMinNs || span.durationNs > query.durationMaxNs) return false;
  return query.attributes.size === 0 || attributesMatch(span, origin, query.attributes);
}

function attributesMatch(
  span: DecodedSpan,
  origin: SpanOrigin,
  wanted: ReadonlyMap<string, string>,
): boolean {
  const { attributes, events, links } = JSON.parse(span.json.toString()) as OtlpSpan;
  const { resource, scope } = origin.parts();
  for (const [key, value] of wanted) {
    const special = specialValue(key, span, scope);
    if (special !== undefined) {
      if (special !== value.toLowerCase()) return false;
    } else if (key.startsWith('resource.') && has(resource, key.slice(9), value)) {
      // Found: `resource.` names where to look.
    } else if (
      !has(attributes, key, value) &&
      !has(scope.attributes, key, value) &&
      !has(resource, key, value) &&
      !events?.some((event) => has(event.attributes, key, value)) &&
      !links?.some((link) => has(link.attributes, key, value))
    ) {
      return false;
    }
  }
  return true;
}

function has(attributes: readonly KeyValue[] | undefined, key: string, value: string): boolean {
  return attributeText(attributes, key) === value;
}

const statusNames: readonly string[] = ['unset', 'ok', 'error'];

/** Words that Jaeger reads as properties of the span, not as attributes. */
function specialValue(
  key: string,
  span: DecodedSpan,
  scope: { readonly name?: string | undefined; readonly version?: string | undefined },
): string | undefined {
  switch (key) {
    case 'error':
      return String(span.statusCode === statusError);
    case 'span.status':
      return statusNames[span.statusCode]!;
    case 'span.kind':
      return spanKindNames[span.kind] || 'unspecified';
    case 'scope.name':
      return (scope.name ?? '').toLowerCase();
    case 'scope.version':
      return (scope.version ?? '').toLowerCase();
    default:
      return undefined;
  }
}
