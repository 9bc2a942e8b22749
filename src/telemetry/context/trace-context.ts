/**
 * Trace context headers: W3C traceparent and tracestate, levels 1 and 2 (reference/tracing.md 2.5).
 *
 * Reading answers valid or not, never why: an invalid traceparent restarts the trace and takes the
 * tracestate with it. Two traceparent fields are invalid too; only the caller sees both, and then it
 * calls `context.clear()`. Hot: no regex, no object, no string.
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { type ExchangeRecord, RecordFlag } from '../record/exchange-record.ts';

/** Bits of a traceparent's flags that we know; the rest is zeroed on the way out. */
export const TraceFlag = { Sampled: 1, Random: 2 } as const;

/**
 * What a caller has decided about sampling, where its words are not the sampled flag alone. `Deferred`:
 * it left the decision to us. `Capped`: it asked for a sample, but there were too many of those.
 */
export const Decision = {
  None: 0,
  Deferred: 1,
  Denied: 2,
  Accepted: 3,
  Debug: 4,
  Capped: 5,
} as const;

/** What a received trace context says. One object a connection, reused for every request. */
export class TraceContext {
  /** Whether a trace is continued; without it ids and flags mean nothing. */
  present = false;
  /** Big end first, signed 32-bit patterns. */
  traceId0 = 0;
  traceId1 = 0;
  traceId2 = 0;
  traceId3 = 0;
  parentId0 = 0;
  parentId1 = 0;
  /** As received, 8 bits: test bits of TraceFlag, never compare. */
  flags = 0;
  /** `Decision`; it stands without a trace too, for the one that begins. */
  decision: number = Decision.None;
  /** Bits of `Propagator` (settings.ts): formats that the request came with. */
  formats = 0;
  /**
   * The rejection threshold of the trace (`ot=th` of tracestate), high 24 and low 32 bits of 56; high
   * -1: none is known. Read by the caller; `beginSpan` sets the one that goes on.
   */
  thresholdHigh = NONE;
  thresholdLow = 0;
  /** `beginSpan` has set another threshold, or none, in place of the one that came. */
  hasOtherThreshold = false;
  /** Explicit randomness (`ot=rv`) in the same form; high -1: the trace id's last 56 bits are it. */
  randomHigh = NONE;
  randomLow = 0;

  /** As if no trace context had been received. */
  clear(): void {
    this.present = false;
    this.decision = Decision.None;
    this.formats = 0;
    this.hasOtherThreshold = false;
    this.forgetSampling();
  }

  /** As if tracestate had said nothing about sampling. */
  forgetSampling(): void {
    this.thresholdHigh = NONE;
    this.randomHigh = NONE;
  }

  /** What goes on says `high` and `low`; high -1: nothing. */
  setThreshold(high: number, low: number): void {
    if (high === this.thresholdHigh && low === this.thresholdLow) return;
    this.hasOtherThreshold = true;
    this.thresholdHigh = high;
    this.thresholdLow = low;
  }
}

const NONE = -1;

const DASH = 45;
const VERSION_00_LENGTH = 55;

/** Value of each lower-case hex digit by its code; -1 for every other code below 256. */
const hexValues = new Int8Array(256).fill(-1);
for (let value = 0; value < 16; value++) hexValues[value.toString(16).charCodeAt(0)] = value;

/**
 * Reads the field value text[start, end), without surrounding whitespace, into `out`. Returns
 * `out.present`: whether it is valid (W3C trace-context 3.2: version 00 has exactly 55 characters,
 * a higher one at least that many and then a dash, ff never; ids are lower-case and not all zero).
 */
