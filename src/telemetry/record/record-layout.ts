/**
 * Layout of the shared memory between the hot thread and the telemetry worker.
 *
 * One SharedArrayBuffer: control words, counters of the worker, records, text. One writer, one reader;
 * `head` and `tail` count records since start and wrap at 2^32, their difference is what is held.
 *
 *   byte 0      64       128      192       208       256        512                  + records
 *   [ head    | tail   | text   | dropped | edition | counters | record 0 | 1 | ... | text blocks ]
 *     writer    reader   reader   writer    reader    reader, f64   160 bytes each    8 bytes each
 *
 * A record is 40 words of 32 bits, little end first:
 *
 *   word  0  kind:4 join:4 sampledBy:4 method:4 | flags:16                     (lowest bits first)
 *         1  status:16 | peerPort:16
 *       2-3  startMs, float64
 *       4-7  trace id     8-9 span id     10-11 parent id
 *        12  destinationId
 *     13-18  connectUs requestUs firstByteUs responseUs proxyUs totalUs, float32: exact to 16 s,
 *            then to 1 part in 16 million; -1 = not reached
 *     19-22  routeId clusterId subsetId endpointId
 *        23  ruleIndex:16 | attempt:8 | minorVersion:1 | attemptReason:7
 *     24-27  weight generation connectionId connectionRequests
 *     28-29  requestBytes responseBytes, low 32 bits        30  their bits 32-47, 16 each
 *        31  position of its text block, counted like head in bytes
 *        32  causeCode:8 | joinField:4 | tlsVersion:2 | 0:2 | callbackPort:16
 *        33  seriesId:16 | 0:16
 *     34-36  queueUs dnsUs tlsUs, float32
 *     37-38  principalId policyId
 *        39  policyBits:8 | 0:24
 *
 * A text block is the record's five strings in one piece, cut and padded to a multiple of 8 bytes,
 * which never crosses the end of the text area (the writer then leaves that end unused). The length of
 * `extra` is in units of 4 bytes, line feeds fill it up:
 *
 *   [ target length:16 | authority:16 | user agent:16 | peer address:8 extra:8 | bytes ... | pad ]
 *
 * Order that makes it safe: the writer stores record and text, then `head`; the reader loads `head`,
 * reads, then stores `text` and `tail`. Both stores are atomic, so nothing moves across them.
 */

import { assert } from '../../base/assert.ts';
import type { ExchangeRecord } from './exchange-record.ts';

export const RECORD_WORDS = 40;
export const RECORD_BYTES = RECORD_WORDS * 4;
export const TEXT_HEAD_BYTES = 8;
/** Bytes that a text block has room for of an address, and of `extra`. */
export const ADDRESS_BYTES_MAX = 255;
export const EXTRA_BYTES_MAX = 255 * 4;

/** Indexes of control words in an Int32Array over the whole buffer, a cache line apart. */
export const Control = { Head: 0, Tail: 16, TextTail: 32, Dropped: 48, Edition: 52 } as const;

/** Indexes of the worker's counters in a Float64Array over the whole buffer. */
export const Counter = {
  /** Sampled records taken out of the ring. */
  Taken: 32,
  /** Spans that a collector accepted. */
  Sent: 33,
  /** Spans that were given up, for any reason. */
  Dropped: 34,
  /** Spans that wait or are under way. */
  Queued: 35,
  /** The part of Dropped that a full queue refused. */
  QueueFull: 36,
  /** Access log lines that stdout did not take, and those that it took. */
  LinesDropped: 37,
  LinesWritten: 38,
  /** Spans of records that were not chosen when they were taken. */
  Recalled: 39,
  /** Mark records taken out of the ring. */
  Marks: 40,
  /** Bytes of the history of records. */
  HistoryBytes: 41,
  /** Trace ids that peers were told, and that they were not. */
  KeepSent: 42,
  KeepFailed: 43,
  /** Exports of metrics that failed. */
  MetricsFailed: 44,
} as const;

export const HEADER_BYTES = 512;

/** Word 0 of a record. */
export function kindWordOf(record: ExchangeRecord): number {
  return (
    record.kind |
    (record.join << 4) |
    (record.sampledBy << 8) |
    (record.method << 12) |
    (record.flags << 16)
  );
}

/** Word 32 of a record. */
export function causeWordOf(record: ExchangeRecord): number {
  return (
    record.causeCode |
    (record.joinField << 8) |
    (record.tlsVersion << 12) |
    (record.callbackPort << 16)
  );
}

/** Word 23 of a record. */
export function attemptWordOf(record: ExchangeRecord): number {
  return (
    record.ruleIndex |
    (record.attempt << 16) |
    (record.minorVersion << 24) |
    (record.attemptReason << 25)
  );
}

/** The shared memory and where its areas are. */
export interface RingMemory {
  readonly buffer: SharedArrayBuffer;
  /** Powers of two. */
  readonly recordsMax: number;
  readonly textBytes: number;
  /** Byte offset of the text area. */
  readonly textStart: number;
}

/**
 * Shared memory for at most `recordBytes` of records and `textBytes` of text: as many records, and as
 * many bytes, as are a power of two. The text area takes at least two of the longest blocks.
 */
export function createRingMemory(recordBytes: number, textBytes: number): RingMemory {
  assert(recordBytes >= RECORD_BYTES, 'the record ring holds a record');
  assert(textBytes >= 16_384, 'the text ring holds two blocks');
  const recordsMax = powerOfTwoUpTo(recordBytes / RECORD_BYTES);
  const textMax = powerOfTwoUpTo(textBytes);
  const textStart = HEADER_BYTES + recordsMax * RECORD_BYTES;
  return {
    buffer: new SharedArrayBuffer(textStart + textMax),
    recordsMax,
    textBytes: textMax,
    textStart,
  };
}

function powerOfTwoUpTo(value: number): number {
  return 2 ** Math.floor(Math.log2(value));
}
