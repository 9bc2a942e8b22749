/**
 * Baggage goes on as it came, or not at all: never a part of a member, and never more of it than
 * others must be able to take (W3C baggage 3.3.2).
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';

const { baggageMembersMax, baggageBytesMax } = telemetryLimits;
const COMMA = 44;

/** Takes all fields of baggage out where together they are too much; tells whether it did. */
export function dropBaggage(head: MessageHead): boolean {
  const { ids, count, text, valueStart, valueEnd, dropped } = head;
  let bytes = 0;
  let members = 0;
  for (let index = 0; index < count; index++) {
    if (ids[index] !== FieldId.Baggage) continue;
    const end = valueEnd[index]!;
    // Fields of one name are one value with commas between.
    bytes += end - valueStart[index]! + (members === 0 ? 0 : 1);
    members++;
    for (let at = valueStart[index]!; at < end && members <= baggageMembersMax; at++) {
      if (text.charCodeAt(at) === COMMA) members++;
    }
  }
  if (bytes <= baggageBytesMax && members <= baggageMembersMax) return false;
  for (let index = 0; index < count; index++) {
    if (ids[index] === FieldId.Baggage) dropped[index] = Dropped.Never;
  }
  return true;
}
