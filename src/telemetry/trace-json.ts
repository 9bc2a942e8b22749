/**
 * OTLP/JSON of spans, written from fixed pieces as soon as a record is read: what the exporter's own
 * serializer makes, the same document, at a third of its cost and without objects that live as long
 * as a span waits (issue 5; test/telemetry/trace-json.test.ts compares the two).
 *
 * The exporter keeps everything else: transport, retries, answers. The spans of a worker share resource
 * and scope; events, links and trace state are empty, because no span of ours has any.
 * Mapping: opentelemetry-proto trace/v1 in its JSON encoding (ids in hex, times as strings).
 */

import type { SpanContext } from '@opentelemetry/api';
import { type ExchangeRecord, RecordFlag } from './exchange-record.ts';
import { JsonBytes } from './json-bytes.ts';
import {
  durationUsOf,
  type SpanSurroundings,
  spanKindOf,
  spanNameOf,
  startUsOf,
  traceFlagsOf,
} from './record-span.ts';
import { type AttributeSink, putSpanAttributes } from './span-attributes.ts';
import { spanOutcome } from './span-outcome.ts';

/** Bits of a span's flags beside the W3C ones: it is known whether the parent is remote, and it is. */
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

/** Values of one attribute that are kept as bytes: names mostly, so they are few and short. */
const VALUES_KEPT_MAX = 256;
const KEPT_LENGTH_MAX = 256;

/** How the pairs of one key begin, and whole pairs of it with a string that came before. */
interface KeyPieces {
  readonly text: Uint8Array;
  readonly whole: Uint8Array;
  readonly others: Uint8Array;
  readonly pairs: Map<string, Uint8Array>;
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
  flags: bytesOf('},"links":[],"droppedLinksCount":0,"flags":'),
  spanEnd: bytesOf('},'),
  pairEnd: bytesOf('}},'),
};

/** One span of a batch: JSON with a comma behind it, in memory that it shares with others. */
export class EncodedSpan {
  readonly memory: Buffer;
  readonly start: number;
  readonly end: number;

  constructor(memory: Buffer, start: number, end: number) {
    this.memory = memory;
    this.start = start;
    this.end = end;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** The SDK's processor asks whether it is sampled, and whether its resource is known yet. */
  spanContext(): SpanContext {
    return sampledContext;
  }

  get resource(): object {
    return knownResource;
  }
}

const knownResource = {};
const sampledContext: SpanContext = { traceId: '', spanId: '', traceFlags: 1 };

export class TraceJson implements AttributeSink {
  readonly #around: SpanSurroundings;
  readonly #out = new JsonBytes();
  readonly #keys = new Map<string, KeyPieces>();
  readonly #before: Uint8Array;
  readonly #after: Uint8Array;
  #attributes = 0;

  constructor(around: SpanSurroundings) {
    this.#around = around;
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

  /** The span of `record`, which the caller may use again. */
  encode(record: ExchangeRecord): EncodedSpan {
    const out = this.#out;
    out.begin();
    this.#putSpan(record);
    return new EncodedSpan(out.memory, out.start, out.end);
  }

  /** An ExportTraceServiceRequest with these spans (at least one). */
  serialize(spans: readonly EncodedSpan[]): Uint8Array {
    let bytes = this.#before.length + this.#after.length;
    for (let index = 0; index < spans.length; index++) bytes += spans[index]!.length;
    const document = Buffer.allocUnsafeSlow(bytes);
    document.set(this.#before, 0);
    let at = this.#before.length;
    for (let index = 0; index < spans.length; ) {
      const { memory, start } = spans[index]!;
      let { end } = spans[index]!;
      // Spans that were read together lie together: one copy for all of them.
      for (index++; spans[index]?.memory === memory && spans[index]!.start === end; index++) {
        end = spans[index]!.end;
      }
      at += memory.copy(document, at, start, end);
    }
    // The last comma goes.
    document.set(this.#after, at - 1);
    return document.subarray(0, bytes - 1);
  }

  /** One attribute of the span under way. */
  put(key: string, value: string | number | boolean | readonly string[]): void {
    if (this.#attributes++ >= this.#around.attributesMax) return;
    const out = this.#out;
    const pieces = this.#keys.get(key) ?? this.#addKey(key);
    if (typeof value === 'string') {
      this.#putText(pieces, value);
      return;
    }
    if (typeof value === 'number') {
      out.putBytes(pieces.whole);
      out.putWhole(value);
    } else {
      out.putBytes(pieces.others);
      out.putBytes(bytesOf(JSON.stringify(anyValue(value)).slice(1, -1)));
    }
    out.putBytes(piece.pairEnd);
  }

  #putSpan(record: ExchangeRecord): void {
    const out = this.#out;
    out.putBytes(piece.traceId);
    out.putHex(record.traceId0);
    out.putHex(record.traceId1);
    out.putHex(record.traceId2);
    out.putHex(record.traceId3);
    out.putBytes(piece.spanId);
    out.putHex(record.spanId0);
    out.putHex(record.spanId1);
    const hasParent = (record.flags & RecordFlag.HasParent) !== 0;
    if (hasParent) {
      out.putBytes(piece.parentSpanId);
      out.putHex(record.parentId0);
      out.putHex(record.parentId1);
    }
    out.putBytes(piece.name);
    out.putQuoted(spanNameOf(record, this.#around));
    out.putBytes(piece.kind);
    out.putWhole(spanKindOf(record) + 1);
    out.putBytes(piece.start);
    const startUs = startUsOf(record, this.#around);
    out.putNanosecondsOf(startUs);
    out.putBytes(piece.end);
    out.putNanosecondsOf(startUs + durationUsOf(record));
    out.putBytes(piece.attributes);
    this.#putAttributes(record);
    out.putBytes(piece.flags);
    out.putWhole(traceFlagsOf(record) | HAS_IS_REMOTE | (hasParent ? IS_REMOTE : 0));
    out.putBytes(piece.spanEnd);
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

  #putText(pieces: KeyPieces, value: string): void {
    const out = this.#out;
    const known = pieces.pairs.get(value);
    if (known !== undefined) {
      out.putBytes(known);
      return;
    }
    const { attributeLengthMax } = this.#around;
    const text = value.length > attributeLengthMax ? value.slice(0, attributeLengthMax) : value;
    if (pieces.pairs.size < VALUES_KEPT_MAX && value.length <= KEPT_LENGTH_MAX) {
      const pair = Buffer.concat([pieces.text, bytesOf(JSON.stringify(text)), piece.pairEnd]);
      pieces.pairs.set(value, pair);
      out.putBytes(pair);
      return;
    }
    out.putBytes(pieces.text);
    out.putQuoted(text);
    out.putBytes(piece.pairEnd);
  }

  #addKey(key: string): KeyPieces {
    const start = `{"key":${JSON.stringify(key)},"value":{`;
    const pieces: KeyPieces = {
      text: bytesOf(`${start}"stringValue":`),
      whole: bytesOf(`${start}"intValue":`),
      others: bytesOf(start),
      pairs: new Map(),
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
