/**
 * A parsed OTLP request to spans that can be stored: checked, cut to the limits and in our order of
 * fields. It trusts nothing of its input and throws nothing.
 *
 * A request that is no OTLP at all is malformed as a whole; a span that cannot be one (bad ids, bad
 * times) is refused alone and counted, as OTLP's partial success wants it. Unknown fields are left
 * out, which OTLP asks of receivers. Source: opentelemetry-proto 1.9, docs/specification.md.
 */

import type { ViewerLimits } from '../model/viewer-limits.ts';
import { AttributeReader } from './attribute-reader.ts';
import {
  asObject,
  attributeText,
  type OtlpEvent,
  type OtlpLink,
  type OtlpResource,
  type OtlpScope,
  type OtlpSpan,
  type OtlpStatus,
} from './otlp-json.ts';
import type { OriginParts } from './span-origin.ts';

/** A span ready to be stored. Times in microseconds since the epoch keep a quarter of one. */
export interface DecodedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly statusCode: number;
  readonly startUs: number;
  readonly durationNs: number;
  /** The whole span, as it is written. */
  readonly span: OtlpSpan;
}

export interface DecodedGroup {
  readonly origin: OriginParts;
  readonly spans: readonly DecodedSpan[];
}

export type Decoded =
  | { readonly kind: 'malformed'; readonly message: string }
  | {
      readonly kind: 'spans';
      readonly groups: readonly DecodedGroup[];
      readonly rejected: number;
      /** Why the first one was refused; empty when none was. */
      readonly reason: string;
    };

/** Reads the body of an export request, already parsed from JSON. */
export function decodeTraces(body: unknown, limits: ViewerLimits): Decoded {
  const resourceSpans = listField(asObject(body), 'resourceSpans', 'resource_spans');
  if (resourceSpans === undefined) {
    return { kind: 'malformed', message: 'the body is not an object with a list "resourceSpans"' };
  }
  const decoder = new Decoder(limits);
  for (const each of resourceSpans) {
    if (!decoder.readResourceSpans(each)) {
      return { kind: 'malformed', message: 'an entry of "resourceSpans" is not as OTLP has it' };
    }
  }
  const { groups, rejected, reason } = decoder;
  return { kind: 'spans', groups, rejected, reason };
}

/** The list, an empty one when the field is absent, undefined when it is something else. */
function listField(
  object: Sent | undefined,
  name: string,
  otherName: string,
): readonly unknown[] | undefined {
  if (object === undefined) return undefined;
  const value = object[name] ?? object[otherName] ?? [];
  return Array.isArray(value) ? value : undefined;
}

const traceIdText = /^[0-9a-fA-F]{32}$/;
const spanIdText = /^[0-9a-fA-F]{16}$/;
const onlyZeros = /^0*$/;
const timeText = /^\d{1,20}$/;
const timeMax = 2n ** 64n - 1n;
const uint32Max = 0xffff_ffff;

const kindNumbers: ReadonlyMap<string, number> = new Map([
  ['SPAN_KIND_INTERNAL', 1],
  ['SPAN_KIND_SERVER', 2],
  ['SPAN_KIND_CLIENT', 3],
  ['SPAN_KIND_PRODUCER', 4],
  ['SPAN_KIND_CONSUMER', 5],
]);
const statusNumbers: ReadonlyMap<string, number> = new Map([
  ['STATUS_CODE_OK', 1],
  ['STATUS_CODE_ERROR', 2],
]);

type Sent = Readonly<Record<string, unknown>>;

interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly start: string;
  readonly end: string;
}

const noList = { kept: undefined, dropped: 0 };

class Decoder {
  readonly groups: DecodedGroup[] = [];
  rejected = 0;
  reason = '';
  readonly #limits: ViewerLimits;
  readonly #attributes: AttributeReader;

  constructor(limits: ViewerLimits) {
    this.#limits = limits;
    this.#attributes = new AttributeReader(limits);
  }

