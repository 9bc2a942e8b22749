/**
 * `x-request-id` for a request that came without one: made of the ids of its span, so that it is found
 * in the trace and the trace by it. Unique like those, and no chance is needed.
 *
 *    x-request-id: 0af76519-16cd-43dd-b7ad-6b7169203331     first half of the trace id, span id
 *
 * A trace id of 64 bits, as B3 and Jaeger have them, has its digits in the second half: then it is that.
 */

import { putHexHalf, putHexWord } from '../../telemetry/context/hex-digits.ts';
import type { ExchangeRecord } from '../../telemetry/record/exchange-record.ts';

const NAME = Buffer.from('x-request-id: ', 'latin1');
const DASH = 45;

/** Characters of the value. */
export const REQUEST_ID_LENGTH = 36;

/** What `putRequestId` writes. */
export const REQUEST_ID_BYTES: number = NAME.length + REQUEST_ID_LENGTH + 2;

/** Writes the line for a span of the record's trace at `out[at]`; returns the end. */
export function putRequestId(
  record: ExchangeRecord,
  spanId0: number,
  spanId1: number,
  out: Uint8Array,
  at: number,
): number {
  out.set(NAME, at);
  const end = putRequestIdValue(record, spanId0, spanId1, out, at + NAME.length);
  out[end] = 13;
  out[end + 1] = 10;
  return end + 2;
}

/** Writes the value alone. */
export function putRequestIdValue(
  record: ExchangeRecord,
  spanId0: number,
  spanId1: number,
  out: Uint8Array,
  at: number,
): number {
  const isShort = (record.traceId0 | record.traceId1) === 0;
  const traceId1 = isShort ? record.traceId3 : record.traceId1;
  putHexWord(isShort ? record.traceId2 : record.traceId0, out, at);
  putHexHalf(traceId1 >>> 16, out, at + 9);
  putHexHalf(traceId1, out, at + 14);
  putHexHalf(spanId0 >>> 16, out, at + 19);
  putHexHalf(spanId0, out, at + 24);
  putHexWord(spanId1, out, at + 28);
  out[at + 8] = DASH;
  out[at + 13] = DASH;
  out[at + 18] = DASH;
  out[at + 23] = DASH;
  return at + REQUEST_ID_LENGTH;
}
