/**
 * B3, the context headers of Zipkin, in its two forms (github.com/openzipkin/b3-propagation):
 *
 *   b3: <trace id>-<span id>[-<0|1|d>[-<parent span id>]]     or  b3: <0|1|d>  without ids
 *   x-b3-traceid, x-b3-spanid, x-b3-sampled: 0|1, x-b3-flags: 1 (debug)
 *
 * Trace ids have 16 or 32 digits. The span id of a caller is our parent and never our own, and no parent
 * span id is written. Without a word on sampling the decision is the reader's.
 */

import { type ExchangeRecord, RecordFlag } from '../record/exchange-record.ts';
import { putSpanId, putTraceId, takeDecision, takeIds } from './foreign-context.ts';
import { areHexDigits } from './hex-digits.ts';
import { Decision, type TraceContext } from './trace-context.ts';

const DASH = 45;

/** Reads the value text[start, end) of `b3` into `out`; false: it says nothing. */
export function readB3(text: string, start: number, end: number, out: TraceContext): boolean {
  if (end - start === 1) {
    const decision = decisionOf(text.charCodeAt(start));
    if (decision === Decision.None) return false;
    takeDecision(decision, out);
    return true;
  }
  const traceEnd = text.charCodeAt(start + 16) === DASH ? start + 16 : start + 32;
  const spanEnd = traceEnd + 17;
  if (spanEnd > end || text.charCodeAt(traceEnd) !== DASH) return false;
  const decision = decisionBehind(text, spanEnd, end);
  if (decision === Decision.None) return false;
  if (!takeIds(text, start, traceEnd, traceEnd + 1, spanEnd, out)) return false;
  takeDecision(decision, out);
  return true;
}

/** What follows the ids: nothing, a state, or a state and a parent span id. None: something else. */
function decisionBehind(text: string, at: number, end: number): number {
  if (at === end) return Decision.Deferred;
  if (end - at !== 2 && end - at !== 19) return Decision.None;
  if (text.charCodeAt(at) !== DASH) return Decision.None;
  if (end - at === 19) {
    const isParent = text.charCodeAt(at + 2) === DASH && areHexDigits(text, at + 3, end);
    if (!isParent) return Decision.None;
  }
  return decisionOf(text.charCodeAt(at + 1));
}

function decisionOf(code: number): number {
  if (code === 49) return Decision.Accepted;
  if (code === 48) return Decision.Denied;
  return code === 100 ? Decision.Debug : Decision.None;
}

/** Where values of the fields of the second form lie in `text`; start -1: there is none. */
export interface B3Places {
  traceStart: number;
  traceEnd: number;
  spanStart: number;
  spanEnd: number;
  sampledStart: number;
  sampledEnd: number;
  flagsStart: number;
  flagsEnd: number;
}

/** Reads the second form into `out`; false: it says nothing. */
export function readB3Multi(text: string, places: B3Places, out: TraceContext): boolean {
  const decision = decisionIn(text, places);
  if (decision === Decision.None) return false;
  const { traceStart, traceEnd, spanStart, spanEnd } = places;
  if (traceStart < 0 || spanStart < 0) {
    // Half of the ids is none of them, and without ids only a decision is news.
    if (traceStart >= 0 || spanStart >= 0 || decision === Decision.Deferred) return false;
    takeDecision(decision, out);
    return true;
  }
  const length = traceEnd - traceStart;
  if ((length !== 16 && length !== 32) || spanEnd - spanStart !== 16) return false;
  if (!takeIds(text, traceStart, traceEnd, spanStart, spanEnd, out)) return false;
  takeDecision(decision, out);
  return true;
}

function decisionIn(text: string, places: B3Places): number {
  const { sampledStart, sampledEnd, flagsStart, flagsEnd } = places;
  if (flagsStart >= 0) {
    const flags = text.slice(flagsStart, flagsEnd);
    if (flags === '1') return Decision.Debug;
    if (flags !== '0') return Decision.None;
  }
  if (sampledStart < 0) return Decision.Deferred;
  const sampled = text.slice(sampledStart, sampledEnd);
  // Words are of the first tracers.
  if (sampled === '1' || sampled === 'true') return Decision.Accepted;
  return sampled === '0' || sampled === 'false' ? Decision.Denied : Decision.None;
}

const SINGLE = Buffer.from('b3: ', 'latin1');
const TRACE_ID = Buffer.from('x-b3-traceid: ', 'latin1');
const SPAN_ID = Buffer.from('\r\nx-b3-spanid: ', 'latin1');
const SAMPLED = Buffer.from('\r\nx-b3-sampled: ', 'latin1');
const DEBUG = Buffer.from('\r\nx-b3-flags: ', 'latin1');

/** What `putB3` and `putB3Multi` write at most. */
export const B3_BYTES: number = SINGLE.length + 32 + 1 + 16 + 2 + 2;
export const B3_MULTI_BYTES: number =
  TRACE_ID.length + 32 + SPAN_ID.length + 16 + SAMPLED.length + 1 + 2;

/** Writes the line `b3: ...` of the record's own span at `out[at]`; returns the end. */
export function putB3(
  record: ExchangeRecord,
  decision: number,
  out: Uint8Array,
  at: number,
): number {
  out.set(SINGLE, at);
  let end = putTraceId(record, out, at + SINGLE.length);
  out[end++] = DASH;
  end = putSpanId(record, out, end);
  out[end++] = DASH;
  out[end++] = decision === Decision.Debug ? 100 : sampledDigit(record);
  return putLineEnd(out, end);
}

/** Writes the lines of the second form; returns the end. */
export function putB3Multi(
  record: ExchangeRecord,
  decision: number,
  out: Uint8Array,
  at: number,
): number {
  out.set(TRACE_ID, at);
  let end = putTraceId(record, out, at + TRACE_ID.length);
  out.set(SPAN_ID, end);
  end = putSpanId(record, out, end + SPAN_ID.length);
  const isDebug = decision === Decision.Debug;
  const name = isDebug ? DEBUG : SAMPLED;
  out.set(name, end);
  end += name.length;
  out[end++] = isDebug ? 49 : sampledDigit(record);
  return putLineEnd(out, end);
}

function sampledDigit({ flags }: ExchangeRecord): number {
  return (flags & (RecordFlag.Sampled | RecordFlag.Kept)) === 0 ? 48 : 49;
}

function putLineEnd(out: Uint8Array, at: number): number {
  out[at] = 13;
  out[at + 1] = 10;
  return at + 2;
}