export function readTraceparent(
  text: string,
  start: number,
  end: number,
  out: TraceContext,
): boolean {
  out.present = false;
  const length = end - start;
  if (length < VERSION_00_LENGTH || text.charCodeAt(start + 2) !== DASH) return false;
  if (text.charCodeAt(start + 35) !== DASH || text.charCodeAt(start + 52) !== DASH) return false;
  const version = hexPair(text, start);
  if (version < 0 || version === 0xff) return false;
  if (length > VERSION_00_LENGTH) {
    if (version === 0 || text.charCodeAt(start + VERSION_00_LENGTH) !== DASH) return false;
  }
  const flags = hexPair(text, start + 53);
  if (flags < 0) return false;
  isHex = true;
  const traceId0 = hexWord(text, start + 3);
  const traceId1 = hexWord(text, start + 11);
  const traceId2 = hexWord(text, start + 19);
  const traceId3 = hexWord(text, start + 27);
  const parentId0 = hexWord(text, start + 36);
  const parentId1 = hexWord(text, start + 44);
  if (!isHex) return false;
  if ((traceId0 | traceId1 | traceId2 | traceId3) === 0 || (parentId0 | parentId1) === 0) {
    return false;
  }
  out.traceId0 = traceId0;
  out.traceId1 = traceId1;
  out.traceId2 = traceId2;
  out.traceId3 = traceId3;
  out.parentId0 = parentId0;
  out.parentId1 = parentId1;
  out.flags = flags;
  out.present = true;
  return true;
}

function hexValue(text: string, index: number): number {
  const code = text.charCodeAt(index);
  return code < 256 ? hexValues[code]! : -1;
}

/** Two digits, or something negative. */
function hexPair(text: string, index: number): number {
  const high = hexValue(text, index);
  const low = hexValue(text, index + 1);
  return high < 0 ? -1 : (high << 4) | low;
}

/** Cleared by `hexWord`; a second result without an object. */
let isHex = true;

/** Eight digits as a signed 32-bit pattern; clears `isHex` when one of them is none. */
function hexWord(text: string, at: number): number {
  const digit0 = hexValue(text, at);
  const digit1 = hexValue(text, at + 1);
  const digit2 = hexValue(text, at + 2);
  const digit3 = hexValue(text, at + 3);
  const digit4 = hexValue(text, at + 4);
  const digit5 = hexValue(text, at + 5);
  const digit6 = hexValue(text, at + 6);
  const digit7 = hexValue(text, at + 7);
  // An invalid digit is negative, and its sign survives the or.
  const sign = digit0 | digit1 | digit2 | digit3 | digit4 | digit5 | digit6 | digit7;
  if (sign < 0) isHex = false;
  return (
    (digit0 << 28) |
    (digit1 << 24) |
    (digit2 << 20) |
    (digit3 << 16) |
    (digit4 << 12) |
    (digit5 << 8) |
    (digit6 << 4) |
    digit7
  );
}

const hexDigits = Buffer.from('0123456789abcdef', 'latin1');
const line = Buffer.from(`traceparent: 00-${'0'.repeat(32)}-${'0'.repeat(16)}-00\r\n`, 'latin1');
const TRACE_AT = 16;
const SPAN_AT = TRACE_AT + 33;
const FLAGS_AT = SPAN_AT + 17;

export const TRACEPARENT_LINE_BYTES = line.length;

/**
 * Writes the header line `traceparent: 00-...-...-0x\r\n` that names the record's own span as parent
 * at `out[at]`, which has room for TRACEPARENT_LINE_BYTES, and returns its end. Nothing when the
 * record belongs to no trace (telemetry is off and none was received).
 */
export function putTraceparent(record: ExchangeRecord, out: Uint8Array, at: number): number {
  if ((record.traceId0 | record.traceId1 | record.traceId2 | record.traceId3) === 0) return at;
  writeWord(record.traceId0, TRACE_AT);
  writeWord(record.traceId1, TRACE_AT + 8);
  writeWord(record.traceId2, TRACE_AT + 16);
  writeWord(record.traceId3, TRACE_AT + 24);
  writeWord(record.spanId0, SPAN_AT);
  writeWord(record.spanId1, SPAN_AT + 8);
  const flags = record.flags;
  line[FLAGS_AT + 1] =
    hexDigits[
      ((flags & (RecordFlag.Sampled | RecordFlag.Kept)) !== 0 ? TraceFlag.Sampled : 0) |
        ((flags & RecordFlag.RandomId) !== 0 ? TraceFlag.Random : 0)
    ]!;
  out.set(line, at);
  return at + TRACEPARENT_LINE_BYTES;
}

