/**
 * A cell of a series: the requests that had one outcome and one peer, by duration, with the bytes of their
 * bodies.
 *
 * What an outcome is fits one small integer, its key, so that the hot thread compares two integers
 * to count a request. The worker makes the same key of a record: exemplars are found by it.
 *
 *   bit 0         10       14      20    21     23    24     25    26   27
 *       status:10 method:4 cause:6 minor part:2 local gone   cut   tls  other
 */

import { failures } from '../../model/failure.ts';
import { type ExchangeRecord, RecordFlag, RecordKind } from '../record/exchange-record.ts';
import { latencyBoundsUs } from './latency-histogram.ts';

/** What of an exchange a cell counts: retried exchanges and their attempts are counted apart. */
export const Part = {
  /** An exchange that was one attempt. */
  Whole: 0,
  /** An outbound exchange of several attempts, from the first to the last. */
  Retried: 1,
  /** One attempt of such an exchange. */
  Attempt: 2,
} as const;

const STATUS = 1023;
const METHOD = 10;
const CAUSE = 14;
const MINOR = 20;
const PART = 21;
/** The status is our own answer: the upstream has sent none. */
const LOCAL = 1 << 23;
/** DownstreamGone, BodyCut and Tls of the record, moved. */
const FLAGS = RecordFlag.DownstreamGone | RecordFlag.BodyCut | RecordFlag.Tls;
const FLAGS_BY = 20;
/** What has no cell of its own because there are too many. */
const OTHER = 1 << 27;
/** What a key says of a request, whatever the exchange's part. */
const OUTCOME = ~(3 << PART);

/** The outcome of a request, as its key tells it. */
export interface Outcome {
  readonly part: number;
  /** Sent downstream; 0: none was. */
  readonly status: number;
  /** The same without local answers to outbound requests: what spans show. */
  readonly spanStatus: number;
  /** Method of wire/http1; 0 = unknown. */
  readonly method: number;
  /** `Failure.code`; 0 without a failure. */
  readonly causeCode: number;
  readonly minorVersion: number;
  /** Of RecordFlag: DownstreamGone, BodyCut, Tls. */
  readonly flags: number;
  /** Nothing else is known of these. */
  readonly isOther: boolean;
}

/** The key of an exchange that has ended. `sentStatus` outside 100 to 599 is 0: nothing was sent. */
export function exchangeKey(record: ExchangeRecord, sentStatus: number): number {
  const { causeCode, status } = record;
  const sent = sentStatus >= 100 && sentStatus < 600 ? sentStatus : 0;
  return (
    sent |
    ((record.method & 15) << METHOD) |
    ((causeCode <= failures.length ? causeCode : 0) << CAUSE) |
    ((record.minorVersion & 1) << MINOR) |
    ((record.flags & FLAGS) << FLAGS_BY) |
    (status === 0 && sent !== 0 ? LOCAL : 0) |
    (record.attempt !== 0 && record.kind === RecordKind.Client ? Part.Retried << PART : 0)
  );
}

/** Whether the key is that of an exchange of several attempts. */
export function isRetried(key: number): boolean {
  return ((key >> PART) & 3) === Part.Retried;
}

/** The key of one attempt of an outbound exchange that has, or will have, several. */
export function attemptKey(record: ExchangeRecord): number {
  return spanKey(record) | (Part.Attempt << PART);
}

/** What a span of the request can tell of `key`: by this exemplars find their cells. */
export function spanKeyOf(key: number): number {
  return (key & LOCAL) === 0 ? key & OUTCOME : key & OUTCOME & ~(LOCAL | STATUS);
}

/** The same of a span's record. */
export function spanKey(record: ExchangeRecord): number {
  return exchangeKey(record, record.status) & OUTCOME;
}

/** The key of cells that count what had no room, of a part. */
export function otherKey(key: number): number {
  return (key & ~OUTCOME) | OTHER;
}

/** What `key` says. */
export function outcomeOf(key: number): Outcome {
  const status = key & STATUS;
  return {
    part: (key >> PART) & 3,
    status,
    spanStatus: (key & LOCAL) === 0 ? status : 0,
    method: (key >> METHOD) & 15,
    causeCode: (key >> CAUSE) & 63,
    minorVersion: (key >> MINOR) & 1,
    flags: (key >> FLAGS_BY) & FLAGS,
    isOther: (key & OTHER) !== 0,
  };
}

/** Below the buckets: what they hold together. */
const SUM_US = latencyBoundsUs.length + 1;
const REQUEST_BYTES = SUM_US + 1;
const RESPONSE_BYTES = SUM_US + 2;
/** Numbers in a cell's `counts`. */
export const CELL_NUMBERS: number = SUM_US + 3;

/** Peers that have proved who they are, and are not told apart because there are too many. */
export const UNNAMED_PEER = -1;

export class RequestCell {
  readonly key: number;
  /** NameTable id of the SPIFFE id that the peer has proved; 0: none, or of one attempt; `UNNAMED_PEER`. */
  readonly peerId: number;
  /** Counts a bucket of `latencyBoundsUs`, not cumulative, the last above every bound; then sums. */
  readonly counts: Float64Array;

  constructor(key: number, peerId = 0, counts: Float64Array = new Float64Array(CELL_NUMBERS)) {
    this.key = key;
    this.peerId = peerId;
    this.counts = counts;
  }

  /** `us`: at least 0, in `bucket`. Bytes are those of bodies on the wire. */
  add(bucket: number, us: number, requestBytes: number, responseBytes: number): void {
    const { counts } = this;
    counts[bucket]!++;
    counts[SUM_US]! += us;
    counts[REQUEST_BYTES]! += requestBytes;
    counts[RESPONSE_BYTES]! += responseBytes;
  }

  get count(): number {
    let count = 0;
    for (let bucket = 0; bucket < SUM_US; bucket++) count += this.counts[bucket]!;
    return count;
  }

  get sumUs(): number {
    return this.counts[SUM_US]!;
  }

  get requestBytes(): number {
    return this.counts[REQUEST_BYTES]!;
  }

  get responseBytes(): number {
    return this.counts[RESPONSE_BYTES]!;
  }
}
