/**
 * Where in a head the fields are that tracing knows, by one walk over the field ids.
 *
 * The last one of each kind is remembered, and whether there were more. Those that never go on as they
 * came are marked as dropped. One that `Connection` nominates is not seen, but for tracestate.
 */

import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';

/** A kind of field, as a place and as a bit; 0 is none. */
export const Seen = {
  Traceparent: 1,
  Tracestate: 2,
  Join: 3,
  Hops: 4,
  B3: 5,
  B3TraceId: 6,
  B3SpanId: 7,
  B3ParentSpanId: 8,
  B3Sampled: 9,
  B3Flags: 10,
  UberTraceId: 11,
  Baggage: 12,
  RequestId: 13,
  CorrelationId: 14,
  AmznTraceId: 15,
  SentryTrace: 16,
  DatadogTraceId: 17,
  UserAgent: 18,
  Debug: 19,
} as const;

/** Bits of the kinds that foreign-headers.ts reads. */
export const FOREIGN = 0b1111_1110_0000;

const KINDS = 20;
const kindOf = new Uint8Array(256);
/** By kind: it ends here, whatever it says. */
const ends = new Uint8Array(KINDS);

for (const [id, kind] of [
  [FieldId.Traceparent, Seen.Traceparent],
  [FieldId.Tracestate, Seen.Tracestate],
  [FieldId.XTracecarJoin, Seen.Join],
  [FieldId.XTracecarHops, Seen.Hops],
  [FieldId.B3, Seen.B3],
  [FieldId.XB3TraceId, Seen.B3TraceId],
  [FieldId.XB3SpanId, Seen.B3SpanId],
  [FieldId.XB3ParentSpanId, Seen.B3ParentSpanId],
  [FieldId.XB3Sampled, Seen.B3Sampled],
  [FieldId.XB3Flags, Seen.B3Flags],
  [FieldId.UberTraceId, Seen.UberTraceId],
  [FieldId.Baggage, Seen.Baggage],
  [FieldId.XRequestId, Seen.RequestId],
  [FieldId.XCorrelationId, Seen.CorrelationId],
  [FieldId.XAmznTraceId, Seen.AmznTraceId],
  [FieldId.SentryTrace, Seen.SentryTrace],
  [FieldId.XDatadogTraceId, Seen.DatadogTraceId],
  [FieldId.UserAgent, Seen.UserAgent],
  [FieldId.XTracecarDebug, Seen.Debug],
] as const) {
  kindOf[id] = kind;
  ends[kind] = kind === Seen.Tracestate || kind >= Seen.Baggage ? 0 : 1;
}

export class TraceFields {
  /** Bits of kinds that were seen, and of those that were seen more than once. */
  #seen = 0;
  #again = 0;
  readonly #index = new Int32Array(KINDS);

  /** Forgets the head before. */
  find(head: MessageHead): void {
    const { ids, dropped, count } = head;
    let seen = 0;
    let again = 0;
    for (let index = 0; index < count; index++) {
      const kind = kindOf[ids[index]!]!;
      if (kind === 0) continue;
      if (dropped[index] === Dropped.Never && kind !== Seen.Tracestate) continue;
      const bit = 1 << kind;
      again |= seen & bit;
      seen |= bit;
      this.#index[kind] = index;
      if (ends[kind] !== 0) dropped[index] = Dropped.Never;
    }
    this.#seen = seen;
    this.#again = again;
  }

  /** As if nothing but the hops were known; nothing is marked but the count of earlier sidecars. */
  findHops(head: MessageHead): void {
    const { ids, dropped, count } = head;
    this.#seen = 0;
    this.#again = 0;
    for (let index = 0; index < count; index++) {
      const kind = kindOf[ids[index]!]!;
      if (kind !== Seen.Tracestate && kind !== Seen.Hops) continue;
      const bit = 1 << kind;
      this.#again |= this.#seen & bit;
      this.#seen |= bit;
      this.#index[kind] = index;
      if (kind === Seen.Hops) dropped[index] = Dropped.Never;
    }
  }

  /** Whether one of the kinds of `bits` was seen. */
  hasAny(bits: number): boolean {
    return (this.#seen & bits) !== 0;
  }

  has(kind: number): boolean {
    return (this.#seen & (1 << kind)) !== 0;
  }

  /** Whether there is one, and not another of its kind. */
  hasOne(kind: number): boolean {
    const bit = 1 << kind;
    return (this.#seen & bit) !== 0 && (this.#again & bit) === 0;
  }

  /** Place of the last one in the head, which `has` it. */
  indexOf(kind: number): number {
    return this.#index[kind]!;
  }
}
