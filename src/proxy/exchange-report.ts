/**
 * What one exchange tells telemetry: its record, its times, its series.
 *
 * The exchange says what happened and when; this file knows what a SERVER and a CLIENT record want
 * of it. A SERVER record covers the whole exchange, a CLIENT record one attempt, a sibling of the
 * others in the same trace. Counters count exchanges, whatever number of attempts they took.
 *
 *    start      head read   connected  head sent   first byte        last byte
 *      │ .. own .. │ connect │ .. own .. │  waiting   │ own │  body ... │
 */

import type { Milliseconds } from '../base/clock.ts';
import type { Failure } from '../model/failure.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from '../telemetry/exchange-record.ts';
import type { RequestSeries } from '../telemetry/metrics.ts';
import type { MessageHead } from '../wire/http1/message-head.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { BackendPlan, RulePlan } from './plan.ts';
import type { ProxyScope } from './proxy-scope.ts';
import type { TraceHeaders } from './trace-headers.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

export class ExchangeReport {
  readonly record: ExchangeRecord = new ExchangeRecord();
  readonly #scope: ProxyScope;
  readonly #isServer: boolean;
  #series: RequestSeries;
  /** What the downstream was sent; also for CLIENT records, whose own status is the upstream's. */
  #sentStatus = 0;
  /** First byte of the request head: what the downstream waits since. */
  #startMs: Milliseconds = 0.5;
  #ownMs: Milliseconds = 0.5;
  #connectMs: Milliseconds = -0.5;
  #sentMs: Milliseconds = -0.5;

  constructor(scope: ProxyScope, isServer: boolean, series: RequestSeries) {
    this.#scope = scope;
    this.#isServer = isServer;
    this.#series = series;
    this.record.kind = isServer ? RecordKind.Server : RecordKind.Client;
  }

  /** A request begins: `startMs` its first byte; `series` counts it until a rule is found. */
  begin(startMs: Milliseconds, generation: number, series: RequestSeries): void {
    this.record.reset();
    this.record.startMs = startMs;
    this.record.generation = generation;
    this.#series = series;
    this.#sentStatus = 0;
    this.#startMs = startMs;
    this.#ownMs = 0;
    this.#connectMs = -1;
    this.#sentMs = -1;
  }

  /** Who sent what. */
  setRequest(head: MessageHead, downstream: DownstreamConnection): void {
    const { record } = this;
    record.method = head.method;
    record.target = head.target();
    record.authority = head.authority();
    record.userAgent = head.userAgent();
    if (this.#isServer) record.minorVersion = head.minorVersion;
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

  /** Where it was going, and the peer of a SERVER record. */
  #setDownstream(downstream: DownstreamConnection): void {
    const { record } = this;
    const { known } = downstream.owner;
    if (known !== undefined) record.destinationId = known.nameId;
    if (!this.#isServer) return;
    record.connectionId = downstream.id;
    record.connectionRequests = downstream.requests;
    if (downstream.requests > 1) record.flags |= RecordFlag.ConnectionReused;
    if (downstream.isSecure) record.flags |= RecordFlag.Tls;
    record.peerAddress = downstream.peerAddress;
    record.peerPort = downstream.peerPort;
  }

  beginSpan(trace: TraceHeaders): void {
    if (!this.#isServer) this.record.join = trace.join;
    this.#scope.telemetry.beginSpan(this.record, trace.context);
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
    this.record.connectUs = microseconds(this.#connectMs, from);
    this.#ownMs += to - from;
    this.#sentMs = to;
    this.#setUpstream(upstream);
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

  failed(what: Failure, flags: number): void {
    this.record.causeCode = what.code;
    this.record.flags |= flags;
  }

  /** A local reply was sent. For a CLIENT record that is no status of the upstream. */
  replied(status: number): void {
    this.#sentStatus = status;
    if (this.#isServer) this.record.status = status;
  }

  /** The exchange is over: writes the record and counts. */
  finish(
    now: Milliseconds,
    firstByteMs: Milliseconds,
    requestBytes: number,
    responseBytes: number,
  ): void {
    const { record } = this;
    this.#close(now, firstByteMs, requestBytes, responseBytes);
    this.#scope.telemetry.finish(record);
    const totalUs = this.#isServer ? record.totalUs : microseconds(this.#startMs, now);
    this.#series.observe(this.#sentStatus, record.causeCode, totalUs);
  }

  /**
   * An attempt failed with `what` and another follows. A CLIENT record is written and the next one
   * begun, a sibling in the same trace; a SERVER record only counts on.
   */
  retry(what: Failure, now: Milliseconds, requestBytes: number, trace: TraceHeaders): void {
    const { record } = this;
    const attempt = record.attempt + 1;
    if (!this.#isServer) {
      record.causeCode = what.code;
      this.#close(now, -1, requestBytes, 0);
      this.#scope.telemetry.finish(record);
      this.#beginSibling(now, trace);
    }
    record.attempt = attempt;
    record.attemptReason = what.code;
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
    record.flags = 0;
    record.startMs = now;
    record.connectUs = -1;
    record.requestUs = -1;
    record.status = 0;
    record.causeCode = 0;
    record.endpointId = 0;
    record.connectionId = 0;
    record.connectionRequests = 0;
    record.peerAddress = '';
    record.peerPort = 0;
    this.#ownMs = 0;
    this.#sentMs = -1;
    this.beginSpan(trace);
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
  }
}

function microseconds(from: Milliseconds, to: Milliseconds): number {
  return to <= from ? 0 : Math.round((to - from) * 1000);
}
