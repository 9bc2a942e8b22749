/**
 * Calls of the own application that come without trace context are tied to the open request whose header
 * field they repeat: `x-request-id`, those of other tracers, and those that are configured.
 *
 *   inbound   opened: its values are known ── ... ── ended: they are forgotten
 *   outbound  tie: the first field whose value one open request has, and no second one
 */

import { KNOWN_CORRELATION_FIELDS } from '../../telemetry/context/correlation-fields.ts';
import { Found, type OpenRequests } from '../../telemetry/context/open-requests.ts';
import type { TraceContext } from '../../telemetry/context/trace-context.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import { putRequestIdValue, REQUEST_ID_LENGTH } from './request-id.ts';
import { Seen, type TraceFields } from './trace-fields.ts';

/** Kinds of the fields that are always looked for, by their place among all. */
const kinds = [
  Seen.RequestId,
  Seen.CorrelationId,
  Seen.AmznTraceId,
  Seen.SentryTrace,
  Seen.DatadogTraceId,
] as const;

/** Bits of those kinds. */
const CORRELATION: number = kinds.reduce((bits, kind) => bits | (1 << kind), 0);

/** Values of one request that calls may be tied by. */
const VALUES_MAX = 16;
/** A longer value is not looked at: none of the known ones is near it. */
const VALUE_CHARS_MAX = 256;

const ownId = new Uint8Array(REQUEST_ID_LENGTH);

type Overflow = Pick<ConnectionCounts, 'openOverflow'>;

/** Of one exchange at a time. */
export class Correlation {
  readonly #open: OpenRequests;
  /** Lower-case names, their places follow those of the known ones. */
  readonly #configured: readonly string[];
  readonly #counts: Overflow;
  readonly #slots = new Int32Array(VALUES_MAX);
  #slotCount = 0;

  constructor(open: OpenRequests, configured: readonly string[], counts: Overflow) {
    this.#open = open;
    this.#configured = configured;
    this.#counts = counts;
  }

  /** The request of `record` goes on to the application; `lacksId`: with a request id of our making. */
  opened(
    head: MessageHead,
    fields: TraceFields,
    lacksId: boolean,
    record: ExchangeRecord,
    context: TraceContext,
  ): void {
    if (lacksId) {
      putRequestIdValue(record, record.spanId0, record.spanId1, ownId, 0);
      this.#open.hashBytes(0, ownId, 0, REQUEST_ID_LENGTH);
      this.#add(record, context);
    }
    if (fields.hasAny(CORRELATION)) {
      for (let place = lacksId ? 1 : 0; place < kinds.length; place++) {
        if (this.#hashOne(place, head, fields)) this.#add(record, context);
      }
    }
    for (let index = 0; index < this.#configured.length; index++) {
      if (this.#hashConfigured(index, head)) this.#add(record, context);
    }
  }

  /** Sets `context` to the open request that the call repeats a value of; returns which field; -1: none. */
  tie(head: MessageHead, fields: TraceFields, context: TraceContext): number {
    if (fields.hasAny(CORRELATION)) {
      for (let place = 0; place < kinds.length; place++) {
        const isHashed = this.#hashOne(place, head, fields);
        if (isHashed && this.#open.find(context) === Found.One) return place;
      }
    }
    for (let index = 0; index < this.#configured.length; index++) {
      const isHashed = this.#hashConfigured(index, head);
      if (isHashed && this.#open.find(context) === Found.One) {
        return KNOWN_CORRELATION_FIELDS + index;
      }
    }
    return -1;
  }

  /** The request is over. */
  end(): void {
    while (this.#slotCount > 0) this.#open.remove(this.#slots[--this.#slotCount]!);
  }

  #hashOne(place: number, head: MessageHead, fields: TraceFields): boolean {
    const kind = kinds[place]!;
    return fields.hasOne(kind) && this.#hash(place, head, fields.indexOf(kind));
  }

  #hashConfigured(index: number, head: MessageHead): boolean {
    const at = placeOf(head, this.#configured[index]!);
    return at >= 0 && this.#hash(KNOWN_CORRELATION_FIELDS + index, head, at);
  }

  #hash(place: number, head: MessageHead, index: number): boolean {
    const start = head.valueStart[index]!;
    const end = head.valueEnd[index]!;
    if (end === start || end - start > VALUE_CHARS_MAX) return false;
    this.#open.hashText(place, head.text, start, end);
    return true;
  }

  #add(record: ExchangeRecord, context: TraceContext): void {
    const slot = this.#slotCount === VALUES_MAX ? -1 : this.#open.add(record, context);
    if (slot < 0) this.#counts.openOverflow++;
    else this.#slots[this.#slotCount++] = slot;
  }
}

/** Index of the one field with that name; -1: there is none, or another one. */
function placeOf(head: MessageHead, lowerName: string): number {
  let found = -1;
  for (let index = 0; index < head.count; index++) {
    if (head.dropped[index] === Dropped.Never || !head.isNamed(index, lowerName)) continue;
    if (found >= 0) return -1;
    found = index;
  }
  return found;
}
