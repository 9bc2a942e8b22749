/**
 * The JSON of all spans that differ in their slots only: one copy and a few digits make a span of it.
 *
 * A shape is cut out of a span that was written attribute by attribute, so it says the same. Numbers
 * have slots of one width and blanks before their digits, which JSON allows: the whole is copied at
 * once and the digits laid over it.
 *
 *   piece 0 [ {"traceId":"......","spanId":"...", ... "http://host ]  target
 *   piece 1 [ "}},{"key":"tracecar.time.ttfb_us","value":{"intValue":    312}}, ... ]
 */

import type { ExchangeRecord } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import { type JsonBytes, writeDigits, writeHex, writeWholeBefore } from './json-bytes.ts';
import type { SpanPlaces } from './span-places.ts';
import { isTextSlot, Slot, type SlotMarks, slotDigits } from './span-slots.ts';

const BLANK = 0x20;
const US_A_SECOND = 1_000_000;

/** Bytes with slots of one width. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly kinds: Uint8Array;
  /** Where a slot begins; where it ends, if it is a number's. */
  readonly places: Int32Array;
  /** The text that comes before it. */
  readonly text: number;
}

export class SpanShape {
  readonly #pieces: readonly Piece[];
  readonly #bytes: number;

  /** Of the span that was written to `bytes`, with the marks of its slots. */
  constructor(bytes: Uint8Array, marks: SlotMarks, start: number, end: number) {
    const pieces: Piece[] = [];
    let from = start;
    let text: number = Slot.None;
    for (const [index, kind] of marks.kinds.entries()) {
      if (!isTextSlot(kind)) continue;
      pieces.push(cutPiece(bytes, marks, from, marks.starts[index]!, text));
      from = marks.ends[index]!;
      text = kind;
    }
    pieces.push(cutPiece(bytes, marks, from, end, text));
    this.#pieces = pieces;
    this.#bytes = pieces.reduce((sum, piece) => sum + piece.bytes.length, 0);
  }

  /** Appends the span of `record` to `out`. */
  put(out: JsonBytes, record: ExchangeRecord, text: RecordText, places: SpanPlaces): void {
    // A path and a query are no longer than the target that they are of.
    let at = out.room(this.#bytes + text.authority - text.target);
    const { memory } = out;
    const pieces = this.#pieces;
    for (let index = 0; index < pieces.length; index++) {
      const piece = pieces[index]!;
      if (index > 0) at = copyText(memory, at, piece.text, text, places.mark);
      memory.set(piece.bytes, at);
      fillSlots(memory, at, piece, record, places);
      at += piece.bytes.length;
    }
    out.end = at;
  }
}

function cutPiece(
  bytes: Uint8Array,
  marks: SlotMarks,
  start: number,
  end: number,
  text: number,
): Piece {
  const out: number[] = [];
  const kinds: number[] = [];
  const places: number[] = [];
  let from = start;
  for (const [index, kind] of marks.kinds.entries()) {
    const slotStart = marks.starts[index]!;
    const slotEnd = marks.ends[index]!;
    if (slotStart < start || slotEnd > end || isTextSlot(kind)) continue;
    out.push(...bytes.subarray(from, slotStart));
    kinds.push(kind);
    const digits = slotDigits(kind);
    if (digits === 0) {
      places.push(out.length);
      out.push(...bytes.subarray(slotStart, slotEnd));
    } else {
      for (let blank = 0; blank < digits; blank++) out.push(BLANK);
      places.push(out.length);
    }
    from = slotEnd;
  }
  out.push(...bytes.subarray(from, end));
  return {
    bytes: Uint8Array.from(out),
    kinds: Uint8Array.from(kinds),
    places: Int32Array.from(places),
    text,
  };
}

/** Copies a text slot of the record to `memory[to]`; returns its end. */
export function copyText(
  memory: Uint8Array,
  to: number,
  kind: number,
  text: RecordText,
  mark: number,
): number {
  const from = kind === Slot.Query ? mark + 1 : text.target;
  const end = kind === Slot.Path ? mark : text.authority;
  const { bytes } = text;
  let at = to;
  for (let index = from; index < end; index++) memory[at++] = bytes[index]!;
  return at;
}

function fillSlots(
  memory: Uint8Array,
  at: number,
  piece: Piece,
  record: ExchangeRecord,
  places: SpanPlaces,
): void {
  const { kinds } = piece;
  for (let index = 0; index < kinds.length; index++) {
    const kind = kinds[index]!;
    const place = at + piece.places[index]!;
    if (kind === Slot.TraceId) {
      writeHex(memory, place, record.traceId0);
      writeHex(memory, place + 8, record.traceId1);
      writeHex(memory, place + 16, record.traceId2);
      writeHex(memory, place + 24, record.traceId3);
    } else if (kind === Slot.SpanId) {
      writeHex(memory, place, record.spanId0);
      writeHex(memory, place + 8, record.spanId1);
    } else if (kind === Slot.ParentId) {
      writeHex(memory, place, record.parentId0);
      writeHex(memory, place + 8, record.parentId1);
    } else if (kind === Slot.Start) writeTime(memory, place, places.startUs);
    else if (kind === Slot.End) writeTime(memory, place, places.endUs);
    else writeWholeBefore(memory, place, numberOf(record, kind));
  }
}

/** Ten digits of seconds and six of microseconds; the three zeros after them are there. */
function writeTime(memory: Uint8Array, place: number, us: number): void {
  const seconds = Math.floor(us / US_A_SECOND);
  writeDigits(memory, place, seconds, 10);
  writeDigits(memory, place + 10, us - seconds * US_A_SECOND, 6);
}

/** The value of a number's slot. */
export function numberOf(record: ExchangeRecord, kind: number): number {
  switch (kind) {
    case Slot.PeerPort:
      return record.peerPort;
    case Slot.QueueUs:
      return Math.round(record.queueUs);
    case Slot.DnsUs:
      return Math.round(record.dnsUs);
    case Slot.TlsUs:
      return Math.round(record.tlsUs);
    case Slot.ConnectUs:
      return Math.round(record.connectUs);
    case Slot.RequestUs:
      return Math.round(record.requestUs);
    case Slot.FirstByteUs:
      return Math.round(record.firstByteUs);
    case Slot.ResponseUs:
      return Math.round(record.responseUs);
    case Slot.ProxyUs:
      return Math.round(record.proxyUs);
    case Slot.ConnectionId:
      return record.connectionId;
    default:
      return record.connectionRequests;
  }
}
