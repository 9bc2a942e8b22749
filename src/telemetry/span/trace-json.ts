/**
 * OTLP/JSON of spans, written as bytes as soon as a record is read: what the exporter's own serializer
 * makes, the same document, without objects or strings that live as long as a span waits (issue 5;
 * test/telemetry/trace-forms.test.ts compares the two).
 *
 * A span is written attribute by attribute, or as one copy of a shape that came before (span-shape.ts):
 * with the sending 9 us and 2.6 us a span (bench/micro/export.ts, 25 000/s, 2026-11-26). The spans of
 * a worker share resource and scope; events are empty, as none of ours has any.
 * Mapping: opentelemetry-proto trace/v1 in its JSON encoding (ids in hex, times as strings).
 */

import { type ExchangeRecord, RecordFlag } from '../record/exchange-record.ts';
import { readExtra } from '../record/record-extra.ts';
import type { RecordText } from '../record/record-text.ts';
import type { AttributeSink } from './attribute-parts.ts';
import type { JsonBytes } from './json-bytes.ts';
import { LINK_FLAGS, spanFlagsOf, spanKindOf, spanNameOf, traceStateOf } from './record-span.ts';
import { putSpanAttributes } from './span-attributes.ts';
import { SpanCopies } from './span-copies.ts';
import type { AnySpanValue, SpanKey, SpanValue } from './span-keys.ts';
import { spanOutcome } from './span-outcome.ts';
import { SpanShape } from './span-shape.ts';
import { isTextSlot, Slot, SlotMarks, slotOfAttribute } from './span-slots.ts';
import type { SpanSurroundings } from './span-surroundings.ts';

/** How the pairs of one key begin, and the slot that its value is. */
interface KeyPieces {
  readonly slot: number;
  readonly text: Uint8Array;
  readonly whole: Uint8Array;
  readonly others: Uint8Array;
}

const piece = {
  traceId: bytesOf('{"traceId":"'),
  spanId: bytesOf('","spanId":"'),
  parentSpanId: bytesOf('","parentSpanId":"'),
  name: bytesOf('","name":'),
  kind: bytesOf(',"kind":'),
  start: bytesOf(',"startTimeUnixNano":"'),
  end: bytesOf('","endTimeUnixNano":"'),
  attributes: bytesOf('","attributes":['),
  dropped: bytesOf('],"droppedAttributesCount":'),
  status: bytesOf(',"events":[],"droppedEventsCount":0,"status":{"code":'),
  links: bytesOf('},"links":['),
  flags: bytesOf('],"droppedLinksCount":0,"flags":'),
  traceState: bytesOf('","traceState":'),
  nameAfterState: bytesOf(',"name":'),
  spanEnd: bytesOf('},'),
  pairEnd: bytesOf('}},'),
};

export class TraceJson implements AttributeSink {
  readonly #around: SpanSurroundings;
  readonly #keys = new Map<string, KeyPieces>();
  readonly #before: Uint8Array;
  readonly #after: Uint8Array;
  readonly #copies: SpanCopies<JsonBytes>;
  readonly #marks = new SlotMarks();
  #out: JsonBytes;
  /** Of the span under way. */
  #attributes = 0;