function writeWord(word: number, at: number): void {
  line[at] = hexDigits[word >>> 28]!;
  line[at + 1] = hexDigits[(word >>> 24) & 15]!;
  line[at + 2] = hexDigits[(word >>> 20) & 15]!;
  line[at + 3] = hexDigits[(word >>> 16) & 15]!;
  line[at + 4] = hexDigits[(word >>> 12) & 15]!;
  line[at + 5] = hexDigits[(word >>> 8) & 15]!;
  line[at + 6] = hexDigits[(word >>> 4) & 15]!;
  line[at + 7] = hexDigits[word & 15]!;
}

/**
 * What is forwarded of a tracestate whose fields were joined with `,` in their order: its members
 * without whitespace and empty ones. Empty (drop the header) when it is not valid: a key or value
 * that breaks the grammar, a key twice, more than 32 members (W3C suite, strict level 2). A valid
 * one over the limit loses whole members: those over 128 characters first, then from the right. At
 * most `membersMax` stay. Only for requests whose traceparent is valid.
 */
export function acceptTracestate(
  joined: string,
  membersMax = telemetryLimits.tracestateMembersMax,
): string {
  const members: string[] = [];
  const keys = new Set<string>();
  let length = -1;
  for (let start = 0; start <= joined.length; ) {
    const comma = joined.indexOf(',', start);
    const end = comma === -1 ? joined.length : comma;
    const from = skipSpace(joined, start, end);
    const to = trimSpace(joined, from, end);
    start = end + 1;
    if (from === to) continue;
    const equals = joined.indexOf('=', from);
    if (equals === -1 || equals >= to) return '';
    if (!isKey(joined, from, equals) || !isValue(joined, equals + 1, to)) return '';
    keys.add(joined.slice(from, equals));
    members.push(joined.slice(from, to));
    length += to - from + 1;
    if (members.length !== keys.size) return '';
    if (members.length > telemetryLimits.tracestateMembersMax) return '';
  }
  if (length > telemetryLimits.tracestateBytesMax) cutMembers(members, length);
  if (members.length > membersMax) members.length = membersMax;
  return members.join(',');
}

const LONG_MEMBER = 128;

/** Takes whole members out, from the right, until the rest joins to the limit. */
function cutMembers(members: string[], joinedLength: number): void {
  let length = joinedLength;
  for (let longest = true; ; longest = false) {
    for (let index = members.length - 1; index >= 0; index--) {
      if (length <= telemetryLimits.tracestateBytesMax) return;
      if (longest && members[index]!.length <= LONG_MEMBER) continue;
      length -= members[index]!.length + 1;
      members.splice(index, 1);
    }
    if (!longest) return;
  }
}

function skipSpace(text: string, start: number, end: number): number {
  let index = start;
  while (index < end && isSpace(text.charCodeAt(index))) index++;
  return index;
}

function trimSpace(text: string, start: number, end: number): number {
  let index = end;
  while (index > start && isSpace(text.charCodeAt(index - 1))) index--;
  return index;
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9;
}

/** simple-key of up to 256, or tenant-id of up to 241 `@` system-id of up to 14 (W3C 3.3.1.3.1). */
function isKey(text: string, start: number, end: number): boolean {
  const at = text.indexOf('@', start);
  if (at === -1 || at >= end) {
    return end - start <= 256 && isLower(text.charCodeAt(start)) && areKey(text, start + 1, end);
  }
  const isTenant = at > start && at - start <= 241 && areKey(text, start, at);
  const system = at + 1;
  if (!isTenant || system === end || end - system > 14) return false;
  const first = text.charCodeAt(start);
  if (!isLower(first) && !isDigit(first)) return false;
  return isLower(text.charCodeAt(system)) && areKey(text, system + 1, end);
}

function areKey(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index);
    // _ - * /
    const isMark = code === 95 || code === 45 || code === 42 || code === 47;
    if (!isMark && !isLower(code) && !isDigit(code)) return false;
  }
  return start <= end;
}

function isLower(code: number): boolean {
  return code >= 97 && code <= 122;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** 1 to 256 printable characters but `,` and `=`; the last one was seen not to be a space. */
function isValue(text: string, start: number, end: number): boolean {
  if (end === start || end - start > 256) return false;
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index);
    if (code < 32 || code > 126 || code === 61) return false;
  }
  return true;
}
