/**
 * Requests as the sidecars count them, sampled or not: the last hour, by caller, callee, route, subset.
 *
 *   point ─► its stream: what it said last time ─► the difference ─► its row, the slot of now
 *
 * Points say how many requests there were since a process began. The first point of a process that has
 * run for a while says nothing of when they were, so it only is where counting begins; a stream that
 * appears later in a process whose reports (empty ones too) are known began since the last of them and
 * counts as a whole, so the first error in a long while is not lost. Slots are by the time of arrival:
 * clocks of senders do not matter. Processes that name no instance of theirs (replicas with one resource)
 * are told apart by when their points say that counting began.
 * Bounded: rows, streams, bytes of attributes; what has no room is counted as rejected.
 */

import { hash } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { metricAttributes } from '../model/metric-names.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import type { DurationPoint, PointGroup } from './metric-decode.ts';
import { type Increment, MetricRow, slotMs, slotsMax } from './metric-row.ts';
import { boundsSeconds } from './request-tally.ts';
import type { MetricFigures } from './view-answers.ts';

/** A process as young as this has sent nothing before. */
const youngMs = 30_000;
/** Rates are of the time until the newest report, which is as old as this at most. */
const reportAgeMaxMs = 15_000;
/** A stream that was silent for so long goes when there is no room: its process has ended. */
const silentStreamMs = 300_000;

/** One stream of points: the totals that it reported last, by our buckets. */
interface Stream {
  /** By the sender's clock: when it began, and of its newest point. */
  startMs: number;
  timeMs: number;
  heardMs: number;
  sumSeconds: number;
  readonly buckets: Float64Array;
}

/** The request that told of it first, and whether what it said counts as a whole. */
interface Start {
  readonly request: number;
  readonly isWhole: boolean;
}

/** One resource: a process, or several that do not tell themselves apart. */
interface Sender {
  /** The one that was silent for longest first. */
  readonly streams: Map<string, Stream>;
  /** When its processes began, by the points of `streams`. */
  readonly starts: Map<number, Start>;
  /** The request that it came with first, empty or not. */
  readonly firstRequest: number;
  /** By the sender's clock. */
  firstPoint: { readonly request: number; readonly timeMs: number } | undefined;
}

/** Slots that a question is about. */
export interface Window {
  /** From this slot to before that one. */
  readonly from: number;
  readonly to: number;
  /** For rates: as long as it was asked for, or less when counting began later. */
  readonly seconds: number;
}

/** One for all senders; read by `window` and `rows`. */
export class MetricStore {
  readonly #limits: ViewerLimits;
  readonly #clock: Clock;
  readonly #senders = new Map<string, Sender>();
  readonly #rows = new Map<string, MetricRow>();
  /** By bounds as text: our bucket of each of theirs. */
  readonly #bucketMaps = new Map<string, Uint8Array>();
  #streams = 0;
  #requests = 0;
  #overflowPoints = 0;
  #firstMs: number | undefined;
  #lastMs: number | undefined;