  /** `out`: where to write to until `begin` names another one. */
  constructor(around: SpanSurroundings, out: JsonBytes) {
    this.#around = around;
    this.#out = out;
    this.#copies = new SpanCopies(around);
    const { resource, scope } = around;
    const schema = (url: string | undefined) => (url ? `,"schemaUrl":${JSON.stringify(url)}` : '');
    const { name, version } = scope;
    const attributes = Object.entries(resource.attributes).map(([key, value]) => ({
      key,
      value: anyValue(value),
    }));
    this.#before = bytesOf(
      `{"resourceSpans":[{"resource":{"attributes":${JSON.stringify(attributes)},` +
        `"droppedAttributesCount":0${schema(resource.schemaUrl)}},"scopeSpans":[{"scope":` +
        `${JSON.stringify({ name, version })},"spans":[`,
    );
    this.#after = bytesOf(`]${schema(scope.schemaUrl)}}]${schema(resource.schemaUrl)}}]}`);
  }

  /** Starts an ExportTraceServiceRequest in `out`, which is written over. */
  begin(out: JsonBytes): void {
    out.reset();
    out.putBytes(this.#before);
  }

  /** Adds the span of `record` with `text` as its strings; its own may be set, and are not read. */
  add(out: JsonBytes, record: ExchangeRecord, text: RecordText): void {
    this.#out = out;
    const copies = this.#copies;
    if (copies.put(out, record, text)) return;
    const start = out.end;
    text.decode(record);
    this.#putSpan(record);
    if (copies.wantsShape) {
      copies.add(text, new SpanShape(out.memory, this.#marks, start, out.end));
    }
  }

  /** The whole request in `out`, which holds at least one span, in place; asked again, the same. */
  finish(out: JsonBytes): Uint8Array {
    const { end } = out;
    // The last comma goes.
    out.unput();
    out.putBytes(this.#after);
    const request = out.written();
    out.end = end;
    return request;
  }

  /** One attribute of the span under way. */
  put<Key extends SpanKey>(key: Key, value: SpanValue<Key>): void {
    this.#putValue(key, value);
  }

  putOwn(key: string, value: string | readonly string[]): void {
    this.#putValue(key, value);
  }

  #putValue(key: string, value: AnySpanValue): void {
    if (this.#attributes++ >= this.#around.attributesMax) return;
    const out = this.#out;
    const pieces = this.#keys.get(key) ?? this.#addKey(key);
    if (typeof value === 'string') {
      const { attributeLengthMax } = this.#around;
      out.putBytes(pieces.text);
      out.putQuoted(value.length > attributeLengthMax ? value.slice(0, attributeLengthMax) : value);
      if (isTextSlot(pieces.slot)) this.#markText(pieces.slot, value.length);
    } else if (typeof value === 'number' && Number.isInteger(value)) {
      out.putBytes(pieces.whole);
      const start = out.end;
      out.putWhole(value);
      if (pieces.slot !== Slot.None) this.#marks.add(pieces.slot, start, out.end);
    } else {
      out.putBytes(pieces.others);
      out.putBytes(bytesOf(JSON.stringify(anyValue(value)).slice(1, -1)));
    }
    out.putBytes(piece.pairEnd);
  }

  #putSpan(record: ExchangeRecord): void {
    const out = this.#out;
    const marks = this.#marks;
    marks.reset();
    out.putBytes(piece.traceId);
    const traceId = out.end;
    out.putHex(record.traceId0);
    out.putHex(record.traceId1);
    out.putHex(record.traceId2);
    out.putHex(record.traceId3);
    marks.add(Slot.TraceId, traceId, out.end);
    out.putBytes(piece.spanId);
    this.#putSpanId(Slot.SpanId, record.spanId0, record.spanId1);
    const hasParent = (record.flags & RecordFlag.HasParent) !== 0;
    if (hasParent) {
      out.putBytes(piece.parentSpanId);
      this.#putSpanId(Slot.ParentId, record.parentId0, record.parentId1);
    }
    const state = traceStateOf(record, this.#around);
    if (state === undefined) out.putBytes(piece.name);
    else {
      out.putBytes(piece.traceState);
      out.putQuoted(state);
      out.putBytes(piece.nameAfterState);
    }
    out.putQuoted(spanNameOf(record, this.#around));
    out.putBytes(piece.kind);
    out.putWhole(spanKindOf(record) + 1);
    out.putBytes(piece.start);
    this.#putTime(Slot.Start, this.#copies.places.startUs);
    out.putBytes(piece.end);
    this.#putTime(Slot.End, this.#copies.places.endUs);
    out.putBytes(piece.attributes);
    this.#putAttributes(record);
    out.putBytes(piece.links);
    if (record.extra !== '') this.#putLinks(record);
    out.putBytes(piece.flags);
    out.putWhole(spanFlagsOf(record));
    out.putBytes(piece.spanEnd);
  }

  #putLinks(record: ExchangeRecord): void {
    const links = readExtra(record.extra).links.map((link) => ({
      attributes: [],
      ...link,
      droppedAttributesCount: 0,
      flags: LINK_FLAGS,
    }));
    this.#out.putBytes(bytesOf(JSON.stringify(links).slice(1, -1)));
  }

  #putAttributes(record: ExchangeRecord): void {
    const out = this.#out;
    const outcome = spanOutcome(record);
    this.#attributes = 0;
    putSpanAttributes(record, outcome, this.#around, this);
    if (this.#attributes > 0 && this.#around.attributesMax > 0) out.unput();
    out.putBytes(piece.dropped);
    out.putWhole(Math.max(0, this.#attributes - this.#around.attributesMax));
    out.putBytes(piece.status);
    out.putWhole(outcome.isError ? 2 : 0);
  }

  #putSpanId(slot: number, high: number, low: number): void {
    const out = this.#out;
    const start = out.end;
    out.putHex(high);
    out.putHex(low);
    this.#marks.add(slot, start, out.end);
  }

  #putTime(slot: number, us: number): void {
    const start = this.#out.end;
    this.#out.putNanosecondsOf(us);
    this.#marks.add(slot, start, this.#out.end);
  }

  /** The text that was put last, in its quotes: all of it, or of a URL the part that is the target. */
  #markText(slot: number, length: number): void {
    const end = this.#out.end - 1;
    this.#marks.add(
      slot,
      end - (slot === Slot.Target ? this.#copies.places.targetBytes : length),
      end,
    );
  }

  #addKey(key: string): KeyPieces {
    const start = `{"key":${JSON.stringify(key)},"value":{`;
    const pieces: KeyPieces = {
      slot: slotOfAttribute.get(key) ?? Slot.None,
      text: bytesOf(`${start}"stringValue":`),
      whole: bytesOf(`${start}"intValue":`),
      others: bytesOf(start),
    };
    this.#keys.set(key, pieces);
    return pieces;
  }
}

/** An AnyValue of the protocol. */
function anyValue(value: unknown): object {
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value !== 'number') return { stringValue: value };
  return Number.isInteger(value) ? { intValue: value } : { doubleValue: value };
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}
