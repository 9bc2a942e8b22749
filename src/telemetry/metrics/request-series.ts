/**
 * Counters of the requests that share one set of labels, in cells by outcome: status, method, cause
 * and a few bits more (request-cell.ts).
 *
 * The proxy holds the object beside its rule and calls `observe` once an exchange: most find the cell
 * of the request before. Outcomes are an upstream's choice, so cells are bounded, for one series and
 * for all together; what has no room is counted in `other` cells, where only status and cause are
 * still exact. Peers that have proved who they are have cells of their own, as long as those are at most
 * a part of all; those that come later share theirs. Statuses have names as far as IANA knows them, and a few more. Counts are float64, exact
 * to 2^53.
 */

import { failures } from '../../model/failure.ts';
import type { Direction } from '../../model/routing-table.ts';
import { telemetryLimits } from '../../model/telemetry-limits.ts';
import type { ExchangeRecord } from '../record/exchange-record.ts';
import { KeepState } from './keep-state.ts';
import { bucketOf, LatencyHistogram } from './latency-histogram.ts';
import {
  attemptKey,
  exchangeKey,
  isRetried,
  type Outcome,
  otherKey,
  outcomeOf,
  Part,
  RequestCell,
  UNNAMED_PEER,
} from './request-cell.ts';

/** Names from configuration only, so that their number is bounded; '' = does not apply. */
export interface RequestLabels {
  readonly direction: Direction;
  readonly listener: string;
  readonly route: string;
  /** Identity of the rule. */
  readonly rule: string;
  readonly cluster: string;
  readonly subset: string;
}

/** Cells that may still be made, over all series that share it. */
export interface CellBudget {
  left: number;
  /** Of them those of proved peers. */
  peersLeft: number;
  /** Of one series. */
  readonly seriesMax: number;
}

const STATUSES = 600;

/** IANA's status codes (2026), with 0 for none: of these a series tells all that it has seen. */
const registered = new Uint8Array(STATUSES);
for (const [first, last = first] of [
  [0],
  [100, 104],
  [200, 208],
  [226],
  [300, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431],
  [451],
  [500, 508],
  [510, 511],
] as const) {
  registered.fill(1, first, last + 1);
}

/** Requests by status sent. */
export interface StatusCount {
  /** 0: nothing was sent; `other`: statuses that have no name here, together. */
  readonly status: number | 'other';
  readonly count: number;
}

/** Of an outcome that no exchange has: nothing is ever counted in it. */
const NO_CELL = new RequestCell(-1);

/** Cells of one peer. */
class CellSet {
  readonly peerId: number;
  last: RequestCell = NO_CELL;
  readonly cells = new Map<number, RequestCell>();

  constructor(peerId: number) {
    this.peerId = peerId;
  }
}

export class RequestSeries {
  readonly labels: RequestLabels;
  /** Names the series in records, from 1; 0: records cannot. */
  readonly id: number;
  /** Of whole exchanges, in fine cells. */
  readonly latency = new LatencyHistogram();
  readonly keep = new KeepState();
  #budget: CellBudget;
  /** Of who has proved nothing, with all attempts and `other` cells. */
  readonly #plain = new CellSet(0);
  #lastSet: CellSet = this.#plain;
  /** Of who has, by `peerId`. */
  readonly #peers = new Map<number, CellSet>();
  #own = 0;
  #ownOfPeers = 0;
  /** Statuses that IANA does not know and that have a name all the same: the first to come. */
  readonly #odd: number[] = [];
  /** By status and by cause: of exchanges in `other` cells. */
  #otherStatuses: Float64Array | undefined;
  #otherCauses: Float64Array | undefined;

  constructor(labels: RequestLabels, id: number, budget: CellBudget) {
    this.labels = labels;
    this.id = id;
    this.#budget = budget;
  }

  /**
   * One exchange that has ended. `sentStatus`: what was sent downstream, 0 when nothing was (others
   * outside 100 to 599 count as 0 too); `durationUs`: of the whole exchange, at least 0.
   */
  observe(record: ExchangeRecord, sentStatus: number, durationUs: number): void {
    const key = exchangeKey(record, sentStatus);
    let set = this.#lastSet;
    if (set.peerId !== record.principalId) {
      set = this.#setOf(record.principalId);
      this.#lastSet = set;
    }
    let cell = set.last;
    if (cell.key !== key) {
      cell = set.cells.get(key) ?? this.#addPeerCell(set, key);
      if (cell.key !== key) this.#countOther(key);
      else if (cell.peerId === set.peerId) set.last = cell;
    }
    const bucket = this.latency.observe(durationUs);
    cell.add(bucket, durationUs, record.requestBytes, record.responseBytes);
    if (isRetried(key)) this.observeAttempt(record);
  }

  /** One attempt of an outbound exchange that is followed by another; the last is counted by `observe`. */
  observeAttempt(record: ExchangeRecord): void {
    const key = attemptKey(record);
    const cell = this.#plain.cells.get(key) ?? this.#addCell(this.#plain, key);
    const { totalUs, requestBytes, responseBytes } = record;
    cell.add(bucketOf(totalUs), totalUs, requestBytes, responseBytes);
  }

