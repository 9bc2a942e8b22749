/**
 * Tracecar's part of a request head: trace context, join and hop count are read, and taken out.
 *
 * One walk over the field ids. What is taken out is marked in the head's list; what goes in instead
 * is put by `putTraceLines`. A field that `Connection` nominates was meant for us alone and
 * is treated as absent, so that nobody can strip what we add (reference/reliability.md row 145).
 */

import { type ExchangeRecord, Join } from '../telemetry/exchange-record.ts';
import {
  acceptTracestate,
  putTraceparent,
  readTraceparent,
  TRACEPARENT_LINE_BYTES,
  TraceContext,
} from '../telemetry/trace-context.ts';
import { FieldId } from '../wire/http1/field-id.ts';
import type { MessageHead } from '../wire/http1/message-head.ts';
import type { WriteSlab } from './write-slab.ts';

/** Reused for every request of a connection. */
export class TraceHeaders {
  readonly context = new TraceContext();
  /** Join of the record: how an outbound request is tied to its cause. */
  join: number = Join.None;
  /** Sidecars passed before this one, 0 to 255. */
  hops = 0;
  /** The `tracestate` line to add, '' when the received one passes as it is or is dropped. */
  tracestateLine = '';

  /** As for a request without any of these fields. */
  clear(): void {
    this.join = Join.None;
    this.hops = 0;
    this.tracestateLine = '';
    this.context.clear();
  }

  /** Reads the head and marks every field that is not forwarded as received. */
  read(head: MessageHead): void {
    this.clear();
    const { ids, dropped, count } = head;
    let parent = -1;
    let parents = 0;
    let states = 0;
    let joined = -1;
    for (let index = 0; index < count; index++) {
      const id = ids[index]!;
      if (id < FieldId.Traceparent || dropped[index] === 1) continue;
      if (id === FieldId.Traceparent) {
        parent = index;
        parents++;
        dropped[index] = 1;
      } else if (id === FieldId.Tracestate) {
        states++;
      } else if (id === FieldId.XTracecarJoin) {
        joined = index;
        dropped[index] = 1;
      } else if (id === FieldId.XTracecarHops) {
        this.hops = Math.max(this.hops, readHops(head, index));
        dropped[index] = 1;
      }
    }
    if (parents === 1) {
      const start = head.valueStart[parent]!;
      readTraceparent(head.text, start, head.valueEnd[parent]!, this.context);
    }
    if (this.context.present) {
      const isPreload = joined !== -1 && head.value(joined) === 'preload';
      this.join = isPreload ? Join.Preload : Join.App;
    }
    if (states !== 0) this.#readTracestate(head);
  }

  /** Cold: only when there is a tracestate. Without a valid traceparent it is dropped (W3C). */
  #readTracestate(head: MessageHead): void {
    let joined = '';
    let fields = 0;
    const { ids, dropped, count } = head;
    for (let index = 0; index < count; index++) {
      if (ids[index] !== FieldId.Tracestate || dropped[index] === 1) continue;
      joined = fields === 0 ? head.value(index) : `${joined},${head.value(index)}`;
      fields++;
    }
    const accepted = this.context.present ? acceptTracestate(joined) : '';
    if (accepted === joined) return;
    for (let index = 0; index < count; index++) {
      if (ids[index] === FieldId.Tracestate) dropped[index] = 1;
    }
    if (accepted !== '') this.tracestateLine = `tracestate: ${accepted}\r\n`;
  }
}

/** Puts the lines that every forwarded request gets, for the span that `record` tells of. */
export function putTraceLines(headers: TraceHeaders, record: ExchangeRecord, out: WriteSlab): void {
  const memory = out.reserve(TRACEPARENT_LINE_BYTES);
  out.length = putTraceparent(record, memory, out.length);
  out.putText(headers.tracestateLine);
  out.putText(hopLines[headers.hops] ?? hopLines[hopLines.length - 1]!);
}

/** By hops passed before; more than this is refused anyway. */
const hopLines: readonly string[] = Array.from(
  { length: 256 },
  (_, hops) => `x-tracecar-hops: ${hops + 1}\r\n`,
);

/** A count of up to three digits; anything else is somebody's text and counts as many. */
function readHops(head: MessageHead, index: number): number {
  const start = head.valueStart[index]!;
  const end = head.valueEnd[index]!;
  if (end === start || end - start > 3) return 255;
  let hops = 0;
  for (let at = start; at < end; at++) {
    const digit = head.text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return 255;
    hops = hops * 10 + digit;
  }
  return Math.min(hops, 255);
}
