/**
 * Verdicts of the hot thread: which traces are exported although no head sampler chose them, what is
 * known of each, and from whom.
 *
 *   the judge, at the head and the end of an exchange ─┐
 *   a meshed upstream: its answer says that it keeps ──┼─► marks ─► later records, answers, calls
 *   a peer: POST /.tracecar/keep ──────────────────────┘
 *
 * What was recorded before a verdict is the worker's to find (recall.ts): it sees the first record that
 * is kept, or a Mark record where no other would tell it. The usual exchange meets no mark and costs a
 * few comparisons.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { keepLimits } from '../../model/telemetry-limits.ts';
import { TokenBucket } from '../metrics/keep-state.ts';
import type { RequestSeries } from '../metrics/request-series.ts';
import { ExchangeRecord, RecordFlag, RecordKind, SampledBy } from '../record/exchange-record.ts';
import type { KeepSettings } from '../settings/tracing-choices.ts';
import { type KeepCounts, KeepJudge, REFUSED } from './keep-judge.ts';
import { KeepMarks, Verdict } from './keep-marks.ts';

/** Where a Mark record goes; false: there is no room. */
export type WriteRecord = (record: ExchangeRecord) => boolean;

export class KeepVerdicts {
  /** Ids that peers sent: news, known before, over the rate, and without room in the ring. */
  received = 0;
  known = 0;
  overRate = 0;
  /** Traces that answers of upstreams had kept: as many a second as ids, and those over the rate. */
  learned = 0;
  learnedOverRate = 0;
  readonly #judge: KeepJudge;
  readonly #marks: KeepMarks;
  readonly #write: WriteRecord;
  readonly #mark = new ExchangeRecord();
  readonly #rate = new TokenBucket();
  /** Of its own: answers of one upstream must not use up what messages of all others may ask. */
  readonly #learnRate = new TokenBucket();

  constructor(settings: KeepSettings, seed: number, write: WriteRecord) {
    this.#judge = new KeepJudge(settings);
    this.#marks = new KeepMarks(seed);
    this.#write = write;
    this.#mark.kind = RecordKind.Mark;
  }

  get counts(): KeepCounts {
    return this.#judge.counts;
  }

  /** Marks that went before their time. */
  get lostMarks(): number {
    return this.#marks.lost;
  }