  constructor(limits: ViewerLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Counts the points of one request; gives how many had no room. */
  add(groups: readonly PointGroup[]): number {
    const overflowBefore = this.#overflowPoints;
    this.#requests++;
    const nowMs = this.#clock.now();
    for (const group of groups) {
      const sender = this.#senderOf(group.sender);
      if (group.points.length > 0) {
        this.#firstMs ??= nowMs;
        this.#lastMs = nowMs;
      }
      for (const point of group.points) this.#addPoint(group.service, sender, point, nowMs);
    }
    return this.#overflowPoints - overflowBefore;
  }

  rows(): Iterable<MetricRow> {
    return this.#rows.values();
  }

  /** The last `seconds` until the newest report, or until 15 s ago when there was none since. */
  window(seconds: number): Window {
    const lastMs = Math.max(this.#lastMs ?? 0, this.#clock.now() - reportAgeMaxMs);
    const to = Math.floor(lastMs / slotMs) + 1;
    const from = to - Math.min(Math.ceil((seconds * 1000) / slotMs), slotsMax);
    // The first report is of the interval before it.
    const countedMs = lastMs - (this.#firstMs ?? 0) + slotMs;
    return { from, to, seconds: Math.min(seconds, countedMs / 1000) };
  }

  /** When the slot began: microseconds since the epoch. */
  slotStartUs(slot: number): number {
    return Math.round((this.#clock.epochMs + slot * slotMs) * 1000);
  }

  /** When the newest points came, or null. */
  get untilUs(): number | null {
    return this.#lastMs === undefined
      ? null
      : Math.round((this.#clock.epochMs + this.#lastMs) * 1000);
  }

  figures(): MetricFigures {
    return {
      rows: this.#rows.size,
      rowsMax: this.#limits.metricRowsMax,
      overflowPoints: this.#overflowPoints,
    };
  }

  #senderOf(resource: string): Sender {
    const key = hash('sha256', resource, 'base64');
    const known = this.#senders.get(key);
    const sender = known ?? {
      streams: new Map(),
      starts: new Map(),
      firstRequest: this.#requests,
      firstPoint: undefined,
    };
    // Last in the map: the one that was silent for longest is the first to go.
    if (known !== undefined) this.#senders.delete(key);
    this.#senders.set(key, sender);
    if (this.#senders.size > this.#limits.metricStreamsMax) this.#forgetSender(sender);
    return sender;
  }

  #addPoint(service: string, sender: Sender, point: DurationPoint, nowMs: number): void {
    // Each point of a delta has a start of its own.
    const key = point.isDelta ? point.key : `${point.startMs} ${point.key}`;
    const known = sender.streams.get(key);
    const stream = known ?? this.#addStream(sender, key, point, nowMs);
    const row = this.#rowOf(service, point, nowMs);
    if (row === undefined || stream === undefined) {
      this.#overflowPoints++;
      return;
    }
    if (known !== undefined) {
      stream.heardMs = nowMs;
      sender.streams.delete(key);
      sender.streams.set(key, stream);
      if (isLate(stream, point)) return;
    }
    const increment = incrementOf(stream, point, this.#bucketMap(point.boundsSeconds));
    if (increment.requests > 0) row.count(Math.floor(nowMs / slotMs), increment);
  }

  #addStream(sender: Sender, key: string, point: DurationPoint, nowMs: number): Stream | undefined {
    while (this.#streams >= this.#limits.metricStreamsMax) {
      if (!this.#forgetSilent(sender, nowMs) && !this.#forgetSender(sender)) return undefined;
    }
    const { startMs, timeMs } = point;
    const stream: Stream = {
      startMs,
      timeMs,
      heardMs: nowMs,
      sumSeconds: 0,
      buckets: new Float64Array(boundsSeconds.length + 1),
    };
    sender.streams.set(key, stream);
    this.#streams++;
    // An old process that we hear of for the first time: what it has counted so far was before us.
    if (!point.isDelta && !this.#countsAsWhole(sender, point)) {
      incrementOf(stream, point, this.#bucketMap(point.boundsSeconds));
    }
    return stream;
  }

  /** Whether all that a new stream says was counted since we know of its process. */
  #countsAsWhole(sender: Sender, { startMs, timeMs }: DurationPoint): boolean {
    const request = this.#requests;
    const known = sender.starts.get(startMs);
    if (known !== undefined) return known.request < request || known.isWhole;
    const { firstPoint } = sender;
    sender.firstPoint ??= { request, timeMs };
    const isHeardBefore = sender.firstRequest < request;
    const isSinceThen =
      firstPoint === undefined || firstPoint.request === request || startMs >= firstPoint.timeMs;
    const isWhole = timeMs - startMs <= youngMs || (isHeardBefore && isSinceThen);
    sender.starts.set(startMs, { request, isWhole });
    return isWhole;
  }

  /** Forgets the sender's stream that was silent for longest, if that was long. */
  #forgetSilent(sender: Sender, nowMs: number): boolean {
    for (const [key, stream] of sender.streams) {
      if (nowMs - stream.heardMs < silentStreamMs) return false;
      sender.streams.delete(key);
      sender.starts.delete(stream.startMs);
      this.#streams--;
      return true;
    }
    return false;
  }

  /** Forgets the sender that was silent for longest, but not `but`; false when there is no other. */
  #forgetSender(but: Sender): boolean {
    for (const [key, sender] of this.#senders) {
      if (sender === but) continue;
      this.#senders.delete(key);
      this.#streams -= sender.streams.size;
      return true;
    }
    return false;
  }

  #rowOf(service: string, point: DurationPoint, nowMs: number): MetricRow | undefined {
    const of = (name: string): string => point.attributes.get(name) ?? '';
    const isClient = point.kind === 'client';
    const peer = of(metricAttributes.peerService) || of(metricAttributes.serverAddress);
    const parts = isClient
      ? ([peer, of(metricAttributes.route), of(metricAttributes.subset)] as const)
      : (['', '', ''] as const);
    const key = JSON.stringify([point.kind, service, ...parts]);
    let row = this.#rows.get(key);
    if (row !== undefined) return row;
    if (this.#rows.size >= this.#limits.metricRowsMax) this.#forgetRows(nowMs);
    if (this.#rows.size >= this.#limits.metricRowsMax) return undefined;
    row = new MetricRow(point.kind, service, ...parts);
    this.#rows.set(key, row);
    return row;
  }

  #forgetRows(nowMs: number): void {
    for (const [key, row] of this.#rows) {
      if (row.forget(Math.floor(nowMs / slotMs))) this.#rows.delete(key);
    }
  }

  #bucketMap(bounds: readonly number[]): Uint8Array {
    const key = bounds.join();
    let map = this.#bucketMaps.get(key);
    if (map === undefined) {
      map = Uint8Array.from([...bounds, Number.POSITIVE_INFINITY], ourBucket);
      // Senders have a handful of different ones; more than that is nobody's honest need.
      if (this.#bucketMaps.size >= 100) this.#bucketMaps.clear();
      this.#bucketMaps.set(key, map);
    }
    return map;
  }
}

/** The first of our buckets that reaches up to `bound`: no request is shown faster than it was. */
function ourBucket(bound: number): number {
  const found = boundsSeconds.findIndex((ours) => bound <= ours * (1 + 1e-9));
  return found === -1 ? boundsSeconds.length : found;
}

/** Whether the stream has said as much or more already: a point that was overtaken or sent twice. */
function isLate(stream: Stream, point: DurationPoint): boolean {
  if (point.timeMs === 0) return false;
  if (!point.isDelta) return point.timeMs < stream.timeMs;
  return point.timeMs === stream.timeMs && point.startMs === stream.startMs;
}

/** What the point says beyond what its stream has said already, which it becomes. */
function incrementOf(stream: Stream, point: DurationPoint, map: Uint8Array): Increment {
  const totals = new Float64Array(stream.buckets.length);
  point.counts.forEach((count, index) => {
    totals[map[index]!]! += count;
  });
  const isReset = point.isDelta || totals.some((total, bucket) => total < stream.buckets[bucket]!);
  const buckets = totals.map((total, bucket) => total - (isReset ? 0 : stream.buckets[bucket]!));
  const sumSeconds = point.sumSeconds - (isReset ? 0 : stream.sumSeconds);
  stream.startMs = point.startMs;
  stream.timeMs = point.timeMs;
  stream.sumSeconds = point.sumSeconds;
  stream.buckets.set(totals);
  const status = point.attributes.get(metricAttributes.status) ?? '';
  const errorType = point.attributes.get(metricAttributes.errorType) ?? '';
  const requests = buckets.reduce((sum, count) => sum + count, 0);
  const outcome = outcomeOf(status, errorType);
  return { outcome, status, requests, sumSeconds: Math.max(0, sumSeconds), buckets };
}

/** 5xx, or no whole answer: error. A caller that left by itself is none, nor is what it asked wrong. */
function outcomeOf(status: string, errorType: string): Increment['outcome'] {
  const code = Number(status);
  if (status !== '' && code >= 400 && code <= 499) return 'client-error';
  return errorType !== '' || code >= 500 ? 'error' : 'good';
}
