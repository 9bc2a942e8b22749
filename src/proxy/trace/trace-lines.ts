/**
 * What Tracecar puts into the head of a request that goes on: trace context in all its formats, our member
 * of tracestate before those of others, a request id where there is none.
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { HOP_LINE_BYTES, putHops } from '../../telemetry/context/hop-state.ts';
import {
  putThreshold,
  replaceThreshold,
  THRESHOLD_BYTES,
} from '../../telemetry/context/sampling-state.ts';
import {
  Decision,
  putTraceparent,
  TRACEPARENT_LINE_BYTES,
  type TraceContext,
} from '../../telemetry/context/trace-context.ts';
import {
  type ExchangeRecord,
  RecordFlag,
  RecordKind,
} from '../../telemetry/record/exchange-record.ts';
import { Propagator } from '../../telemetry/settings/settings.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import { putForeign } from './foreign-headers.ts';
import { putRequestId, REQUEST_ID_BYTES } from './request-id.ts';
import type { TraceHeaders } from './trace-headers.ts';

/** Ours is one of them. */
export const OTHER_MEMBERS_MAX: number = telemetryLimits.tracestateMembersMax - 1;

/** The lines that every forwarded request gets, at most but for the members of others. */
const LINES_BYTES = TRACEPARENT_LINE_BYTES + HOP_LINE_BYTES + THRESHOLD_BYTES;

/**
 * Puts the lines that every forwarded request gets, for the span that `record` tells of. Where none is
 * made, the traceparent of `head` goes on byte for byte: a flag may only change with the parent id (W3C
 * trace-context 3.4).
 */
export function putTraceLines(
  headers: TraceHeaders,
  head: MessageHead,
  record: ExchangeRecord,
  out: WriteSlab,
): void {
  const { context } = headers;
  const isPassed = isWithoutSpan(record, context) && putAsReceived(head, out);
  // It was not chosen by a probability, so none goes on with it.
  if (context.thresholdHigh >= 0 && isKeptLater(record)) context.setThreshold(-1, 0);
  const memory = out.reserve(LINES_BYTES);
  const hasOwn = !headers.isOff && !isPassed;
  let end = hasOwn ? putTraceparent(record, memory, out.length) : out.length;
  end = putHops(headers.hops, headers.ownPort, memory, end);
  const { states } = headers;
  if (context.thresholdHigh >= 0 && states === '') {
    end = putThreshold(context.thresholdHigh, context.thresholdLow, memory, end);
  }
  out.length = end;
  out.putText(states === '' ? '\r\n' : othersOf(states, context));
  const formats = headers.foreignFormats;
  if (formats !== 0 && hasTrace(record)) putForeign(formats, record, context.decision, out);
}

/**
 * Puts a request id where the request has none: towards the own application, and towards others that a
 * rule or a service names (`isKnown`).
 */
export function putRequestIdLine(
  headers: TraceHeaders,
  record: ExchangeRecord,
  isKnown: boolean,
  out: WriteSlab,
): void {
  if (!headers.lacksRequestId || !hasTrace(record)) return;
  if (!isKnown && record.kind !== RecordKind.Server) return;
  const { idSpan0, idSpan1 } = headers;
  const memory = out.reserve(REQUEST_ID_BYTES);
  out.length = putRequestId(record, idSpan0, idSpan1, memory, out.length);
}

/** Telemetry that is off and gets no context has none. */
export function hasTrace(record: ExchangeRecord): boolean {
  return (record.traceId0 | record.traceId1 | record.traceId2 | record.traceId3) !== 0;
}

/** The parent goes on as it is; but for one whose caller has no say about sampling. */
function isWithoutSpan(record: ExchangeRecord, context: TraceContext): boolean {
  if (record.spanId1 !== context.parentId1 || record.spanId0 !== context.parentId0) return false;
  return (context.formats & Propagator.W3c) !== 0 && context.decision !== Decision.Capped;
}

/** Cold. False: there is none. */
function putAsReceived(head: MessageHead, out: WriteSlab): boolean {
  const index = head.indexOf(FieldId.Traceparent);
  if (index < 0) return false;
  out.putText(`${head.name(index)}: ${head.value(index)}\r\n`);
  return true;
}

function isKeptLater({ flags }: ExchangeRecord): boolean {
  return (flags & (RecordFlag.Sampled | RecordFlag.Kept)) === RecordFlag.Kept;
}

/** The members of others that go on behind ours, with the end of the line. Cold. */
function othersOf(states: string, context: TraceContext): string {
  if (!context.hasOtherThreshold) return `,${states}\r\n`;
  const others = replaceThreshold(states, context, OTHER_MEMBERS_MAX);
  return others === '' ? '\r\n' : `,${others}\r\n`;
}