  readResourceSpans(sent: unknown): boolean {
    const entry = asObject(sent);
    const scopeSpans = listField(entry, 'scopeSpans', 'scope_spans');
    if (entry === undefined || scopeSpans === undefined) return false;
    const resource = this.#resource(asObject(entry.resource));
    const service = attributeText(resource.attributes, 'service.name') ?? '';
    const resourceJson = JSON.stringify(resource);
    const resourceSchemaUrl = shortText(entry.schemaUrl);
    for (const each of scopeSpans) {
      const group = asObject(each);
      const spans = listField(group, 'spans', 'spans');
      if (group === undefined || spans === undefined) return false;
      this.groups.push({
        origin: {
          service,
          resourceJson,
          resourceSchemaUrl,
          scopeJson: JSON.stringify(this.#scope(asObject(group.scope))),
          scopeSchemaUrl: shortText(group.schemaUrl),
        },
        spans: this.#spans(spans),
      });
    }
    return true;
  }

  #spans(list: readonly unknown[]): DecodedSpan[] {
    const kept: DecodedSpan[] = [];
    for (const each of list) {
      const span = this.#span(asObject(each));
      if (typeof span !== 'string') {
        kept.push(span);
      } else {
        this.rejected++;
        if (this.reason === '') this.reason = span;
      }
    }
    return kept;
  }

  #resource(sent: Sent | undefined): OtlpResource {
    this.#attributes.begin();
    return {
      attributes: this.#attributes.read(sent?.attributes),
      droppedAttributesCount: this.#droppedAttributes(sent),
    };
  }

  #scope(sent: Sent | undefined): OtlpScope {
    this.#attributes.begin();
    return {
      name: this.#text(sent?.name),
      version: this.#text(sent?.version),
      attributes: this.#attributes.read(sent?.attributes),
      droppedAttributesCount: this.#droppedAttributes(sent),
    };
  }

  /** The span, or the sentence why it is none. */
  #span(sent: Sent | undefined): DecodedSpan | string {
    if (sent === undefined) return 'a span is not an object';
    const traceId = readId(sent.traceId ?? sent.trace_id, traceIdText);
    if (traceId === undefined) return 'traceId is not 32 hex digits that are not all 0';
    const spanId = readId(sent.spanId ?? sent.span_id, spanIdText);
    if (spanId === undefined) return 'spanId is not 16 hex digits that are not all 0';
    const parentSpanId = readParentId(sent.parentSpanId ?? sent.parent_span_id);
    if (parentSpanId === undefined) return 'parentSpanId is neither empty nor 16 hex digits';
    const start = readTime(sent.startTimeUnixNano ?? sent.start_time_unix_nano);
    const end = readTime(sent.endTimeUnixNano ?? sent.end_time_unix_nano);
    if (start === undefined || end === undefined) {
      return 'startTimeUnixNano or endTimeUnixNano is not a whole number of nanoseconds';
    }
    this.#attributes.begin();
    const ids: SpanIds = { traceId, spanId, parentSpanId, start, end };
    const span = this.#otlpSpan(sent, ids);
    return {
      traceId,
      spanId,
      parentSpanId,
      name: span.name ?? '',
      kind: span.kind ?? 0,
      statusCode: span.status.code ?? 0,
      startUs: Number(start) / 1000,
      durationNs: end === '0' ? 0 : Math.max(0, Number(BigInt(end) - BigInt(start))),
      span,
    };
  }

  #otlpSpan(sent: Sent, ids: SpanIds): OtlpSpan {
    const name = this.#text(sent.name);
    const status = this.#status(asObject(sent.status));
    const attributes = this.#attributes.read(sent.attributes);
    const droppedAttributesCount = this.#droppedAttributes(sent);
    const events = this.#list(sent.events, this.#limits.eventsPerSpanMax, this.#event);
    const links = this.#list(sent.links, this.#limits.linksPerSpanMax, this.#link);
    return {
      traceId: ids.traceId,
      spanId: ids.spanId,
      traceState: shortText(sent.traceState ?? sent.trace_state) || undefined,
      parentSpanId: ids.parentSpanId || undefined,
      flags: readCount(sent.flags) || undefined,
      name,
      kind: readEnum(sent.kind, kindNumbers, 5) || undefined,
      startTimeUnixNano: ids.start === '0' ? undefined : ids.start,
      endTimeUnixNano: ids.end === '0' ? undefined : ids.end,
      attributes,
      droppedAttributesCount,
      events: events.kept,
      droppedEventsCount: sum(events.dropped, sent.droppedEventsCount),
      links: links.kept,
      droppedLinksCount: sum(links.dropped, sent.droppedLinksCount),
      status,
    };
  }

  #text(sent: unknown): string | undefined {
    return this.#attributes.text(sent) || undefined;
  }

  /** After `read`: what it left out and what the sender says it left out itself. */
  #droppedAttributes(sent: Sent | undefined): number | undefined {
    return sum(this.#attributes.dropped, sent?.droppedAttributesCount);
  }

  #status(sent: Sent | undefined): OtlpStatus {
    if (sent === undefined) return {};
    return {
      message: this.#text(sent.message),
      code: readEnum(sent.code, statusNumbers, 2) || undefined,
    };
  }

  #list<T>(
    sent: unknown,
    countMax: number,
    read: (this: Decoder, each: Sent) => T | undefined,
  ): { readonly kept: readonly T[] | undefined; readonly dropped: number } {
    if (!Array.isArray(sent) || sent.length === 0) return noList;
    const kept: T[] = [];
    for (const each of sent) {
      if (kept.length >= countMax || this.#attributes.isFull) break;
      const object = asObject(each);
      const item = object === undefined ? undefined : read.call(this, object);
      if (item !== undefined) kept.push(item);
    }
    return { kept: kept.length === 0 ? undefined : kept, dropped: sent.length - kept.length };
  }

  #event(sent: Sent): OtlpEvent | undefined {
    const time = readTime(sent.timeUnixNano ?? sent.time_unix_nano);
    if (time === undefined) return undefined;
    return {
      timeUnixNano: time === '0' ? undefined : time,
      name: this.#text(sent.name),
      attributes: this.#attributes.read(sent.attributes),
      droppedAttributesCount: this.#droppedAttributes(sent),
    };
  }

  #link(sent: Sent): OtlpLink | undefined {
    const traceId = readId(sent.traceId ?? sent.trace_id, traceIdText);
    const spanId = readId(sent.spanId ?? sent.span_id, spanIdText);
    if (traceId === undefined || spanId === undefined) return undefined;
    return {
      traceId,
      spanId,
      traceState: shortText(sent.traceState ?? sent.trace_state) || undefined,
      attributes: this.#attributes.read(sent.attributes),
      droppedAttributesCount: this.#droppedAttributes(sent),
      flags: readCount(sent.flags) || undefined,
    };
  }
}

