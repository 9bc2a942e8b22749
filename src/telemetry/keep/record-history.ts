/**
 * Record history: what nobody has chosen yet, for as long as a later verdict may still ask for it.
 *
 *   segments of 256 KiB, the newest filling    [ entry | entry | ... ] [ entry | ...      ]
 *   an entry, in words of 32 bits              [ back | size | record: 40 | its text block ]
 *   heads, by a hash of the trace id           newest entry of those that share it; `back` leads on
 *
 * A place is counted in words since start, so that one that is too old is known by its number. The
 * oldest segment goes when what is newest in it is 30 s old, or for a new one when all may be used;
 * an idle process holds one. Records come as they lie in the ring: numbers only, no object, no string.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { keepLimits } from '../../model/telemetry-limits.ts';
import { ExchangeRecord } from '../record/exchange-record.ts';
import { RECORD_WORDS, TEXT_HEAD_BYTES } from '../record/record-layout.ts';
import { RecordText } from '../record/record-text.ts';
import { placeText, type RingReader, readRecord } from '../record/ring-reader.ts';

const SEGMENT_WORDS = 65_536;
const SEGMENT_BYTES = SEGMENT_WORDS * 4;
const ENTRY_HEAD_WORDS = 2;
/** Of an entry: words of its trace id, and of its record's first word. */
const RECORD_AT = ENTRY_HEAD_WORDS;
const TRACE_AT = RECORD_AT + 4;

const HEADS = 16_384;
/** No entry: older than every place. */
const NOWHERE = -1;

/** What is found: valid until the next `add`. */
export type Found = (record: ExchangeRecord, text: RecordText) => void;

export class RecordHistory {
  /** Records that it holds. */
  records = 0;
  readonly #segmentsMax: number;
  /** Oldest first; the last one is filling. */
  readonly #segments: Segment[] = [];
  /** One that is not used now. */
  #spare: Segment | undefined;
  /** Made with the first record. */
  #heads: Float64Array = new Float64Array(0);
  readonly #record = new ExchangeRecord();

  /** `bytesMax`: of segments; less than one of them: nothing is remembered. */
  constructor(bytesMax: number) {
    this.#segmentsMax = Math.floor(bytesMax / SEGMENT_BYTES);
  }

  /** Whether it remembers anything. */
  get isOn(): boolean {
    return this.#segmentsMax > 0;
  }

  /** Memory in use. */
  get bytes(): number {
    const segments = this.#segments.length + (this.#spare === undefined ? 0 : 1);
    return segments * SEGMENT_BYTES + this.#heads.byteLength;
  }

  /** Takes the next record out of the ring. */
  add(reader: RingReader, now: Milliseconds): void {
    const size = ENTRY_HEAD_WORDS + reader.nextCopyWords();
    const segment = this.#segmentFor(size);
    const at = segment.used;
    const { words } = segment;
    segment.used += size;
    segment.records++;
    segment.newestMs = now;
    reader.copyNext(words, at + RECORD_AT);
    const place = segment.place + at;
    const head = headOf(words[at + TRACE_AT + 3]!);
    const before = this.#heads[head]!;
    // Nobody looks further back than the oldest place, which is within 32 bits of the newest.
    words[at] = before >= this.#segments[0]!.place ? place - before : 0;
    words[at + 1] = size;
    this.#heads[head] = place;
    this.records++;
  }

  /** Takes the records of a trace out, newest first; returns how many there were. */
  take(id0: number, id1: number, id2: number, id3: number, found: Found): number {
    const oldest = this.#segments[0]?.place ?? 0;
    let taken = 0;
    let place = this.#heads[headOf(id3)] ?? NOWHERE;
    while (place >= oldest && this.#segments.length > 0) {
      const segment = this.#segments[Math.floor((place - oldest) / SEGMENT_WORDS)]!;
      const at = place - segment.place;
      const { words } = segment;
      const trace = at + TRACE_AT;
      const isSame = words[trace + 3] === id3 && words[trace + 2] === id2;
      if (isSame && words[trace + 1] === id1 && words[trace] === id0) {
        segment.read(at, this.#record);
        // It may be asked for again, and is not there any more: no trace has such an id.
        words.fill(0, trace, trace + 4);
        taken++;
        found(this.#record, segment.text);
      }
      const back = words[at]!;
      if (back === 0) break;
      place -= back;
    }
    return taken;
  }

  /** Lets everything go that is older than 30 s. */
  forget(now: Milliseconds): void {
    const until = now - keepLimits.historyMs;
    while (this.#segments.length > 0 && this.#segments[0]!.newestMs < until) this.#dropOldest();
  }

  #segmentFor(size: number): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.used + size <= SEGMENT_WORDS) return last;
    if (this.#heads.length === 0) this.#heads = new Float64Array(HEADS).fill(NOWHERE);
    const place = last === undefined ? this.#nextPlace : last.place + SEGMENT_WORDS;
    if (this.#segments.length >= this.#segmentsMax) this.#dropOldest();
    const segment = this.#spare ?? new Segment();
    this.#spare = undefined;
    segment.begin(place);
    this.#segments.push(segment);
    return segment;
  }

  /** Places of what went when all was too old are never given again. */
  #nextPlace = 0;

  #dropOldest(): void {
    const oldest = this.#segments.shift()!;
    this.records -= oldest.records;
    this.#nextPlace = Math.max(this.#nextPlace, oldest.place + SEGMENT_WORDS);
    this.#spare = oldest;
  }
}

function headOf(id3: number): number {
  // The last word of a trace id is random (W3C trace-context level 2).
  return id3 & (HEADS - 1);
}

class Segment {
  readonly words: Int32Array;
  /** Of its first word. */
  place = 0;
  used = 0;
  records = 0;
  newestMs: Milliseconds = 0.5;
  /** Strings of the record that was read last. */
  readonly text: RecordText;
  readonly #starts: Float64Array;
  readonly #times: Float32Array;
  readonly #heads: Uint16Array;

  constructor() {
    const memory = new ArrayBuffer(SEGMENT_BYTES);
    this.words = new Int32Array(memory);
    this.#starts = new Float64Array(memory);
    this.#times = new Float32Array(memory);
    this.#heads = new Uint16Array(memory);
    this.text = new RecordText(Buffer.from(memory));
  }

  begin(place: number): void {
    this.place = place;
    this.used = 0;
    this.records = 0;
  }

  /** Decodes the entry at word `at` into `record`, and its strings into `text`. */
  read(at: number, record: ExchangeRecord): void {
    readRecord(this.words, this.#starts, this.#times, at + RECORD_AT, record);
    const block = (at + RECORD_AT + RECORD_WORDS) * 4;
    placeText(this.text, this.#heads, block >> 1, block + TEXT_HEAD_BYTES);
  }
}