  /**
   * The record has its ids: a trace that is marked goes on as one that was sampled. Not where no span is
   * made: the parent id goes on then, and `sampled` with it (W3C trace-context 3.4).
   */
  begin(record: ExchangeRecord): void {
    if (this.#marks.isEmpty || (record.flags & CONTINUED) !== RecordFlag.HasParent) return;
    if (this.#known(record, record.startMs) === Verdict.Keep && !isSampledByAll(record)) {
      keepAs(record, SampledBy.Retro);
    }
  }

  /** See HotTelemetry. */
  decide(
    record: ExchangeRecord,
    series: RequestSeries,
    now: Milliseconds,
    isEnd: boolean,
  ): boolean {
    if (isChosen(record)) return true;
    if (!hasTrace(record)) return false;
    const known = this.#known(record, now);
    if (known === Verdict.Keep) {
      keepAs(record, this.#judge.isError(record) ? SampledBy.Error : SampledBy.Retro);
      return true;
    }
    // An error was refused where it arose: further up it is the same one, not another.
    if (this.#isRefusedBelow(record, known)) return this.#refuse(record, now);
    if ((record.flags & RecordFlag.Refused) !== 0) return isSampled(record);
    const elapsedUs = isEnd ? record.totalUs : (now - record.startMs) * 1_000;
    const by = this.#judge.judge(record, series.keep, elapsedUs, now);
    if (by === SampledBy.None) return isSampled(record);
    if (by === REFUSED) return this.#refuse(record, now);
    keepAs(record, by);
    this.#put(record, Verdict.Keep, now);
    return true;
  }

  /** See HotTelemetry. */
  learn(record: ExchangeRecord, keeps: boolean, now: Milliseconds): void {
    record.flags |= RecordFlag.PeerMeshed;
    if (!keeps) return;
    record.flags |= RecordFlag.PeerKeeps;
    if (isChosen(record)) return;
    if (this.#known(record, now) !== Verdict.Keep) {
      if (!this.#learnRate.take(keepLimits.receivedIdsPerSecond, now)) {
        this.learnedOverRate++;
        return;
      }
      this.learned++;
      this.#put(record, Verdict.Keep, now);
    }
    keepAs(record, this.#judge.isError(record) ? SampledBy.Error : SampledBy.Retro);
  }

  /** See HotTelemetry. */
  keep(ids: Int32Array, count: number, address: string, now: Milliseconds): number {
    const mark = this.#mark;
    mark.peerAddress = address;
    mark.startMs = now;
    for (let index = 0; index < count; index++) {
      if (!this.#rate.take(keepLimits.receivedIdsPerSecond, now)) {
        this.overRate += count - index;
        return index;
      }
      const at = 4 * index;
      mark.traceId0 = ids[at]!;
      mark.traceId1 = ids[at + 1]!;
      mark.traceId2 = ids[at + 2]!;
      mark.traceId3 = ids[at + 3]!;
      this.received++;
      if (!this.#put(mark, Verdict.Keep, now)) this.known++;
      else this.#write(mark);
    }
    return count;
  }

  /** See HotTelemetry. */
  verdictOf(record: ExchangeRecord): boolean {
    return isChosen(record);
  }

  #isRefusedBelow(record: ExchangeRecord, known: number): boolean {
    if ((record.flags & RecordFlag.Refused) !== 0 || !this.#judge.isError(record)) return false;
    if (record.kind !== RecordKind.Client) return known === Verdict.Refused;
    const peer = record.flags & (RecordFlag.PeerMeshed | RecordFlag.PeerKeeps);
    return record.causeCode === 0 && peer === RecordFlag.PeerMeshed;
  }

  #refuse(record: ExchangeRecord, now: Milliseconds): boolean {
    record.flags |= RecordFlag.Refused;
    this.#put(record, Verdict.Refused, now);
    return isSampled(record);
  }

  #known(record: ExchangeRecord, now: Milliseconds): number {
    if (this.#marks.isEmpty) return Verdict.None;
    this.#marks.expire(now);
    const { traceId0, traceId1, traceId2, traceId3 } = record;
    return this.#marks.verdictOf(traceId0, traceId1, traceId2, traceId3);
  }

  #put(record: ExchangeRecord, verdict: number, now: Milliseconds): boolean {
    const { traceId0, traceId1, traceId2, traceId3 } = record;
    return this.#marks.mark(traceId0, traceId1, traceId2, traceId3, verdict, now);
  }
}

const CONTINUED = RecordFlag.HasParent | RecordFlag.Muted;

/** A muted record may have none, and nothing is remembered of that. */
function hasTrace({ traceId0, traceId1, traceId2, traceId3 }: ExchangeRecord): boolean {
  return (traceId0 | traceId1 | traceId2 | traceId3) !== 0;
}

function isSampled({ flags }: ExchangeRecord): boolean {
  return (flags & RecordFlag.Sampled) !== 0;
}

/** Every hop behind the one that chose the trace exports it too. */
function isChosen(record: ExchangeRecord): boolean {
  return (record.flags & RecordFlag.Kept) !== 0 || isSampledByAll(record);
}

/** Sampled, and not by our own ratio against a caller that did not. */
function isSampledByAll({ flags, sampledBy }: ExchangeRecord): boolean {
  if ((flags & RecordFlag.Sampled) === 0) return false;
  return (flags & RecordFlag.HasParent) === 0 || sampledBy !== SampledBy.Ratio;
}

/** What the head sampler has chosen stays its choice. */
function keepAs(record: ExchangeRecord, by: number): void {
  record.flags |= RecordFlag.Kept;
  if (!isSampled(record)) record.sampledBy = by;
}
