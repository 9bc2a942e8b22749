/**
 * The protobuf of all spans that differ in their slots only, as span-shape.ts has it for JSON: one copy
 * and a few bytes make a span of it.
 *
 * Numbers are varints of one width and identifiers have one anyway, so only texts move what is behind
 * them. They also change lengths in front of them: of the text, its value, its attribute and the span.
 *
 *   piece 0 [ length .. ids .. times .. 4a length "url.full" length length "http://host" ]  target
 *   piece 1 [ 4a .. "tracecar.time.ttfb_us" .. 312 .. ]
 */

import type { ExchangeRecord } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import { LENGTH_BYTES, type TextPlace } from './proto-attributes.ts';
import { type ProtoBytes, writeNanoseconds, writePadded, writeWord } from './proto-bytes.ts';
import type { SpanPlaces } from './span-places.ts';
import { copyText, numberOf } from './span-shape.ts';
import { isTextSlot, Slot } from './span-slots.ts';

/** Bytes of the length of a span. */
export const SPAN_LENGTH_BYTES = 3;

/** Bytes of a number's slot; 0 when it is none, or does not hold `value`. */
export function slotBytes(kind: number, value: number): number {
  if (value < 0) return 0;
  if (kind === Slot.PeerPort) return value < 2 ** 21 ? 3 : 0;
  if (kind >= Slot.QueueUs && kind <= Slot.ProxyUs) return value < 2 ** 28 ? 4 : 0;
  const isCount = kind === Slot.ConnectionId || kind === Slot.ConnectionRequests;
  return isCount && value < 2 ** 32 ? 5 : 0;
}

/** The slots of one span, in the order of their bytes; of a text also where its lengths are. */
export class ProtoMarks {
  readonly kinds: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly texts: (TextPlace | undefined)[] = [];

  reset(): void {
    this.kinds.length = 0;
    this.starts.length = 0;
    this.ends.length = 0;
    this.texts.length = 0;
  }

  add(kind: number, start: number, end: number, text?: TextPlace): void {
    this.kinds.push(kind);
    this.starts.push(start);
    this.ends.push(end);
    this.texts.push(text);
  }
}

/** A length that texts are part of. */
interface LengthSlot {
  readonly place: number;
  readonly width: number;
  /** Without the texts. */
  readonly base: number;
  /** Which texts: the first and the last of them, by number. */
  readonly from: number;
  readonly to: number;
}

export class ProtoShape {
  readonly #pieces: readonly Uint8Array[];
  /** Of each text: path, query or both. */
  readonly #texts: readonly number[];
  readonly #kinds: Uint8Array;
  /** Of each slot and length: its place among the bytes of all pieces, and the pieces before it. */
  readonly #places: Int32Array;
  readonly #before: Uint8Array;
  readonly #lengths: readonly LengthSlot[];
  readonly #bytes: number;

  /** Of the span that was written to `bytes` from its length on, with the marks of its slots. */
  constructor(bytes: Uint8Array, marks: ProtoMarks, start: number, end: number) {
    const pieces: Uint8Array[] = [];
    const texts: number[] = [];
    const kinds: number[] = [];
    const places: number[] = [];
    const before: number[] = [];
    const lengths: LengthSlot[] = [];
    let from = start;
    let cut = 0;
    for (const [index, kind] of marks.kinds.entries()) {
      const slotStart = marks.starts[index]!;
      const slotEnd = marks.ends[index]!;
      if (!isTextSlot(kind)) {
        kinds.push(kind);
        places.push(slotStart - start - cut);
        before.push(texts.length);
        continue;
      }
      pieces.push(bytes.slice(from, slotStart));
      const place = marks.texts[index]!;
      for (const at of [place.text, place.value, place.pair]) {
        lengths.push({
          place: at - start - cut,
          width: LENGTH_BYTES,
          base: readPadded(bytes, at, LENGTH_BYTES) - (slotEnd - slotStart),
          from: texts.length,
          to: texts.length,
        });
      }
      texts.push(kind);
      cut += slotEnd - slotStart;
      from = slotEnd;
    }
    pieces.push(bytes.slice(from, end));
    const base = readPadded(bytes, start, SPAN_LENGTH_BYTES) - cut;
    lengths.push({ place: 0, width: SPAN_LENGTH_BYTES, base, from: 0, to: texts.length - 1 });
    this.#pieces = pieces;
    this.#texts = texts;
    this.#kinds = Uint8Array.from(kinds);
    this.#places = Int32Array.from(places);
    this.#before = Uint8Array.from(before);
    this.#lengths = lengths;
    this.#bytes = end - start - cut;
  }

  /** Appends the span of `record` to `out`, its length first. */
  put(out: ProtoBytes, record: ExchangeRecord, text: RecordText, places: SpanPlaces): void {
    // A path and a query are no longer than the target that they are of.
    const start = out.room(this.#bytes + text.authority - text.target);
    const { memory } = out;
    const pieces = this.#pieces;
    let at = start;
    let first = 0;
    let second = 0;
    for (let index = 0; index < pieces.length; index++) {
      if (index > 0) {
        const textStart = at;
        at = copyText(memory, at, this.#texts[index - 1]!, text, places.mark);
        if (index === 1) first = at - textStart;
        else second = at - textStart;
      }
      memory.set(pieces[index]!, at);
      at += pieces[index]!.length;
    }
    out.end = at;
    this.#fillLengths(memory, start, first, second);
    this.#fillSlots(memory, start, record, places, first, second);
  }

  #fillLengths(memory: Uint8Array, start: number, first: number, second: number): void {
    for (const { place, width, base, from, to } of this.#lengths) {
      const own = (from === 0 && to >= 0 ? first : 0) + (to === 1 ? second : 0);
      const shift = from === 1 ? first : 0;
      writePadded(memory, start + place + shift, base + own, width);
    }
  }

  #fillSlots(
    memory: Uint8Array,
    start: number,
    record: ExchangeRecord,
    places: SpanPlaces,
    first: number,
    second: number,
  ): void {
    const kinds = this.#kinds;
    for (let index = 0; index < kinds.length; index++) {
      const kind = kinds[index]!;
      const before = this.#before[index]!;
      const shift = before === 0 ? 0 : before === 1 ? first : first + second;
      const at = start + this.#places[index]! + shift;
      if (kind === Slot.TraceId) {
        writeWord(memory, at, record.traceId0);
        writeWord(memory, at + 4, record.traceId1);
        writeWord(memory, at + 8, record.traceId2);
        writeWord(memory, at + 12, record.traceId3);
      } else if (kind === Slot.SpanId) {
        writeWord(memory, at, record.spanId0);
        writeWord(memory, at + 4, record.spanId1);
      } else if (kind === Slot.ParentId) {
        writeWord(memory, at, record.parentId0);
        writeWord(memory, at + 4, record.parentId1);
      } else if (kind === Slot.Start) writeNanoseconds(memory, at, places.startUs);
      else if (kind === Slot.End) writeNanoseconds(memory, at, places.endUs);
      else {
        const value = numberOf(record, kind);
        writePadded(memory, at, value, slotBytes(kind, value));
      }
    }
  }
}

function readPadded(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let index = width - 1; index >= 0; index--) value = value * 128 + (bytes[at + index]! & 127);
  return value;
}
