/**
 * The SERVER record of a request at a Gateway: who has called, and what became of it. The attempts to
 * answer it are CLIENT records, its children, as they would be of a sidecar whose application did nothing.
 *
 *   caller's span ──► SERVER ──┬──► CLIENT, a first attempt
 *                              └──► CLIENT, another one       none: the gateway has answered by itself
 *
 * It counts nothing: metrics are those of the exchange (exchange-report.ts), which has this beside it.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { RequestSeries } from '../../telemetry/metrics/metrics.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from '../../telemetry/record/exchange-record.ts';
import {
  addDetail,
  clientLine,
  methodLine,
  subjectLine,
} from '../../telemetry/record/record-extra.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import type { ListenerPlan } from '../plan/plan.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { type NotedHeaders, noteFields } from '../trace/noted-headers.ts';
import type { TraceHeaders } from '../trace/trace-headers.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import { describeCaller, describeDownstream } from './server-record.ts';

/** What the end of an exchange says of it, and of its last attempt. */
const ENDS = RecordFlag.DownstreamGone | RecordFlag.BodyCut;

export class ArrivalReport {
  readonly record: ExchangeRecord = new ExchangeRecord();
  readonly #scope: ProxyScope;
  #noted: NotedHeaders | undefined = undefined;

  constructor(scope: ProxyScope) {
    this.#scope = scope;
    this.record.kind = RecordKind.Server;
  }

  /**
   * A request has come; its first byte at `startMs`. `client`: the address of who has sent it, as far as
   * that can be believed. `head`: undefined where not even its first line can be read. From here on what
   * goes on of `trace` is a child of this span.
   */
  begin(
    head: MessageHead | undefined,
    downstream: DownstreamConnection,
    trace: TraceHeaders,
    plan: ListenerPlan,
    startMs: Milliseconds,
    client: string,
  ): void {
    const { record } = this;
    record.reset();
    record.startMs = startMs;
    record.generation = plan.generation;
    this.#noted = plan.notedOnArrival;
    describeDownstream(record, downstream);
    describeCaller(record, trace.callbackPort, downstream);
    record.flags |= trace.recordFlags;
    const { subject = '' } = downstream.owner;
    let notes = clientLine(client);
    if (subject !== '') notes = `${notes}\n${subjectLine(subject)}`;
    if (head !== undefined) {
      record.method = head.method;
      record.target = head.target();
      record.authority = head.authority();
      record.userAgent = head.userAgent();
      record.minorVersion = head.minorVersion;
      if (head.sentMethod !== '') notes = `${methodLine(head.sentMethod)}\n${notes}`;
      if (this.#noted !== undefined) notes = noteFields(this.#noted.request, head, notes);
    }
    this.#scope.telemetry.beginSpan(record, trace.context);
    record.extra = record.extra === '' ? notes : `${record.extra}\n${notes}`;
    trace.continueFrom(record);
  }

  /** The final head of an upstream. */
  hear(head: MessageHead): void {
    const { record } = this;
    if (this.#noted === undefined) return;
    record.extra = noteFields(this.#noted.response, head, record.extra);
  }

  /** What went wrong was about this. */
  detail(text: string): void {
    this.record.extra = addDetail(this.record.extra, text);
  }

  /** An answer with this status is about to be sent. Whether the trace is kept, as far as is known. */
  answering(status: number, series: RequestSeries, now: Milliseconds): void {
    const { record } = this;
    record.status = status;
    const isKept = this.#scope.telemetry.decide(record, series, now, false);
    if (record.callbackPort !== 0 && isKept) record.flags |= RecordFlag.PeerKeeps;
  }

  /**
   * The exchange is over; `last`: the record of its last attempt, or of none (`isAlone`), which has been
   * closed. `sentStatus`: what the downstream was sent, 0 for nothing.
   */
  finish(
    last: ExchangeRecord,
    isAlone: boolean,
    sentStatus: number,
    firstByteMs: Milliseconds,
    series: RequestSeries,
    now: Milliseconds,
  ): void {
    const { record } = this;
    const { telemetry } = this.#scope;
    record.status = sentStatus;
    record.causeCode = last.causeCode;
    record.routeId = last.routeId;
    record.ruleIndex = last.ruleIndex;
    // The guard has written it here, but for a record that is muted (ExchangeReport.requestRecord).
    if (record.policyId === 0) {
      record.policyId = last.policyId;
      record.policyBits = last.policyBits;
    }
    record.flags |= last.flags & ENDS;
    record.requestBytes = last.requestBytes;
    record.responseBytes = last.responseBytes;
    if (firstByteMs >= 0) {
      record.firstByteUs = microseconds(record.startMs, firstByteMs);
      record.responseUs = microseconds(firstByteMs, now);
    }
    // The share of the proxy is told once: by the attempts, where there are any.
    if (isAlone) record.proxyUs = last.proxyUs;
    record.totalUs = microseconds(record.startMs, now);
    telemetry.decide(record, series, now, true);
    telemetry.finish(record);
  }
}

function microseconds(from: Milliseconds, to: Milliseconds): number {
  return Math.max(0, Math.round((to - from) * 1_000));
}
