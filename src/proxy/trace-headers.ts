/**
 * Tracecar's part of a request head: trace context, join and hop count are read, and taken out.
 *
 * One walk over the field ids notes where each field is that we know. What is taken out is marked in
 * the head's list; what goes in instead is put by `putTraceLines`. A field that `Connection` nominates
 * was meant for us alone and is treated as absent, so that nobody can strip what we add (reference/
 * reliability.md row 145); only the hops that a nominated tracestate tells of are counted all the same.
 */

import { telemetryLimits } from '../model/limits.ts';
import type { Direction } from '../model/routing-table.ts';
import { type ExchangeRecord, Join, RecordFlag } from '../telemetry/exchange-record.ts';
import {
  advanceHops,
  HOP_LINE_BYTES,
  HOP_MEMBER_BYTES,
  type HopTag,
  isHopMember,
  isLoop,
  putHops,
  readCallbackPort,
  readHops,
  unknownHops,
} from '../telemetry/hop-state.ts';
import type { ConnectionCounts } from '../telemetry/metrics.ts';
import {
  isSamplingMember,
  putThreshold,
  readSampling,
  readThreshold,
  replaceThreshold,
  THRESHOLD_BYTES,
} from '../telemetry/sampling-state.ts';
import { Propagator } from '../telemetry/settings.ts';
import {
  acceptTracestate,
  putTraceparent,
  readTraceparent,
  TRACEPARENT_LINE_BYTES,
  TraceContext,
} from '../telemetry/trace-context.ts';
import { FieldId } from '../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../wire/http1/message-head.ts';
import { dropBaggage } from './baggage.ts';
import { FOREIGN_FORMATS, putForeign, readForeign } from './foreign-headers.ts';
import { FOREIGN, Seen, TraceFields } from './trace-fields.ts';
import type { WriteSlab } from './write-slab.ts';

/** Ours is one of them. */
const OTHER_MEMBERS_MAX = telemetryLimits.tracestateMembersMax - 1;

/** An application is given what it writes itself. */
const LEARNED = Propagator.B3 | Propagator.B3Multi;

const COMMA = 44;

/** What a process says of itself in the context of requests. */
export interface TraceSelf {
  /** By which its requests are known again. */
  hopTagOf(direction: Direction): HopTag;
  /** Where its inbound half answers; 1: it has none. */
  readonly callbackPort: number;
  readonly tracing: TraceChoices;
  /**
   * Bits of Propagator: formats that the own application writes where it writes none of W3C's. It is
   * given them from then on, so that it needs no setting.
   */
  learnedFormats: number;
  countsOf(direction: Direction): Pick<ConnectionCounts, 'baggageDropped'>;
}

/** Absent is as TelemetrySettings has it by default. */
export interface TraceChoices {
  readonly propagators?: number;
}

/** Reused for every request of a connection. */
export class TraceHeaders {
  readonly context = new TraceContext();
  /** Join of the record: how an outbound request is tied to its cause. */
  join: number = Join.None;
  /** The state that goes on from here (telemetry/hop-state.ts). */
  hops = 0;
  /** Of the sidecar that sent it, if one did and says so; see `ExchangeRecord.callbackPort`. */
  callbackPort = 0;
  /** Members of tracestate that go on behind ours, joined; '' if none. */
  states = '';
  readonly #self: TraceSelf;
  readonly #tag: HopTag;
  readonly #isOutbound: boolean;
  readonly #counts: Pick<ConnectionCounts, 'baggageDropped'>;
  /** Formats that are always written; 0 in all: context is neither read nor written. */
  readonly #propagators: number;
  readonly #fields = new TraceFields();

  constructor(self: TraceSelf, direction: Direction) {
    this.#self = self;
    this.#tag = self.hopTagOf(direction);
    this.#isOutbound = direction === 'outbound';
    this.#counts = self.countsOf(direction);
    this.#propagators = self.tracing.propagators ?? Propagator.W3c;
  }

  /** The request goes round in a circle. */
  get isLoop(): boolean {
    return isLoop(this.hops);
  }

  /** The port that goes on: applications are told of none, so that they cannot pass it on as theirs. */
  get ownPort(): number {
    return this.#isOutbound ? this.#self.callbackPort : 0;
  }

  /** As for a request without any of these fields. */
  clear(): void {
    this.join = Join.None;
    this.hops = 0;
    this.callbackPort = 0;
    this.states = '';
    this.context.clear();
  }

