/**
 * `uber-trace-id`, the context header of Jaeger's own clients:
 *
 *   <trace id>:<span id>:<parent span id>:<flags>     flags in hex: 1 sampled, 2 debug
 *
 * Ids lack their zeros in front; the colons may come as %3A. The parent span id is out of use and read
 * as nothing. It is written where a request came with it, or where OTEL_PROPAGATORS names `jaeger`.
 */

import { type ExchangeRecord, RecordFlag } from '../record/exchange-record.ts';
import { putSpanId, putTraceId, takeDecision, takeIds } from './foreign-context.ts';
import { areHexDigits, hexWordBefore } from './hex-digits.ts';
import { Decision, type TraceContext } from './trace-context.ts';

const COLON = 58;
const PERCENT = 37;

/** Reads the value text[start, end) into `out`; false: it says nothing. */
export function readUber(text: string, start: number, end: number, out: TraceContext): boolean {
  const traceEnd = partEnd(text, start, end);
  const spanStart = behindColon(text, traceEnd, end);
  const spanEnd = partEnd(text, spanStart, end);
  const parentStart = behindColon(text, spanEnd, end);
  const parentEnd = partEnd(text, parentStart, end);
  const flagsStart = behindColon(text, parentEnd, end);
  if (flagsStart < 0 || flagsStart >= end || end - flagsStart > 2) return false;
  const hasParent = parentEnd > parentStart;
  if (hasParent && (parentEnd - parentStart > 16 || !areHexDigits(text, parentStart, parentEnd))) {
    return false;
  }
  if (!areHexDigits(text, flagsStart, end)) return false;
  if (!takeIds(text, start, traceEnd, spanStart, spanEnd, out)) return false;
  const flags = hexWordBefore(text, flagsStart, end, 0);
  if ((flags & 1) === 0) takeDecision(Decision.Denied, out);
  else takeDecision((flags & 2) === 0 ? Decision.Accepted : Decision.Debug, out);
  return true;
}

/** Where the digits from `start` on end; `start` may be -1. */
function partEnd(text: string, start: number, end: number): number {
  if (start < 0) return -1;
  let at = start;
  while (at < end && text.charCodeAt(at) !== COLON && text.charCodeAt(at) !== PERCENT) at++;
  return at;
}

/** Just past the colon at `at`, in either form; -1: there is none. */
function behindColon(text: string, at: number, end: number): number {
  if (at < 0 || at >= end) return -1;
  if (text.charCodeAt(at) === COLON) return at + 1;
  if (at + 3 > end || text.charCodeAt(at + 1) !== 51) return -1;
  // %3A or %3a
  return (text.charCodeAt(at + 2) | 32) === 97 ? at + 3 : -1;
}

const NAME = Buffer.from('uber-trace-id: ', 'latin1');

/** What `putUber` writes. */
export const UBER_BYTES: number = NAME.length + 32 + 1 + 16 + 1 + 1 + 1 + 1 + 2;

/** Writes the line of the record's own span at `out[at]`; returns the end. */
export function putUber(
  record: ExchangeRecord,
  decision: number,
  out: Uint8Array,
  at: number,
): number {
  out.set(NAME, at);
  let end = putTraceId(record, out, at + NAME.length);
  out[end++] = COLON;
  end = putSpanId(record, out, end);
  out[end++] = COLON;
  out[end++] = 48;
  out[end++] = COLON;
  const isSampled = (record.flags & (RecordFlag.Sampled | RecordFlag.Kept)) !== 0;
  out[end++] = decision === Decision.Debug ? 51 : isSampled ? 49 : 48;
  out[end++] = 13;
  out[end++] = 10;
  return end;
}