/** What is dropped here and what was dropped before; undefined for none. */
function sum(dropped: number, sent: unknown): number | undefined {
  return Math.min(dropped + readCount(sent), uint32Max) || undefined;
}

/** Lower-case hex, or undefined when it is malformed or all zeros. */
function readId(sent: unknown, pattern: RegExp): string | undefined {
  if (typeof sent !== 'string' || !pattern.test(sent) || onlyZeros.test(sent)) return undefined;
  return sent.toLowerCase();
}

/** Empty for a root: absent, empty or all zeros. */
function readParentId(sent: unknown): string | undefined {
  if (sent === undefined || sent === null) return '';
  if (typeof sent !== 'string') return undefined;
  return onlyZeros.test(sent) ? '' : readId(sent, spanIdText);
}

/** Nanoseconds as decimal digits without leading zeros; '0' when absent. */
function readTime(sent: unknown): string | undefined {
  if (typeof sent === 'string' && timeText.test(sent)) {
    if (sent.length < 20 && sent.charCodeAt(0) !== 0x30) return sent;
    const time = BigInt(sent);
    return time > timeMax ? undefined : String(time);
  }
  if (sent === undefined || sent === null) return '0';
  // Above 2^53 a JSON number has lost digits already; what is left is still the best there is.
  if (typeof sent === 'number' && Number.isInteger(sent) && sent >= 0 && sent < 2 ** 64) {
    return String(BigInt(sent));
  }
  return undefined;
}

function readEnum(sent: unknown, names: ReadonlyMap<string, number>, max: number): number {
  if (typeof sent === 'string') return names.get(sent) ?? 0;
  return typeof sent === 'number' && Number.isInteger(sent) && sent >= 0 && sent <= max ? sent : 0;
}

function readCount(sent: unknown): number {
  return typeof sent === 'number' && Number.isInteger(sent) && sent > 0 && sent <= uint32Max
    ? sent
    : 0;
}

/** A schema address or a trace state: at most 512 characters, or nothing. */
function shortText(sent: unknown): string {
  return typeof sent === 'string' && sent.length <= 512 ? sent : '';
}
