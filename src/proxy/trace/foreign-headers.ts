/**
 * The context headers of B3 and Jaeger in a request head: read where W3C's said nothing, and written
 * again where a request came with them, so that old applications and new ones meet in one trace.
 */

import {
  B3_BYTES,
  B3_MULTI_BYTES,
  type B3Places,
  putB3,
  putB3Multi,
  readB3,
  readB3Multi,
} from '../../telemetry/context/b3.ts';
import { TraceContext } from '../../telemetry/context/trace-context.ts';
import { putUber, readUber, UBER_BYTES } from '../../telemetry/context/uber-trace.ts';
import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';
import { Propagator } from '../../telemetry/settings/settings.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import { FOREIGN, Seen, type TraceFields } from './trace-fields.ts';

/** Formats that this file reads and writes, as bits of Propagator. */
export const FOREIGN_FORMATS: number = Propagator.B3 | Propagator.B3Multi | Propagator.Uber;

const B3_MULTI = [
  Seen.B3TraceId,
  Seen.B3SpanId,
  Seen.B3ParentSpanId,
  Seen.B3Sampled,
  Seen.B3Flags,
] as const;

const MULTI = B3_MULTI.reduce((bits, kind) => bits | (1 << kind), 0);

const places: B3Places = {
  traceStart: -1,
  traceEnd: -1,
  spanStart: -1,
  spanEnd: -1,
  sampledStart: -1,
  sampledEnd: -1,
  flagsStart: -1,
  flagsEnd: -1,
};

/** What is read where the context is known already. */
const spare = new TraceContext();

/**
 * Reads the first format that says something, B3's single form before its other, Jaeger last, unless
 * `context` is present already. All that are there and well-formed are noted in `context.formats`.
 */
export function readForeign(head: MessageHead, fields: TraceFields, context: TraceContext): void {
  if (!fields.hasAny(FOREIGN)) return;
  const { text, valueStart, valueEnd } = head;
  let isOpen = !context.present;
  if (fields.hasOne(Seen.B3)) {
    const at = fields.indexOf(Seen.B3);
    if (readB3(text, valueStart[at]!, valueEnd[at]!, isOpen ? context : spare)) {
      context.formats |= Propagator.B3;
      isOpen = false;
    }
  }
  if (fields.hasAny(MULTI) && findMulti(head, fields)) {
    if (readB3Multi(text, places, isOpen ? context : spare)) {
      context.formats |= Propagator.B3Multi;
      isOpen = false;
    }
  }
  if (fields.hasOne(Seen.UberTraceId)) {
    const at = fields.indexOf(Seen.UberTraceId);
    if (readUber(text, valueStart[at]!, valueEnd[at]!, isOpen ? context : spare)) {
      context.formats |= Propagator.Uber;
    }
  }
}

/** Sets `places`; false: a field of the form came twice. */
function findMulti(head: MessageHead, fields: TraceFields): boolean {
  for (const kind of B3_MULTI) if (fields.has(kind) && !fields.hasOne(kind)) return false;
  const start = (kind: number) => (fields.has(kind) ? head.valueStart[fields.indexOf(kind)]! : -1);
  const end = (kind: number) => (fields.has(kind) ? head.valueEnd[fields.indexOf(kind)]! : -1);
  places.traceStart = start(Seen.B3TraceId);
  places.traceEnd = end(Seen.B3TraceId);
  places.spanStart = start(Seen.B3SpanId);
  places.spanEnd = end(Seen.B3SpanId);
  places.sampledStart = start(Seen.B3Sampled);
  places.sampledEnd = end(Seen.B3Sampled);
  places.flagsStart = start(Seen.B3Flags);
  places.flagsEnd = end(Seen.B3Flags);
  return true;
}

/** Puts the lines of `formats` for the span of `record`, which has a trace. */
export function putForeign(
  formats: number,
  record: ExchangeRecord,
  decision: number,
  out: WriteSlab,
): void {
  const memory = out.reserve(B3_BYTES + B3_MULTI_BYTES + UBER_BYTES);
  let end = out.length;
  if ((formats & Propagator.B3) !== 0) end = putB3(record, decision, memory, end);
  if ((formats & Propagator.B3Multi) !== 0) end = putB3Multi(record, decision, memory, end);
  if ((formats & Propagator.Uber) !== 0) end = putUber(record, decision, memory, end);
  out.length = end;
}
