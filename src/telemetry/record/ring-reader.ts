/**
 * The worker's end of the record ring: takes records out in the order in which they were written.
 *
 * The record it decodes into is the caller's. Strings are left as bytes in the ring for who wants them
 * so (`text`), because five strings cost more than all numbers together.
 */

import { type ExchangeRecord, isExported } from './exchange-record.ts';
import {
  Control,
  HEADER_BYTES,
  RECORD_WORDS,
  type RingMemory,
  TEXT_HEAD_BYTES,
} from './record-layout.ts';
import { RecordText } from './record-text.ts';

export class RingReader {
  readonly #words: Int32Array;
  readonly #starts: Float64Array;
  readonly #times: Float32Array;
  readonly #textHeads: Uint16Array;
  /** The strings of the record that was read last; valid until `release`. */
  readonly text: RecordText;
  readonly #memory: RingMemory;
  #tail: number;
  #textTail: number;

  /** Continues where an earlier reader of the same memory stopped. */
  constructor(memory: RingMemory) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.buffer);
    this.#starts = new Float64Array(memory.buffer, 0, memory.textStart / 8);
    this.#times = new Float32Array(memory.buffer);
    this.#textHeads = new Uint16Array(memory.buffer);
    this.text = new RecordText(Buffer.from(memory.buffer, memory.textStart, memory.textBytes));
    this.#tail = Atomics.load(this.#words, Control.Tail);
    this.#textTail = Atomics.load(this.#words, Control.TextTail);
  }

  /** How many records wait now. They stay valid until `release`. */
  available(): number {
    return (Atomics.load(this.#words, Control.Head) - this.#tail) | 0;
  }

  /** Records that readers of this memory have released since start, modulo 2^32. */
  get taken(): number {
    return this.#tail >>> 0;
  }

  /** Records that the writer dropped since start, modulo 2^32. */
  dropped(): number {
    return Atomics.load(this.#words, Control.Dropped) >>> 0;
  }

  /** Whether the next record becomes a span: all that most records are asked. */
  nextIsExported(): boolean {
    return isExported(this.#words[this.#at()]! >>> 16);
  }

  /** `RecordKind` of the next record. */
  nextKind(): number {
    return this.#words[this.#at()]! & 15;
  }

  /** Word `index` of the trace id of the next record. */
  nextTraceWord(index: number): number {
    return this.#words[this.#at() + 4 + index]!;
  }

  /** Words that `copyNext` writes; an even number. */
  nextCopyWords(): number {
    return RECORD_WORDS + (this.#blockBytes(this.#words[this.#at() + 31]!) >> 2);
  }

  /** Copies the next record and its text block behind it to `into[at..]`, and passes over it. */
  copyNext(into: Int32Array, at: number): void {
    const words = this.#words;
    const from = this.#at();
    const position = words[from + 31]!;
    for (let word = 0; word < RECORD_WORDS; word++) into[at + word] = words[from + word]!;
    const block = (this.#memory.textStart + (position & (this.#memory.textBytes - 1))) >> 2;
    const blockWords = this.#blockBytes(position) >> 2;
    const to = at + RECORD_WORDS;
    for (let word = 0; word < blockWords; word++) into[to + word] = words[block + word]!;
    this.#leave(from);
  }

  /** Passes over the next record; at least one is available. */
  skip(): void {
    this.#leave(this.#at());
  }

  /** Decodes the next record, text included; at least one is available. */
  read(into: ExchangeRecord): void {
    this.readNumbers(into);
    this.text.decode(into);
  }

  /** Decodes the next record but for its five strings, which `text` then has. */
  readNumbers(into: ExchangeRecord): void {
    this.peekNumbers(into);
    this.#leave(this.#at());
  }

  /** As `readNumbers`, and the record stays the next one. */
  peekNumbers(into: ExchangeRecord): void {
    const at = this.#at();
    readRecord(this.#words, this.#starts, this.#times, at, into);
    const position = this.#words[at + 31]!;
    const text = position & (this.#memory.textBytes - 1);
    placeText(this.text, this.#textHeads, this.#headAt(position), text + TEXT_HEAD_BYTES);
  }

  /** Gives the room of everything read or skipped back to the writer. */
  release(): void {
    Atomics.store(this.#words, Control.TextTail, this.#textTail);
    Atomics.store(this.#words, Control.Tail, this.#tail);
  }

  #at(): number {
    return (HEADER_BYTES >> 2) + (this.#tail & (this.#memory.recordsMax - 1)) * RECORD_WORDS;
  }

  #leave(at: number): void {
    const position = this.#words[at + 31]!;
    this.#textTail = (position + this.#blockBytes(position)) | 0;
    this.#tail = (this.#tail + 1) | 0;
  }

  /** Of the text block at `position`, padding included. */
  #blockBytes(position: number): number {
    const head = this.#headAt(position);
    const heads = this.#textHeads;
    const last = heads[head + 3]!;
    const bytes =
      heads[head]! + heads[head + 1]! + heads[head + 2]! + (last & 255) + (last >>> 8) * 4;
    return (TEXT_HEAD_BYTES + bytes + 7) & ~7;
  }

  #headAt(position: number): number {
    return (this.#memory.textStart + (position & (this.#memory.textBytes - 1))) >> 1;
  }
}

/** Decodes the numbers of the record at word `at` (even) of memory that three views show. */
export function readRecord(
  words: Int32Array,
  starts: Float64Array,
  times: Float32Array,
  at: number,
  into: ExchangeRecord,
): void {
  readWords(words, at, into);
  into.startMs = starts[(at >> 1) + 1]!;
  readTimes(times, at, into);
}

/** Says where the strings of a text block lie: `heads[head]` is its head, `target` its first byte. */
export function placeText(
  text: RecordText,
  heads: Uint16Array,
  head: number,
  target: number,
): void {
  text.target = target;
  text.authority = target + heads[head]!;
  text.userAgent = text.authority + heads[head + 1]!;
  text.peerAddress = text.userAgent + heads[head + 2]!;
  const last = heads[head + 3]!;
  text.extra = text.peerAddress + (last & 255);
  text.end = text.extra + (last >>> 8) * 4;
}

function readWords(words: Int32Array, at: number, into: ExchangeRecord): void {
  const first = words[at]!;
  into.kind = first & 15;
  into.join = (first >>> 4) & 15;
  into.sampledBy = (first >>> 8) & 15;
  into.method = (first >>> 12) & 15;
  into.flags = first >>> 16;
  into.status = words[at + 1]! & 0xffff;
  into.peerPort = words[at + 1]! >>> 16;
  into.traceId0 = words[at + 4]!;
  into.traceId1 = words[at + 5]!;
  into.traceId2 = words[at + 6]!;
  into.traceId3 = words[at + 7]!;
  into.spanId0 = words[at + 8]!;
  into.spanId1 = words[at + 9]!;
  into.parentId0 = words[at + 10]!;
  into.parentId1 = words[at + 11]!;
  into.destinationId = words[at + 12]!;
  into.routeId = words[at + 19]!;
  into.clusterId = words[at + 20]!;
  into.subsetId = words[at + 21]!;
  into.endpointId = words[at + 22]!;
  into.ruleIndex = words[at + 23]! & 0xffff;
  into.attempt = (words[at + 23]! >>> 16) & 255;
  into.minorVersion = (words[at + 23]! >>> 24) & 1;
  into.attemptReason = words[at + 23]! >>> 25;
  into.weight = words[at + 24]!;
  into.generation = words[at + 25]!;
  into.connectionId = words[at + 26]!;
  into.connectionRequests = words[at + 27]!;
  const high = words[at + 30]!;
  into.requestBytes = (words[at + 28]! >>> 0) + (high & 0xffff) * 0x1_0000_0000;
  into.responseBytes = (words[at + 29]! >>> 0) + (high >>> 16) * 0x1_0000_0000;
  const cause = words[at + 32]!;
  into.causeCode = cause & 255;
  into.joinField = (cause >>> 8) & 15;
  into.tlsVersion = (cause >>> 12) & 3;
  into.callbackPort = cause >>> 16;
  into.seriesId = words[at + 33]! & 0xffff;
  into.principalId = words[at + 37]!;
  into.policyId = words[at + 38]!;
  into.policyBits = words[at + 39]! & 255;
}

function readTimes(times: Float32Array, at: number, into: ExchangeRecord): void {
  into.connectUs = times[at + 13]!;
  into.requestUs = times[at + 14]!;
  into.firstByteUs = times[at + 15]!;
  into.responseUs = times[at + 16]!;
  into.proxyUs = times[at + 17]!;
  into.totalUs = times[at + 18]!;
  into.queueUs = times[at + 34]!;
  into.dnsUs = times[at + 35]!;
  into.tlsUs = times[at + 36]!;
}
