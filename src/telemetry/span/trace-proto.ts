/**
 * OTLP in protobuf of spans, written as bytes as soon as a record is read: the same spans as
 * trace-json.ts, which says why, in half the bytes (test/telemetry/trace-forms.test.ts compares both
 * with what the SDK makes).
 *
 *   0a length ┌ 0a resource                  lengths of five bytes, filled in at the end
 *             │ 12 length ┌ 0a scope
 *             │           │ 12 span          as many as there are, each behind its length of three bytes
 *             │           └ 1a schema
 *             └ 1a schema
 *
 * Mapping: opentelemetry-proto trace/v1; fields in the order of their numbers.
 */

import { type ExchangeRecord, RecordFlag } from '../record/exchange-record.ts';
import { readExtra } from '../record/record-extra.ts';
import type { RecordText } from '../record/record-text.ts';
import type { AttributeSink } from './attribute-parts.ts';
import {
  keyBytes,
  putAttribute,
  putTextAttribute,
  putWholeAttribute,
  skip,
  TextPlace,
} from './proto-attributes.ts';
import { ProtoBytes } from './proto-bytes.ts';
import { ProtoMarks, ProtoShape, SPAN_LENGTH_BYTES, slotBytes } from './proto-shape.ts';
import { LINK_FLAGS, spanFlagsOf, spanKindOf, spanNameOf, traceStateOf } from './record-span.ts';
import { putSpanAttributes } from './span-attributes.ts';
import { SpanCopies } from './span-copies.ts';
import type { AnySpanValue, SpanKey, SpanValue } from './span-keys.ts';
import { spanOutcome } from './span-outcome.ts';
import { isTextSlot, Slot, slotOfAttribute } from './span-slots.ts';
import type { SpanSurroundings } from './span-surroundings.ts';

const OUTER_LENGTH_BYTES = 5;
/** Lengths of texts that are nobody's input: a name, a schema. */
const TEXT_LENGTH_BYTES = 3;
const RESOURCE_SPANS = 0x0a;
const RESOURCE = 0x0a;
const SCOPE_SPANS = 0x12;
const SCOPE = 0x0a;
const SPAN = 0x12;
const SCHEMA = 0x1a;
const tag = {
  traceId: 0x0a,
  spanId: 0x12,
  traceState: 0x1a,
  parentSpanId: 0x22,
  name: 0x2a,
  kind: 0x30,
  start: 0x39,
  end: 0x41,
  attribute: 0x4a,
  droppedAttributes: 0x50,
  link: 0x6a,
} as const;
/** Tags of fixed32: field 16 of a span has two bytes, field 6 of a link one. */
const FLAGS_OF_SPAN = [0x85, 0x01] as const;
const FLAGS_OF_LINK = [0x35] as const;
/** Field 15: a status whose field 3 is 2. */
const errorStatus = Uint8Array.of(0x7a, 2, 0x18, 2);
const RESOURCE_ATTRIBUTE = 0x0a;
const SCOPE_NAME = 0x0a;
const SCOPE_VERSION = 0x12;

interface Key {
  readonly bytes: Uint8Array;
  readonly slot: number;
}

export class TraceProto implements AttributeSink {
  readonly #around: SpanSurroundings;
  readonly #keys = new Map<string, Key>();
  readonly #head: Uint8Array;
  readonly #scope: Uint8Array;
  readonly #scopeSchema: Uint8Array;
  readonly #resourceSchema: Uint8Array;
  readonly #copies: SpanCopies<ProtoBytes>;
  readonly #marks = new ProtoMarks();
  #out: ProtoBytes;
  /** Of the span under way. */
  #attributes = 0;

