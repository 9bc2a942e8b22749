/**
 * Tracecar's part of a request head: trace context, join and hop count are read, and taken out.
 *
 * One walk over the field ids. What is taken out is marked in the head's list; what goes in instead
 * is put by `putTraceLines`. A field that `Connection` nominates was meant for us alone and is treated
 * as absent, so that nobody can strip what we add (reference/reliability.md row 145); only the hops that
 * a nominated tracestate tells of are counted all the same.
 */

import { telemetryLimits } from '../model/limits.ts';
import { type ExchangeRecord, Join } from '../telemetry/exchange-record.ts';
import {
  advanceHops,
  HOP_LINE_BYTES,
  type HopTag,
  isHopMember,
  isLoop,
  putHops,
  readHops,
  unknownHops,
} from '../telemetry/hop-state.ts';
import {
  acceptTracestate,
  putTraceparent,
  readTraceparent,
  TRACEPARENT_LINE_BYTES,
  TraceContext,
} from '../telemetry/trace-context.ts';
import { FieldId } from '../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../wire/http1/message-head.ts';
import type { WriteSlab } from './write-slab.ts';

/** Ours is one of them. */
const OTHER_MEMBERS_MAX = telemetryLimits.tracestateMembersMax - 1;

/** Reused for every request of a connection. */
export class TraceHeaders {
  readonly context = new TraceContext();
  /** Join of the record: how an outbound request is tied to its cause. */
  join: number = Join.None;
  /** The state that goes on from here (telemetry/hop-state.ts). */
  hops = 0;
  /** Members of tracestate that go on behind ours, joined; '' if none. */
  states = '';
  readonly #tag: HopTag;

  constructor(tag: HopTag) {
    this.#tag = tag;
  }

  /** The request goes round in a circle. */
  get isLoop(): boolean {
    return isLoop(this.hops);
  }

  /** As for a request without any of these fields. */
  clear(): void {
    this.join = Join.None;
    this.hops = 0;
    this.states = '';
    this.context.clear();
  }

  /** Reads the head and marks every field that is not forwarded as received. */
  read(head: MessageHead): void {
    this.clear();
    const { ids, dropped, count } = head;
    let parent = -1;
    let parents = 0;
    let state = -1;
    let states = 0;
    let joined = -1;
    let passed = 0;
    for (let index = 0; index < count; index++) {
      const id = ids[index]!;
      if (id < FieldId.Traceparent) continue;
      if (id === FieldId.Tracestate) {
        state = index;
        states++;
      } else if (dropped[index] === Dropped.Never) {
        // Nominated: as if it were not there.
      } else if (id === FieldId.Traceparent) {
        parent = index;
        parents++;
        dropped[index] = Dropped.Never;
      } else if (id === FieldId.XTracecarJoin) {
        joined = index;
        dropped[index] = Dropped.Never;
      } else if (id === FieldId.XTracecarHops) {
        passed = Math.max(passed, unknownHops(readCount(head, index)));
        dropped[index] = Dropped.Never;
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
    if (states !== 0) passed = Math.max(passed, this.#readTracestate(head, state, states));
    this.hops = advanceHops(passed, this.#tag);
  }

  /** Returns the hops that the tracestate tells of; `last` is the index of its last field. */
  #readTracestate(head: MessageHead, last: number, fields: number): number {
    if (fields === 1) {
      // The usual one: our member and nothing else. No string is made.
      const hops = readHops(head.text, head.valueStart[last]!, head.valueEnd[last]!);
      if (hops >= 0) {
        head.dropped[last] = Dropped.Never;
        return hops;
      }
    }
    return this.#readMembers(head);
  }

  /** Cold. Without a valid traceparent what is not ours is dropped (W3C trace-context 3.3). */
  #readMembers(head: MessageHead): number {
    const others: string[] = [];
    let hops = 0;
    const { ids, dropped, count } = head;
    for (let index = 0; index < count; index++) {
      if (ids[index] !== FieldId.Tracestate) continue;
      for (const sent of head.value(index).split(',')) {
        const member = sent.trim();
        if (isHopMember(member)) hops = Math.max(hops, readHops(member, 0, member.length));
        else if (dropped[index] !== Dropped.Never) others.push(sent);
      }
      dropped[index] = Dropped.Never;
    }
    if (this.context.present) this.states = acceptTracestate(others.join(','), OTHER_MEMBERS_MAX);
    return hops;
  }
}

/** Puts the lines that every forwarded request gets, for the span that `record` tells of. */
export function putTraceLines(headers: TraceHeaders, record: ExchangeRecord, out: WriteSlab): void {
  const memory = out.reserve(TRACEPARENT_LINE_BYTES + HOP_LINE_BYTES);
  const end = putTraceparent(record, memory, out.length);
  out.length = putHops(headers.hops, memory, end);
  out.putText(headers.states === '' ? '\r\n' : `,${headers.states}\r\n`);
}

/**
 * `x-tracecar-hops` of earlier sidecars: a count of up to three digits; anything else is somebody's
 * text and counts as many. Read for one release more.
 */
function readCount(head: MessageHead, index: number): number {
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