  /** Of every outcome that was seen, in no order. */
  get cells(): Iterable<RequestCell> {
    if (this.#peers.size === 0) return this.#plain.cells.values();
    return [this.#plain, ...this.#peers.values()].flatMap(({ cells }) => [...cells.values()]);
  }

  /** No table has it any more: what still counts here makes no more cells. Gives its own back. */
  retire(): void {
    this.#budget.left += this.#own;
    this.#budget.peersLeft += this.#ownOfPeers;
    this.#own = 0;
    this.#ownOfPeers = 0;
    this.#budget = { left: 0, peersLeft: 0, seriesMax: 0 };
  }

  /** Counts of exchanges by status sent, in order, without zeros. None ever gets less. */
  statuses(): readonly StatusCount[] {
    const counts = this.#otherStatuses?.slice() ?? new Float64Array(STATUSES);
    for (const [{ status }, cell] of this.#exchanges()) counts[status]! += cell.count;
    const seen: StatusCount[] = [];
    let others = 0;
    for (const [status, count] of counts.entries()) {
      if (count === 0) continue;
      if (registered[status] === 1 || this.#odd.includes(status)) seen.push({ status, count });
      else others += count;
    }
    if (others > 0) seen.push({ status: 'other', count: others });
    return seen;
  }

  /** Counts of exchanges by `Failure.code`; 0 counts those without a failure. */
  causes(): Float64Array {
    const counts = this.#otherCauses?.slice() ?? new Float64Array(failures.length + 1);
    for (const [{ causeCode }, cell] of this.#exchanges()) counts[causeCode]! += cell.count;
    return counts;
  }

  /** All exchanges, whatever their outcome. */
  total(): RequestCell {
    const total = new RequestCell(0);
    for (const { key, counts } of this.cells) {
      if (outcomeOf(key).part === Part.Attempt) continue;
      for (const [index, count] of counts.entries()) total.counts[index]! += count;
    }
    return total;
  }

  *#exchanges(): Iterable<readonly [Outcome, RequestCell]> {
    for (const cell of this.cells) {
      const outcome = outcomeOf(cell.key);
      if (outcome.part !== Part.Attempt && !outcome.isOther) yield [outcome, cell];
    }
  }

  #setOf(peerId: number): CellSet {
    if (peerId === 0) return this.#plain;
    const known = this.#peers.get(peerId);
    if (known !== undefined) return known;
    // Without room for its cells it would be there for nothing, for each peer that there is.
    if (peerId !== UNNAMED_PEER && !this.#hasRoomForPeers) return this.#setOf(UNNAMED_PEER);
    const set = new CellSet(peerId);
    this.#peers.set(peerId, set);
    return set;
  }

  get #hasRoomForPeers(): boolean {
    const { left, peersLeft, seriesMax } = this.#budget;
    if (left <= 0 || peersLeft <= 0 || this.#own >= seriesMax) return false;
    return this.#ownOfPeers < seriesMax * telemetryLimits.metricPeerCellsShare;
  }

  /** A cell of `set`, or what there is room for: one of those that share theirs, or `other`. */
  #addPeerCell(set: CellSet, key: number): RequestCell {
    if (set.peerId <= 0) return this.#addCell(set, key);
    if (!this.#hasRoomForPeers) {
      const unnamed = this.#setOf(UNNAMED_PEER);
      return unnamed.cells.get(key) ?? this.#addCell(unnamed, key);
    }
    this.#budget.peersLeft--;
    this.#ownOfPeers++;
    return this.#addCell(set, key);
  }

  #addCell(set: CellSet, key: number): RequestCell {
    const budget = this.#budget;
    if (budget.left <= 0 || this.#own >= budget.seriesMax) {
      const { cells } = this.#plain;
      const other = otherKey(key);
      const known = cells.get(other);
      if (known !== undefined) return known;
      const cell = new RequestCell(other);
      cells.set(other, cell);
      return cell;
    }
    budget.left--;
    this.#own++;
    const cell = new RequestCell(key, set.peerId);
    set.cells.set(key, cell);
    this.#name(outcomeOf(key).status);
    return cell;
  }

  /** Gives a status its name, while there are any; it keeps it, so that no count moves. */
  #name(status: number): void {
    if (registered[status] === 1 || this.#odd.length >= telemetryLimits.metricOddStatusesMax) {
      return;
    }
    if (!this.#odd.includes(status)) this.#odd.push(status);
  }

  #countOther(key: number): void {
    const { status, causeCode } = outcomeOf(key);
    this.#otherStatuses ??= new Float64Array(STATUSES);
    this.#otherCauses ??= new Float64Array(failures.length + 1);
    this.#otherStatuses[status]!++;
    this.#name(status);
    this.#otherCauses[causeCode]!++;
  }
}