  /** Reads the head and marks every field that is not forwarded as received. */
  read(head: MessageHead): void {
    this.clear();
    const fields = this.#fields;
    if (this.isOff) fields.findHops(head);
    else fields.find(head);
    this.#readContext(head);
    if (fields.has(Seen.Baggage) && dropBaggage(head)) this.#counts.baggageDropped++;
    let passed = 0;
    if (fields.has(Seen.Tracestate)) passed = this.#readTracestate(head);
    if (fields.has(Seen.Hops)) {
      passed = Math.max(passed, unknownHops(readCount(head, fields.indexOf(Seen.Hops))));
    }
    this.hops = advanceHops(passed, this.#tag);
  }

  #readContext(head: MessageHead): void {
    const fields = this.#fields;
    const { context } = this;
    if (fields.hasOne(Seen.Traceparent)) {
      const at = fields.indexOf(Seen.Traceparent);
      if (readTraceparent(head.text, head.valueStart[at]!, head.valueEnd[at]!, context)) {
        context.formats = Propagator.W3c;
      }
    }
    if (fields.hasAny(FOREIGN)) {
      const isFirst = !context.present;
      readForeign(head, fields, context);
      if (isFirst && this.#isOutbound) this.#self.learnedFormats |= context.formats & LEARNED;
    }
    if (context.present) this.join = this.#isFromPreload(head) ? Join.Preload : Join.App;
  }

  /** Context is neither read nor written: but for the hops, headers of tracing are like any other. */
  get isOff(): boolean {
    return this.#propagators === 0;
  }

  /** Formats beside W3C's in which the context goes on. */
  get foreignFormats(): number {
    const learned = this.#isOutbound ? 0 : this.#self.learnedFormats;
    if (this.isOff) return 0;
    return (this.context.formats | this.#propagators | learned) & FOREIGN_FORMATS;
  }

  #isFromPreload(head: MessageHead): boolean {
    const fields = this.#fields;
    return fields.has(Seen.Join) && head.value(fields.indexOf(Seen.Join)) === 'preload';
  }

  /** Returns the hops that the tracestate tells of. */
  #readTracestate(head: MessageHead): number {
    const fields = this.#fields;
    if (!fields.hasOne(Seen.Tracestate)) return this.#readMembers(head);
    // The usual one: our member, a threshold behind it or not. No string is made.
    const at = fields.indexOf(Seen.Tracestate);
    const start = head.valueStart[at]!;
    const end = head.valueEnd[at]!;
    const { text } = head;
    const behind = start + HOP_MEMBER_BYTES;
    const hasMore = end > behind && text.charCodeAt(behind) === COMMA;
    const ownEnd = hasMore ? behind : end;
    const hops = readHops(text, start, ownEnd);
    if (hops < 0) return this.#readMembers(head);
    if (hasMore) {
      const { context } = this;
      const isPlain =
        (context.formats & Propagator.W3c) !== 0 && head.dropped[at] !== Dropped.Never;
      if (!isPlain || !readThreshold(text, behind + 1, end, context)) {
        return this.#readMembers(head);
      }
    }
    if (head.dropped[at] !== Dropped.Never) {
      this.callbackPort = readCallbackPort(text, start, ownEnd);
    }
    head.dropped[at] = Dropped.Never;
    return hops;
  }

  /** Cold. Without a valid traceparent what is not ours is dropped (W3C trace-context 3.3). */
  #readMembers(head: MessageHead): number {
    const others: string[] = [];
    let hops = 0;
    let isFirst = true;
    const { ids, dropped, count } = head;
    for (let index = 0; index < count; index++) {
      if (ids[index] !== FieldId.Tracestate) continue;
      const isNominated = dropped[index] === Dropped.Never;
      for (const sent of head.value(index).split(',')) {
        const member = sent.trim();
        if (isHopMember(member)) {
          const state = readHops(member, 0, member.length);
          hops = Math.max(hops, state);
          // Who spoke last is the first member, or nobody that we know.
          const isLast = isFirst && state >= 0 && !isNominated;
          if (isLast) this.callbackPort = readCallbackPort(member, 0, member.length);
        } else if (!isNominated) others.push(sent);
        if (member !== '') isFirst = false;
      }
      dropped[index] = Dropped.Never;
    }
    if (this.isOff || (this.context.formats & Propagator.W3c) !== 0) this.#acceptMembers(others);
    return hops;
  }

  #acceptMembers(others: readonly string[]): void {
    this.states = acceptTracestate(others.join(','), OTHER_MEMBERS_MAX);
    if (!this.states.includes('ot=')) return;
    const sampling = this.states.split(',').find(isSamplingMember);
    if (sampling !== undefined) readSampling(sampling, this.context);
  }
}

/** The lines that every forwarded request gets, at most but for the members of others. */
const LINES_BYTES = TRACEPARENT_LINE_BYTES + HOP_LINE_BYTES + THRESHOLD_BYTES;

/** Puts the lines that every forwarded request gets, for the span that `record` tells of. */
export function putTraceLines(headers: TraceHeaders, record: ExchangeRecord, out: WriteSlab): void {
  const { context } = headers;
  // It was not chosen by a probability, so none goes on with it.
  if (context.thresholdHigh >= 0 && isKeptLater(record)) context.setThreshold(-1, 0);
  const memory = out.reserve(LINES_BYTES);
  let end = headers.isOff ? out.length : putTraceparent(record, memory, out.length);
  end = putHops(headers.hops, headers.ownPort, memory, end);
  const { states } = headers;
  if (context.thresholdHigh >= 0 && states === '') {
    end = putThreshold(context.thresholdHigh, context.thresholdLow, memory, end);
  }
  out.length = end;
  out.putText(states === '' ? '\r\n' : othersOf(states, context));
  const formats = headers.foreignFormats;
  if (formats !== 0 && hasTrace(record)) putForeign(formats, record, context.decision, out);
}

function hasTrace(record: ExchangeRecord): boolean {
  return (record.traceId0 | record.traceId1 | record.traceId2 | record.traceId3) !== 0;
}

function isKeptLater({ flags }: ExchangeRecord): boolean {
  return (flags & (RecordFlag.Sampled | RecordFlag.Kept)) === RecordFlag.Kept;
}

/** The members of others that go on behind ours, with the end of the line. Cold. */
function othersOf(states: string, context: TraceContext): string {
  if (!context.hasOtherThreshold) return `,${states}\r\n`;
  const others = replaceThreshold(states, context, OTHER_MEMBERS_MAX);
  return others === '' ? '\r\n' : `,${others}\r\n`;
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
