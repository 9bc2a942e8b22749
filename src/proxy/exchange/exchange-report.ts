/**
 * What one exchange tells telemetry: its record, its times, its series.
 *
 * The exchange says what happened and when; this file knows what a SERVER and a CLIENT record want
 * of it. A SERVER record covers the whole exchange, a CLIENT record one attempt, a sibling of the
 * others in the same trace. Counters count exchanges, whatever number of attempts they took. At a Gateway
 * there are both: the SERVER record is arrival-report.ts, and the parent of the others.
 *
 *    start      head read   connected  head sent   first byte        last byte
 *      │ .. own .. │ connect │ .. own .. │  waiting   │ own │  body ... │
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { Failure } from '../../model/failure.ts';
import type { RequestSeries } from '../../telemetry/metrics/metrics.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from '../../telemetry/record/exchange-record.ts';
import { addDetail, addIdentities, methodLine } from '../../telemetry/record/record-extra.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import type { BackendPlan, ListenerPlan, RulePlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import { type NotedHeaders, noteFields } from '../trace/noted-headers.ts';
import {
  lastServerTiming,
  printServerTiming,
  putServerTiming,
  readServerTiming,
  Said,
  SERVER_TIMING_BYTES,
  stripServerTiming,
} from '../trace/server-timing.ts';
import type { TraceHeaders } from '../trace/trace-headers.ts';
import type { EndpointPool } from '../upstream/endpoint-pool.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import { ArrivalReport } from './arrival-report.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import { describeCaller, describeDownstream } from './server-record.ts';

export class ExchangeReport {
  readonly record: ExchangeRecord = new ExchangeRecord();
  /** At a Gateway, of the request under way. */
  #arrival: ArrivalReport | undefined = undefined;
  /** The same object, for the next one. */
  #spareArrival: ArrivalReport | undefined = undefined;
  readonly #scope: ProxyScope;
  readonly #isServer: boolean;
  #series: RequestSeries;
  /** The endpoint of the attempt; undefined when none was chosen, and between two exchanges. */
  #pool: EndpointPool | undefined = undefined;
  /** What the downstream was sent; also for CLIENT records, whose own status is the upstream's. */
  #sentStatus = 0;
  /** First byte of the request head: what the downstream waits since. */
  #startMs: Milliseconds = 0.5;
  /** Its last byte. */
  #readMs: Milliseconds = 0.5;
  #ownMs: Milliseconds = 0.5;
  #connectMs: Milliseconds = -0.5;
  #sentMs: Milliseconds = -0.5;
  #noted: NotedHeaders | undefined = undefined;
  /** Of the request's fields; '' when there is nothing to note. */
  #notes = '';

  constructor(scope: ProxyScope, isServer: boolean, series: RequestSeries) {
    this.#scope = scope;
    this.#isServer = isServer;
    this.#series = series;
    this.record.kind = isServer ? RecordKind.Server : RecordKind.Client;
  }

  /**
   * A request begins: `startMs` its first byte, `readMs` the end of its head; the plan's series counts it
   * until a rule is found.
   */
  begin(startMs: Milliseconds, readMs: Milliseconds, plan: ListenerPlan): void {
    this.#arrival = undefined;
    this.record.reset();
    this.record.startMs = startMs;
    this.record.generation = plan.generation;
    this.#series = plan.series;
    this.#noted = plan.noted;
    this.#notes = '';
    this.#sentStatus = 0;
    this.#startMs = startMs;
    this.#readMs = readMs;
    this.#ownMs = 0;
    this.#connectMs = -1;
    this.#sentMs = -1;
  }

  /** Who sent what. */
  setRequest(head: MessageHead, downstream: DownstreamConnection): void {
    const { record } = this;
    record.method = head.method;
    if (head.method === 0) this.setMethod(head);
    record.target = head.target();
    record.authority = head.authority();
    record.userAgent = head.userAgent();
    if (this.#isServer) record.minorVersion = head.minorVersion;
    if (this.#noted !== undefined) {
      this.#notes = noteFields(this.#noted.request, head, this.#notes);
    }
    this.#setDownstream(downstream);
  }

  /** `head`: of a request that was refused, as far as it could be read; nobody was asked for it. */
  setRefused(head: MessageHead | undefined, downstream: DownstreamConnection): void {
    if (head === undefined) this.#setDownstream(downstream);
    else this.setRequest(head, downstream);
    const onward = downstream.owner.passthrough?.cluster.pools[0];
    if (this.#isServer || onward === undefined) return;
    this.record.peerAddress = onward.address;
    this.record.peerPort = onward.port;
  }

  /** At a Gateway, before `beginSpan`: a request has come; see ArrivalReport. */
  arrive(
    head: MessageHead | undefined,
    downstream: DownstreamConnection,
    trace: TraceHeaders,
    plan: ListenerPlan,
    client: string,
  ): void {
    this.#spareArrival ??= new ArrivalReport(this.#scope);
    this.#arrival = this.#spareArrival;
    this.#arrival.begin(head, downstream, trace, plan, this.#startMs, client);
  }

  /** Of the request itself, whatever attempts there are: what policies and calls of applications are about. */
  get requestRecord(): ExchangeRecord {
    const arrived = this.#arrival?.record;
    return arrived === undefined || (arrived.flags & RecordFlag.Muted) !== 0
      ? this.record
      : arrived;
  }

  /** A method that is not known, for which a record has no number. */
  setMethod({ sentMethod }: MessageHead): void {
    if (sentMethod !== '') this.#notes = methodLine(sentMethod);
  }

  /** Where it was going, and the peer of a SERVER record. */
  #setDownstream(downstream: DownstreamConnection): void {
    const { record } = this;
    const { known } = downstream.owner;
    if (known !== undefined) record.destinationId = known.nameId;
    if (!this.#isServer) return;
    describeDownstream(record, downstream);
  }

  beginSpan(trace: TraceHeaders, downstream: DownstreamConnection): void {
    if (this.#isServer) describeCaller(this.record, trace.callbackPort, downstream);
    else {
      this.record.join = trace.join;
      this.record.joinField = trace.joinField;
    }
    this.record.flags |= trace.recordFlags;
    this.#scope.telemetry.beginSpan(this.record, trace.context);
    if (this.#notes !== '') this.#addNotes();
  }

  /** It is denied: what would have made no span as a probe makes one, for probes are let in. */
  unmute(trace: TraceHeaders, downstream: DownstreamConnection): void {
    if (!trace.isProbe) return;
    trace.recordFlags &= ~RecordFlag.Muted;
    this.record.flags &= ~RecordFlag.Muted;
    this.beginSpan(trace, downstream);
  }

  /** What the request's fields say, behind what the trace's own lines say. */
  #addNotes(): void {
    const { record } = this;
    record.extra = record.extra === '' ? this.#notes : `${record.extra}\n${this.#notes}`;
  }

  setRule(plan: RulePlan): void {
    this.record.routeId = plan.routeId;
    this.record.ruleIndex = plan.rule.index;
    this.#series = plan.series;
  }

  setBackend(plan: BackendPlan): void {
    this.record.clusterId = plan.clusterId;
    this.record.subsetId = plan.subsetId;
    this.record.weight = plan.weight;
    this.#series = plan.series;
  }

  setEndpoint(pool: EndpointPool): void {
    this.#pool = pool;
    this.record.endpointId = pool.endpointId;
  }

  /** A connection was there. `from` and `to` bound our own work. */
  leased(upstream: UpstreamConnection, from: Milliseconds, to: Milliseconds): void {
    this.#ownMs += to - from;
    this.#sentMs = to;
    this.#setUpstream(upstream);
  }

  dialling(from: Milliseconds, to: Milliseconds): void {
    this.#ownMs += to - from;
    this.#connectMs = to;
  }

  connected(upstream: UpstreamConnection, from: Milliseconds, to: Milliseconds): void {
    const { lookupUs, handshake } = upstream;
    const { record } = this;
    record.dnsUs = lookupUs;
    record.connectUs = microseconds(this.#connectMs, from);
    if (lookupUs > 0) record.connectUs = Math.max(0, record.connectUs - lookupUs);
    if (handshake !== undefined) {
      if (!this.#isServer) record.tlsUs = handshake.tlsUs;
      record.connectUs = Math.max(0, record.connectUs - handshake.tlsUs);
    }
    this.#ownMs += to - from;
    this.#sentMs = to;
    this.#setUpstream(upstream);
  }

  /**
   * The upstream's final head: what its sidecar says of the trace, which goes no further. Returns lines
   * to add in place of fields that said something beside it.
   */
  hear(head: MessageHead, pool: EndpointPool, isAsSent: boolean, now: Milliseconds): string {
    const { record } = this;
    if (this.#noted !== undefined) {
      record.extra = noteFields(this.#noted.response, head, record.extra);
    }
    this.#arrival?.hear(head);
    const index = this.#isServer ? -1 : lastServerTiming(head);
    if (index < 0) return '';
    if (!pool.isPeer) return isAsSent ? '' : stripServerTiming(head);
    const said = readServerTiming(head, index, this.record);
    if (said === Said.Nothing) return '';
    pool.isMeshed = true;
    head.dropped[index] = Dropped.Never;
    this.#scope.telemetry.learn(this.record, said === Said.Kept, now);
    return '';
  }

  /** An answer with this status is about to be sent: whether its trace is kept, as far as is known. */
  answering(status: number, now: Milliseconds): void {
    this.#answering(status, status, now);
  }

  /** `status`: of the record; `sentStatus`: what is sent. */
  #answering(status: number, sentStatus: number, now: Milliseconds): void {
    const { record } = this;
    record.status = status;
    const isKept = this.#scope.telemetry.decide(record, this.#series, now, false);
    if (this.#arrival !== undefined) this.#arrival.answering(sentStatus, this.#series, now);
    else if (this.#tellsMesh() && isKept) record.flags |= RecordFlag.PeerKeeps;
  }

  /** The downstream is told of the trace. */
  get tellsVerdict(): boolean {
    return this.#tellsMesh() || this.#tellsEdge();
  }

  /** Puts what it is told, as a line of the head. */
  putVerdict(out: WriteSlab): void {
    if (!this.#tellsMesh()) {
      out.putText(this.verdictLine);
      return;
    }
    const record = this.#served!;
    const isKept = this.#scope.telemetry.verdictOf(record);
    const memory = out.reserve(SERVER_TIMING_BYTES);
    out.length = putServerTiming(record, isKept, memory, out.length);
  }

  /** The same as text, '' when nothing is told. */
  get verdictLine(): string {
    if (!this.tellsVerdict) return '';
    const { telemetry, tracing } = this.#scope;
    const name = this.#tellsMesh() ? 'trace' : tracing.edgeResponseHeader;
    if (name === 'off') return '';
    const record = this.#served!;
    return printServerTiming(record, telemetry.verdictOf(record), name);
  }

  /** The SERVER record, if there is one. */
  get #served(): ExchangeRecord | undefined {
    return this.#isServer ? this.record : this.#arrival?.record;
  }

  #tellsMesh(): boolean {
    const port = this.#served?.callbackPort ?? 0;
    return port !== 0 && this.#scope.telemetry.isExporting;
  }

  #tellsEdge(): boolean {
    const { telemetry, tracing } = this.#scope;
    if (tracing.edge === undefined || tracing.edgeResponseHeader === 'off') return false;
    return this.#served?.callbackPort === 0 && telemetry.isExporting;
  }

  /** The last byte of the request has been written. */
  requestSent(now: Milliseconds): void {
    if (this.#sentMs >= 0) this.record.requestUs = microseconds(this.#sentMs, now);
  }

  /** The final head was read at `from` (with its first bytes) and written at `to`. Once. */
  responded(head: MessageHead, from: Milliseconds, to: Milliseconds): void {
    if (this.#sentStatus !== 0) return;
    this.#sentStatus = head.status;
    this.record.status = head.status;
    if (!this.#isServer) this.record.minorVersion = head.minorVersion;
    this.#ownMs += to - from;
  }

  /** `detail`: what it is about, for whoever reads the trace or the log; '' for nothing. */
  failed(what: Failure, flags: number, detail: string): void {
    this.#arrival?.detail(detail);
    this.#failed(what, flags, detail);
  }

  #failed(what: Failure, flags: number, detail: string): void {
    const { record } = this;
    record.causeCode = what.code;
    record.flags |= flags;
    record.extra = addDetail(record.extra, detail);
  }

  /** The endpoint of the attempt has proved to be somebody else than it has to be. */
  setStranger(expected: string, proved: string): void {
    this.record.extra = addIdentities(this.record.extra, expected, proved);
  }

  /**
   * A local reply is about to be sent, at `to`; what made it one was met at `from`. For a CLIENT record
   * that is no status of the upstream.
   */
  replied(status: number, from: Milliseconds, to: Milliseconds): void {
    this.#sentStatus = status;
    this.#answered(from, to);
    this.#answering(this.#isServer ? status : this.record.status, status, to);
  }

  /** A Gateway answers by itself, and well: it is the status of the record, whatever its kind. */
  redirected(status: number, from: Milliseconds, to: Milliseconds): void {
    this.#sentStatus = status;
    this.#answered(from, to);
    this.answering(status, to);
  }

  /** By the proxy itself: where nobody was asked, all since the request was there is its own work. */
  #answered(from: Milliseconds, to: Milliseconds): void {
    const isOwn = this.#sentMs < 0 && this.#connectMs < 0;
    this.#ownMs += to - (isOwn ? this.#readMs : from);
  }

  /** The exchange is over: writes the record and counts. */
  finish(
    now: Milliseconds,
    firstByteMs: Milliseconds,
    requestBytes: number,
    responseBytes: number,
  ): void {
    const { record } = this;
    const arrival = this.#arrival;
    // A Gateway that has asked nobody has made no attempt.
    const isAlone = arrival !== undefined && this.#pool === undefined && record.attempt === 0;
    this.#close(now, firstByteMs, requestBytes, responseBytes);
    if (!isAlone) this.#end(now);
    arrival?.finish(record, isAlone, this.#sentStatus, firstByteMs, this.#series, now);
    const totalUs = this.#isServer ? record.totalUs : microseconds(this.#startMs, now);
    this.#series.observe(record, this.#sentStatus, totalUs);
  }

  /**
   * An attempt failed with `what` and another follows. A CLIENT record is written and the next one
   * begun, a sibling in the same trace; a SERVER record only counts on.
   */
  retry(what: Failure, detail: string, now: Milliseconds, trace: TraceHeaders): void {
    const { record } = this;
    const attempt = record.attempt + 1;
    if (!this.#isServer) {
      this.#failed(what, 0, detail);
      this.#close(now, -1, 0, 0);
      this.#series.observeAttempt(record);
      this.#end(now);
      this.#beginSibling(now, trace);
    }
    record.attempt = attempt;
    record.attemptReason = what.code;
  }

  /** The record is whole. */
  #end(now: Milliseconds): void {
    const { record } = this;
    const { telemetry } = this.#scope;
    telemetry.decide(record, this.#series, now, true);
    // Who did not answer this time may have recorded it all the same.
    const isSilent = !this.#isServer && record.status === 0;
    if (isSilent && this.#pool?.isMeshed === true) record.flags |= RecordFlag.PeerMeshed;
    this.#pool = undefined;
    telemetry.finish(record);
  }

  #close(
    now: Milliseconds,
    firstByteMs: Milliseconds,
    requestBytes: number,
    responseBytes: number,
  ): void {
    const { record } = this;
    if (firstByteMs >= 0) {
      record.firstByteUs = microseconds(record.startMs, firstByteMs);
      record.responseUs = microseconds(firstByteMs, now);
    }
    record.requestBytes = requestBytes;
    record.responseBytes = responseBytes;
    record.proxyUs = microseconds(0, this.#ownMs);
    record.seriesId = this.#series.id;
    const zone = this.#isServer ? this.#scope.telemetry.metrics.zones.inbound : this.#pool?.bytes;
    zone?.add(requestBytes, responseBytes);
    record.totalUs = microseconds(record.startMs, now);
  }

  #beginSibling(now: Milliseconds, trace: TraceHeaders): void {
    const { record } = this;
    const { context } = trace;
    const wasRoot = !context.present;
    const { sampledBy } = record;
    if (wasRoot) {
      // The first attempt began the trace; the next one is its sibling, without a parent too.
      context.present = true;
      context.traceId0 = record.traceId0;
      context.traceId1 = record.traceId1;
      context.traceId2 = record.traceId2;
      context.traceId3 = record.traceId3;
      context.flags = (record.flags & RecordFlag.Sampled ? 1 : 0) | 2;
    }
    record.flags = trace.recordFlags;
    record.startMs = now;
    record.dnsUs = -1;
    record.connectUs = -1;
    record.tlsUs = -1;
    record.tlsVersion = 0;
    record.principalId = 0;
    record.requestUs = -1;
    record.status = 0;
    record.causeCode = 0;
    record.endpointId = 0;
    record.connectionId = 0;
    record.connectionRequests = 0;
    record.peerAddress = '';
    record.peerPort = 0;
    record.extra = '';
    this.#ownMs = 0;
    this.#sentMs = -1;
    this.#scope.telemetry.beginSpan(record, context);
    if (this.#notes !== '') this.#addNotes();
    if (!wasRoot) return;
    context.present = false;
    record.flags &= ~RecordFlag.HasParent;
    record.parentId0 = 0;
    record.parentId1 = 0;
    record.sampledBy = sampledBy;
  }

  #setUpstream(upstream: UpstreamConnection): void {
    if (this.#isServer) return;
    const { record } = this;
    record.connectionId = upstream.id;
    record.connectionRequests = upstream.requests;
    if (upstream.requests > 1) record.flags |= RecordFlag.ConnectionReused;
    record.peerAddress = upstream.pool.address;
    record.peerPort = upstream.pool.port;
    if (upstream.handshake === undefined) return;
    record.flags |= RecordFlag.Tls;
    record.tlsVersion = upstream.handshake.version;
    record.principalId = upstream.pool.principalId;
  }
}

function microseconds(from: Milliseconds, to: Milliseconds): number {
  return to <= from ? 0 : Math.round((to - from) * 1000);
}