  /** `out`: where to write to until `begin` names another one. */
  constructor(around: SpanSurroundings, out: ProtoBytes) {
    this.#around = around;
    this.#out = out;
    this.#copies = new SpanCopies(around);
    const { resource, scope } = around;
    this.#head = message(RESOURCE, (into) => {
      for (const [key, value] of Object.entries(resource.attributes)) {
        putAttribute(into, RESOURCE_ATTRIBUTE, keyBytes(key), value as AnySpanValue);
      }
    });
    this.#scope = message(SCOPE, (into) => {
      putText(into, SCOPE_NAME, scope.name);
      putText(into, SCOPE_VERSION, scope.version ?? '');
    });
    this.#scopeSchema = schema(scope.schemaUrl);
    this.#resourceSchema = schema(resource.schemaUrl);
  }

  /** Starts an ExportTraceServiceRequest in `out`, which is written over. */
  begin(out: ProtoBytes): void {
    out.reset();
    out.putByte(RESOURCE_SPANS);
    skip(out, OUTER_LENGTH_BYTES);
    out.putBytes(this.#head);
    out.putByte(SCOPE_SPANS);
    skip(out, OUTER_LENGTH_BYTES);
    out.putBytes(this.#scope);
  }

  /** Adds the span of `record` with `text` as its strings; its own may be set, and are not read. */
  add(out: ProtoBytes, record: ExchangeRecord, text: RecordText): void {
    this.#out = out;
    out.putByte(SPAN);
    const copies = this.#copies;
    if (copies.put(out, record, text)) return;
    text.decode(record);
    const start = skip(out, SPAN_LENGTH_BYTES);
    this.#putSpan(record);
    out.closeLength(start, SPAN_LENGTH_BYTES);
    if (copies.wantsShape) {
      copies.add(text, new ProtoShape(out.memory, this.#marks, start, out.end));
    }
  }

  /** The whole request in `out`, in place; asked again, the same. */
  finish(out: ProtoBytes): Uint8Array {
    const { end } = out;
    const inner = 1 + OUTER_LENGTH_BYTES + this.#head.length + 1;
    out.putBytes(this.#scopeSchema);
    out.closeLength(inner, OUTER_LENGTH_BYTES);
    out.putBytes(this.#resourceSchema);
    out.closeLength(1, OUTER_LENGTH_BYTES);
    const request = out.written();
    out.end = end;
    return request;
  }

  put<Key extends SpanKey>(key: Key, value: SpanValue<Key>): void {
    this.#putValue(key, value);
  }

  putOwn(key: string, value: string | readonly string[]): void {
    this.#putValue(key, value);
  }

  #putValue(key: string, value: AnySpanValue): void {
    if (this.#attributes++ >= this.#around.attributesMax) return;
    const out = this.#out;
    const { bytes, slot } = this.#keys.get(key) ?? this.#addKey(key);
    const width = typeof value === 'number' ? slotBytes(slot, value) : 0;
    if (typeof value === 'string') this.#putTextValue(bytes, slot, value);
    else if (typeof value === 'number' && width !== 0) {
      putWholeAttribute(out, tag.attribute, bytes, value, width);
      this.#marks.add(slot, out.end - width, out.end);
    } else putAttribute(out, tag.attribute, bytes, value);
  }

  #putTextValue(key: Uint8Array, slot: number, value: string): void {
    const out = this.#out;
    const { attributeLengthMax } = this.#around;
    const text = value.length > attributeLengthMax ? value.slice(0, attributeLengthMax) : value;
    if (!isTextSlot(slot)) {
      putTextAttribute(out, tag.attribute, key, text);
      return;
    }
    const place = new TextPlace();
    putTextAttribute(out, tag.attribute, key, text, place);
    const { targetBytes } = this.#copies.places;
    const length = slot === Slot.Target ? targetBytes : text.length;
    this.#marks.add(slot, out.end - length, out.end, place);
  }

  #putSpan(record: ExchangeRecord): void {
    const out = this.#out;
    this.#marks.reset();
    this.#putIds(record);
    out.putByte(tag.name);
    out.putText(spanNameOf(record, this.#around), TEXT_LENGTH_BYTES);
    out.putByte(tag.kind);
    out.putByte(spanKindOf(record) + 1);
    const { startUs, endUs } = this.#copies.places;
    this.#putTime(tag.start, Slot.Start, startUs);
    this.#putTime(tag.end, Slot.End, endUs);
    const outcome = spanOutcome(record);
    this.#attributes = 0;
    putSpanAttributes(record, outcome, this.#around, this);
    const dropped = this.#attributes - this.#around.attributesMax;
    if (dropped > 0) {
      out.putByte(tag.droppedAttributes);
      out.putVarint(dropped);
    }
    if (record.extra !== '') putLinks(out, record.extra);
    if (outcome.isError) out.putBytes(errorStatus);
    putFlags(out, FLAGS_OF_SPAN, spanFlagsOf(record));
  }

  #putIds(record: ExchangeRecord): void {
    const out = this.#out;
    out.putByte(tag.traceId);
    out.putByte(16);
    out.putWord(record.traceId0);
    out.putWord(record.traceId1);
    out.putWord(record.traceId2);
    out.putWord(record.traceId3);
    this.#marks.add(Slot.TraceId, out.end - 16, out.end);
    this.#putSpanId(tag.spanId, Slot.SpanId, record.spanId0, record.spanId1);
    const state = traceStateOf(record, this.#around);
    if (state !== undefined) putText(out, tag.traceState, state);
    if ((record.flags & RecordFlag.HasParent) === 0) return;
    this.#putSpanId(tag.parentSpanId, Slot.ParentId, record.parentId0, record.parentId1);
  }

  #putSpanId(field: number, slot: number, high: number, low: number): void {
    const out = this.#out;
    out.putByte(field);
    out.putByte(8);
    out.putWord(high);
    out.putWord(low);
    this.#marks.add(slot, out.end - 8, out.end);
  }

  #putTime(field: number, slot: number, us: number): void {
    const out = this.#out;
    out.putByte(field);
    out.putNanosecondsOf(Math.max(0, us));
    this.#marks.add(slot, out.end - 8, out.end);
  }

  #addKey(name: string): Key {
    const key = { bytes: keyBytes(name), slot: slotOfAttribute.get(name) ?? Slot.None };
    this.#keys.set(name, key);
    return key;
  }
}

function putLinks(out: ProtoBytes, extra: string): void {
  for (const { traceId, spanId } of readExtra(extra).links) {
    out.putByte(tag.link);
    const at = skip(out, 1);
    out.putByte(tag.traceId);
    out.putByte(16);
    out.putBytes(Buffer.from(traceId, 'hex'));
    out.putByte(tag.spanId);
    out.putByte(8);
    out.putBytes(Buffer.from(spanId, 'hex'));
    putFlags(out, FLAGS_OF_LINK, LINK_FLAGS);
    out.closeLength(at, 1);
  }
}

/** A fixed32 of flags. */
function putFlags(out: ProtoBytes, field: readonly number[], flags: number): void {
  for (const byte of field) out.putByte(byte);
  for (let shift = 0; shift < 32; shift += 8) out.putByte(flags >>> shift);
}

function putText(out: ProtoBytes, field: number, text: string): void {
  out.putByte(field);
  out.putText(text, TEXT_LENGTH_BYTES);
}

function message(field: number, fill: (into: ProtoBytes) => void): Uint8Array {
  const into = new ProtoBytes();
  into.putByte(field);
  const at = skip(into, TEXT_LENGTH_BYTES);
  fill(into);
  into.closeLength(at, TEXT_LENGTH_BYTES);
  return Uint8Array.from(into.written());
}

function schema(url: string | undefined): Uint8Array {
  const into = new ProtoBytes();
  if (url) putText(into, SCHEMA, url);
  return Uint8Array.from(into.written());
}
