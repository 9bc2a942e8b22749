/**
 * What the context formats before W3C's have in common: ids are read into a TraceContext and written
 * from a record; what they say of sampling is a `Decision`.
 *
 * As strict as the reader of traceparent: whatever is odd is as if it were not there.
 */

import type { ExchangeRecord } from '../record/exchange-record.ts';
import { areHexDigits, hexWordBefore, putHexWord } from './hex-digits.ts';
import { Decision, type TraceContext, TraceFlag } from './trace-context.ts';

/**
 * Takes a trace id text[traceStart, traceEnd) and a span id as digits of any number up to their full
 * lengths, zeros before them. False, and nothing is taken, where one is none or zero.
 */
export function takeIds(
  text: string,
  traceStart: number,
  traceEnd: number,
  spanStart: number,
  spanEnd: number,
  out: TraceContext,
): boolean {
  if (traceEnd - traceStart > 32 || spanEnd - spanStart > 16) return false;
  if (!areHexDigits(text, traceStart, traceEnd)) return false;
  if (!areHexDigits(text, spanStart, spanEnd)) return false;
  const traceId0 = hexWordBefore(text, traceStart, traceEnd, 3);
  const traceId1 = hexWordBefore(text, traceStart, traceEnd, 2);
  const traceId2 = hexWordBefore(text, traceStart, traceEnd, 1);
  const traceId3 = hexWordBefore(text, traceStart, traceEnd, 0);
  const parentId0 = hexWordBefore(text, spanStart, spanEnd, 1);
  const parentId1 = hexWordBefore(text, spanStart, spanEnd, 0);
  if ((traceId0 | traceId1 | traceId2 | traceId3) === 0) return false;
  if ((parentId0 | parentId1) === 0) return false;
  out.traceId0 = traceId0;
  out.traceId1 = traceId1;
  out.traceId2 = traceId2;
  out.traceId3 = traceId3;
  out.parentId0 = parentId0;
  out.parentId1 = parentId1;
  out.present = true;
  return true;
}

/** What a caller says of sampling, beside ids or without any. */
export function takeDecision(decision: number, out: TraceContext): void {
  const isSampled = decision === Decision.Accepted || decision === Decision.Debug;
  out.flags = isSampled ? TraceFlag.Sampled : 0;
  out.decision = decision;
}

/** Writes the 32 digits of the record's trace id at `out[at]`; returns the end. */
export function putTraceId(record: ExchangeRecord, out: Uint8Array, at: number): number {
  let end = putHexWord(record.traceId0, out, at);
  end = putHexWord(record.traceId1, out, end);
  end = putHexWord(record.traceId2, out, end);
  return putHexWord(record.traceId3, out, end);
}

/** Writes the 16 digits of the record's span id at `out[at]`; returns the end. */
export function putSpanId(record: ExchangeRecord, out: Uint8Array, at: number): number {
  return putHexWord(record.spanId1, out, putHexWord(record.spanId0, out, at));
}
