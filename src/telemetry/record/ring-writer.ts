/**
 * The hot thread's end of the record ring: copies a record in, or drops and counts it.
 *
 * It never waits, and it reads the worker's progress only when its own copy of it says that the ring
 * is full. Only numbers and `latin1Write`: copying a Buffer into shared memory costs several times
 * more (reference/performance.md 7.10).
 */

import type { ExchangeRecord } from './exchange-record.ts';
import { writeLatin1Part } from './latin1.ts';
import {
  ADDRESS_BYTES_MAX,
  attemptWordOf,
  Control,
  causeWordOf,
  EXTRA_BYTES_MAX,
  HEADER_BYTES,
  kindWordOf,
  RECORD_WORDS,
  type RingMemory,
  TEXT_HEAD_BYTES,
} from './record-layout.ts';

const HIGH = 0x1_0000_0000;
const LINE_FEED = 0x0a;

export class RingWriter {
  /** Records refused because the ring was full. */
  dropped = 0;
  readonly #words: Int32Array;
  readonly #starts: Float64Array;
  readonly #times: Float32Array;
  readonly #textHeads: Uint16Array;
  readonly #text: Buffer;
  readonly #recordMask: number;
  readonly #recordsMax: number;
  readonly #textMask: number;
  readonly #textBytes: number;
  readonly #textMax: number;
  readonly #textStart: number;
  #head: number;
  #tail: number;
  #textHead: number;
  #textTail: number;

  /** The only writer of `memory`, which is empty. `textMax`: bytes kept of each string. */
  constructor(memory: RingMemory, textMax: number) {
    this.#words = new Int32Array(memory.buffer);
    this.#starts = new Float64Array(memory.buffer, 0, memory.textStart / 8);
    this.#times = new Float32Array(memory.buffer);
    this.#textHeads = new Uint16Array(memory.buffer);
    this.#text = Buffer.from(memory.buffer, memory.textStart, memory.textBytes);
    this.#recordsMax = memory.recordsMax;
    this.#recordMask = memory.recordsMax - 1;
    this.#textBytes = memory.textBytes;
    this.#textMask = memory.textBytes - 1;
    this.#textMax = textMax;
    this.#textStart = memory.textStart;
    this.#head = Atomics.load(this.#words, Control.Head);
    this.#tail = Atomics.load(this.#words, Control.Tail);
    this.#textTail = Atomics.load(this.#words, Control.TextTail);
    this.#textHead = this.#textTail;
  }

  /** Whether the record is in the ring; false: it was full and `dropped` counted it. */
  write(record: ExchangeRecord): boolean {
    if (((this.#head - this.#tail) | 0) === this.#recordsMax) {
      this.#tail = Atomics.load(this.#words, Control.Tail);
      if (((this.#head - this.#tail) | 0) === this.#recordsMax) return this.#drop();
    }
    const position = this.#writeText(record);
    if (position === -1) return this.#drop();
    const at = (HEADER_BYTES >> 2) + (this.#head & this.#recordMask) * RECORD_WORDS;
    this.#writeWords(record, at);
    this.#words[at + 31] = position | 0;
    this.#head = (this.#head + 1) | 0;
    Atomics.store(this.#words, Control.Head, this.#head);
    return true;
  }

  #drop(): false {
    this.dropped++;
    Atomics.store(this.#words, Control.Dropped, this.dropped | 0);
    return false;
  }

  #writeWords(record: ExchangeRecord, at: number): void {
    const words = this.#words;
    const times = this.#times;
    words[at] = kindWordOf(record);
    words[at + 1] = record.status | (record.peerPort << 16);
    this.#starts[(at >> 1) + 1] = record.startMs;
    words[at + 4] = record.traceId0;
    words[at + 5] = record.traceId1;
    words[at + 6] = record.traceId2;
    words[at + 7] = record.traceId3;
    words[at + 8] = record.spanId0;
    words[at + 9] = record.spanId1;
    words[at + 10] = record.parentId0;
    words[at + 11] = record.parentId1;
    words[at + 12] = record.destinationId;
    times[at + 13] = record.connectUs;
    times[at + 14] = record.requestUs;
    times[at + 15] = record.firstByteUs;
    times[at + 16] = record.responseUs;
    times[at + 17] = record.proxyUs;
    times[at + 18] = record.totalUs;
    words[at + 19] = record.routeId;
    words[at + 20] = record.clusterId;
    words[at + 21] = record.subsetId;
    words[at + 22] = record.endpointId;
    words[at + 23] = attemptWordOf(record);
    words[at + 24] = record.weight;
    words[at + 25] = record.generation;
    words[at + 26] = record.connectionId;
    words[at + 27] = record.connectionRequests;
    const requestBytes = record.requestBytes;
    const responseBytes = record.responseBytes;
    words[at + 28] = requestBytes;
    words[at + 29] = responseBytes;
    words[at + 30] =
      requestBytes < HIGH && responseBytes < HIGH
        ? 0
        : Math.trunc(requestBytes / HIGH) | (Math.trunc(responseBytes / HIGH) << 16);
    words[at + 32] = causeWordOf(record);
    words[at + 33] = record.seriesId;
    times[at + 34] = record.queueUs;
    times[at + 35] = record.dnsUs;
    times[at + 36] = record.tlsUs;
    words[at + 37] = record.principalId;
    words[at + 38] = record.policyId;
    words[at + 39] = record.policyBits;
  }

  /** Position of the block, or -1 when the text area has no room. */
  #writeText(record: ExchangeRecord): number {
    const max = this.#textMax;
    const target = Math.min(record.target.length, max);
    const authority = Math.min(record.authority.length, max);
    const userAgent = Math.min(record.userAgent.length, max);
    const peerAddress = Math.min(record.peerAddress.length, ADDRESS_BYTES_MAX);
    const extra = Math.min(record.extra.length, EXTRA_BYTES_MAX);
    const extraRoom = (extra + 3) & ~3;
    const bytes =
      (TEXT_HEAD_BYTES + target + authority + userAgent + peerAddress + extraRoom + 7) & ~7;
    let position = this.#textHead;
    const untilEnd = this.#textBytes - (position & this.#textMask);
    if (bytes > untilEnd) position = (position + untilEnd) | 0;
    if (((position + bytes - this.#textTail) | 0) > this.#textBytes) {
      this.#textTail = Atomics.load(this.#words, Control.TextTail);
      if (((position + bytes - this.#textTail) | 0) > this.#textBytes) return -1;
    }
    const offset = position & this.#textMask;
    const head = (this.#textStart + offset) >> 1;
    const heads = this.#textHeads;
    heads[head] = target;
    heads[head + 1] = authority;
    heads[head + 2] = userAgent;
    heads[head + 3] = peerAddress | (extraRoom << 6);
    const text = this.#text;
    let at = offset + TEXT_HEAD_BYTES;
    at += writeLatin1Part(text, record.target, at, target);
    at += writeLatin1Part(text, record.authority, at, authority);
    at += writeLatin1Part(text, record.userAgent, at, userAgent);
    at += writeLatin1Part(text, record.peerAddress, at, peerAddress);
    if (extraRoom !== 0) {
      const end = at + writeLatin1Part(text, record.extra, at, extra);
      for (at += extraRoom; --at >= end; ) text[at] = LINE_FEED;
    }
    this.#textHead = (position + bytes) | 0;
    return position;
  }
}
