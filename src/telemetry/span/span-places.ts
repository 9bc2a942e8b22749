/**
 * What of a span is computed from its record before a copy of a shape can be filled: when it was, and
 * where the query of its target begins; and whether all of it fits into the slots of a shape.
 */

import { type ExchangeRecord, RecordKind } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import { durationUsOf, startUsOf } from './record-span.ts';
import { SLOT_COUNT_MAX, SLOT_TIME_US_MAX } from './span-slots.ts';
import type { SpanSurroundings } from './span-surroundings.ts';
import { plainTargetMark } from './url-parts.ts';

/** Times since the epoch that have ten digits of seconds: 2001 to 2286. */
const TEN_DIGITS_FROM_US = 1e15;
const TEN_DIGITS_UNTIL_US = 1e16;

export class SpanPlaces {
  /** When the span began and ended, microseconds since the epoch. */
  startUs = 0;
  endUs = 0;
  /** Where the query's `?` is among the bytes, or the target's end; -1: it cannot be copied as it is. */
  mark = 0;
  targetBytes = 0;

  set(record: ExchangeRecord, text: RecordText, around: SpanSurroundings): void {
    this.startUs = startUsOf(record, around);
    this.endUs = this.startUs + durationUsOf(record);
    this.mark = plainTargetMark(text.bytes, text.target, text.authority);
    this.targetBytes = text.authority - text.target;
  }

  /** Whether the span can be a copy of a shape. */
  mayHaveShape(record: ExchangeRecord, text: RecordText): boolean {
    if (record.kind === RecordKind.Connection || text.hasExtra || this.mark === -1) return false;
    return this.startUs >= TEN_DIGITS_FROM_US && this.endUs < TEN_DIGITS_UNTIL_US && fits(record);
  }
}

/** Whether all numbers are as wide as their slots at most. */
function fits(record: ExchangeRecord): boolean {
  return (
    record.queueUs <= SLOT_TIME_US_MAX &&
    record.dnsUs <= SLOT_TIME_US_MAX &&
    record.connectUs <= SLOT_TIME_US_MAX &&
    record.tlsUs <= SLOT_TIME_US_MAX &&
    record.requestUs <= SLOT_TIME_US_MAX &&
    record.firstByteUs <= SLOT_TIME_US_MAX &&
    record.responseUs <= SLOT_TIME_US_MAX &&
    record.proxyUs <= SLOT_TIME_US_MAX &&
    record.connectionId >= 0 &&
    record.connectionId <= SLOT_COUNT_MAX &&
    record.connectionRequests >= 0 &&
    record.connectionRequests <= SLOT_COUNT_MAX
  );
}
