/**
 * Tracecar's part of a request head: trace context, join and hop count are read, and taken out.
 *
 * One walk over the field ids notes where each field is that we know. What is taken out is marked in
 * the head's list; what goes in instead is put by trace-lines.ts. A field that `Connection` nominates
 * was meant for us alone and is treated as absent, so that nobody can strip what we add (reference/
 * reliability.md row 145); only the hops that a nominated tracestate tells of are counted all the same.
 */

import type { Clock } from '../../base/clock.ts';
import type { Direction } from '../../model/routing-table.ts';
import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { hexText } from '../../telemetry/context/hex-digits.ts';
import {
  advanceHops,
  HOP_MEMBER_BYTES,
  type HopTag,
  isHopMember,
  isLoop,
  readCallbackPort,
  readHops,
  unknownHops,
} from '../../telemetry/context/hop-state.ts';
import type { OpenRequests } from '../../telemetry/context/open-requests.ts';
import {
  isSamplingMember,
  readSampling,
  readThreshold,
} from '../../telemetry/context/sampling-state.ts';
import {
  acceptTracestate,
  Decision,
  readTraceparent,
  TraceContext,
  TraceFlag,
} from '../../telemetry/context/trace-context.ts';
import type { TokenBucket } from '../../telemetry/metrics/keep-state.ts';
import type { ConnectionCounts } from '../../telemetry/metrics/metrics.ts';
import { type ExchangeRecord, Join, RecordFlag } from '../../telemetry/record/exchange-record.ts';
import { Propagator } from '../../telemetry/settings/settings.ts';
import type { EdgePolicy } from '../../telemetry/settings/tracing-choices.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import { dropBaggage } from './baggage.ts';
import { Correlation } from './correlation.ts';
import { FOREIGN_FORMATS, readForeign } from './foreign-headers.ts';
import { FOREIGN, Seen, TraceFields } from './trace-fields.ts';
import { hasTrace, OTHER_MEMBERS_MAX } from './trace-lines.ts';
import { dropOutside, isProbe, isToken, isUntraced, namesPeers } from './trace-trust.ts';

const { forcedSamplesPerSecond } = telemetryLimits;

/** An application is given what it writes itself. */
const LEARNED = Propagator.B3 | Propagator.B3Multi;

const COMMA = 44;

/** What a process says of itself in the context of requests. */
export interface TraceSelf {
  readonly clock: Clock;
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
  countsOf(direction: Direction): TraceCounts;
  /** Requests to the own application, of both directions' concern. */
  readonly openRequests: OpenRequests;
  /** Of requests from outside that are sampled because they say so. */
  readonly forcedSamples: TokenBucket;
}

type TraceCounts = Pick<ConnectionCounts, 'baggageDropped' | 'forcedCapped' | 'openOverflow'>;

/** Who sent the request. */
export interface TraceCaller {
  /** What a sidecar there says is believed. */
  readonly isPeer: boolean;
  readonly owner: {
    /** Where it connected to, or meant to. */
    readonly port: number;
    /** What comes over it makes no spans. */
    readonly isMuted?: boolean;
    /** It comes from outside the mesh, by a Gateway. */
    readonly isEntrance?: boolean;
  };
}

/** Absent is as TelemetrySettings has it by default. */
export interface TraceChoices {
  readonly propagators?: number;
  readonly correlationHeaders?: readonly string[];
  readonly edge?: EdgePolicy;
  readonly peers?: readonly string[];
  readonly untracedPaths?: readonly string[];
  readonly debugToken?: string;
}

/** Reused for every request of a connection. */
export class TraceHeaders {
  readonly context = new TraceContext();
  /** Join of the record: how an outbound request is tied to its cause. */
  join: number = Join.None;
  /** Of a correlation: which field tied it (correlation-fields.ts). */
  joinField = 0;
  /** It came without a request id, and gets one that is made of these ids (request-id.ts). */
  lacksRequestId = false;
  idSpan0 = 0;
  idSpan1 = 0;
  /** The state that goes on from here (telemetry/context/hop-state.ts). */
  hops = 0;
  /** Of the sidecar that sent it, if one did and says so; see `ExchangeRecord.callbackPort`. */
  callbackPort = 0;
  /** Members of tracestate that go on behind ours, joined; '' if none. */
  states = '';
  /** Bits of RecordFlag that the record of the request has from its begin. */
  recordFlags = 0;
  /** It makes no span only because it says that it is a kubelet's probe, which anybody can. */
  isProbe = false;
  /** Line of `record.extra` that names the span which the request came from and is no part of. */
  #link = '';
  readonly #self: TraceSelf;
  readonly #tag: HopTag;
  readonly #isOutbound: boolean;
  readonly #counts: TraceCounts;
  readonly #correlation: Correlation;
  /** Formats that are always written; 0 in all: context is neither read nor written. */
  readonly #propagators: number;
  /** Where this proxy is the first of the mesh. */
  readonly #edgePolicy: EdgePolicy;
  /** Of the request that is read. */
  #edge: EdgePolicy = undefined;
  /** At an edge that was not told who they are, nobody is a sidecar of the mesh. */
  readonly #hasPeers: boolean;
  readonly #untracedPaths: readonly string[];
  readonly #debugToken: string;
  readonly #fields = new TraceFields();

  constructor(self: TraceSelf, direction: Direction) {
    this.#self = self;
    this.#tag = self.hopTagOf(direction);
    this.#isOutbound = direction === 'outbound';
    this.#counts = self.countsOf(direction);
    const { tracing } = self;
    this.#edgePolicy = tracing.edge;
    this.#hasPeers = namesPeers(tracing.peers);
    this.#untracedPaths = tracing.untracedPaths ?? [];
    this.#debugToken = tracing.debugToken ?? '';
    const configured = tracing.correlationHeaders ?? [];
    this.#correlation = new Correlation(self.openRequests, configured, this.#counts);
    this.#propagators = tracing.propagators ?? Propagator.W3c;
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
    this.joinField = 0;
    this.lacksRequestId = false;
    this.hops = 0;
    this.callbackPort = 0;
    this.states = '';
    this.recordFlags = 0;
    this.isProbe = false;
    this.#link = '';
    this.context.clear();
  }

  /** Reads the head and marks every field that is not forwarded as received. */
  read(head: MessageHead, caller: TraceCaller): void {
    this.clear();
    const isOwn = this.#isOutbound && caller.owner.isEntrance !== true;
    this.#edge = isOwn ? undefined : this.#edgePolicy;
    const fields = this.#fields;
    if (this.isOff) fields.findHops(head);
    else fields.find(head);
    if (!this.isOff) this.#readContext(head);
    if (fields.has(Seen.Baggage) && dropBaggage(head)) this.#counts.baggageDropped++;
    this.lacksRequestId = !this.isOff && this.#lacksRequestId(head);
    let passed = 0;
    if (fields.has(Seen.Tracestate)) passed = this.#readTracestate(head);
    if (fields.has(Seen.Hops)) {
      passed = Math.max(passed, unknownHops(readCount(head, fields.indexOf(Seen.Hops))));
    }
    // Where traces of callers are not continued, their count could only end requests.
    if (this.#isBarred(caller)) passed = 0;
    this.hops = advanceHops(passed, this.#tag);
    this.#judge(head, caller);
  }

  /** What the request may say, and whether it is traced at all. */
  #judge(head: MessageHead, caller: TraceCaller): void {
    const fields = this.#fields;
    const edge = this.#edge;
    if (edge !== undefined) this.#judgeOutsider(head, caller, edge);
    if (this.#debugToken !== '' && fields.has(Seen.Debug)) {
      const at = fields.indexOf(Seen.Debug);
      // Right or wrong, a secret goes no further.
      head.dropped[at] = Dropped.Never;
      if (isToken(head, at, this.#debugToken)) this.context.decision = Decision.Debug;
    }
    const { port, isMuted = false } = caller.owner;
    const isUnwanted = isMuted || isUntraced(head, this.#isOutbound, port, this.#untracedPaths);
    this.isProbe = !isUnwanted && !this.#isOutbound && isProbe(head, fields);
    if (isUnwanted || this.isProbe) this.recordFlags |= RecordFlag.Muted;
  }

  /** The request comes from where no sidecar is known to be, to an edge that begins traces. */
  #isBarred(caller: TraceCaller): boolean {
    if (this.#edge === undefined || this.#edge === 'honour') return false;
    return !(this.#hasPeers && caller.isPeer);
  }

  /** Empty is as if it were absent: there would be nothing to find. */
  #lacksRequestId(head: MessageHead): boolean {
    const fields = this.#fields;
    if (!fields.has(Seen.RequestId)) return true;
    const at = fields.indexOf(Seen.RequestId);
    if (head.valueEnd[at]! > head.valueStart[at]! || !fields.hasOne(Seen.RequestId)) return false;
    head.dropped[at] = Dropped.Never;
    return true;
  }

  /** Everybody who is not a sidecar of the mesh; who only says so is none. */
  #judgeOutsider(head: MessageHead, caller: TraceCaller, edge: NonNullable<EdgePolicy>): void {
    const isPeer = this.#hasPeers && caller.isPeer && this.callbackPort !== 0;
    if (edge === 'honour' && isPeer) return;
    this.recordFlags |= RecordFlag.Edge;
    this.callbackPort = 0;
    if (edge === 'honour') {
      this.#capForced();
      return;
    }
    const { context } = this;
    if (edge === 'link' && context.present) this.#link = `l${printIds(context)}`;
    context.clear();
    this.join = Join.None;
    this.states = '';
    if (!this.isOff) dropOutside(head);
    this.lacksRequestId = !this.isOff;
  }

  /** A caller from outside who has its requests sampled has our collector in its hand. */
  #capForced(): void {
    const { context } = this;
    const isSampled = context.present && (context.flags & TraceFlag.Sampled) !== 0;
    const isAsked = context.decision === Decision.Accepted || context.decision === Decision.Debug;
    if (!isSampled && !isAsked) return;
    const { forcedSamples, clock } = this.#self;
    if (forcedSamples.take(forcedSamplesPerSecond, clock.now())) return;
    context.flags &= ~TraceFlag.Sampled;
    context.decision = Decision.Capped;
    this.#counts.forcedCapped++;
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
    else if (this.#isOutbound && context.decision === Decision.None) this.#tie(head);
  }

  #tie(head: MessageHead): void {
    const field = this.#correlation.tie(head, this.#fields, this.context);
    if (field < 0) return;
    this.join = Join.Correlation;
    this.joinField = field;
  }

  /**
   * The span of the request that `head` is has begun, as `record` tells: calls of the application may be
   * tied to it until `end`. The request id is made of it, also for later attempts. A span that it links to is noted in the record.
   */
  begun(head: MessageHead, record: ExchangeRecord): void {
    this.idSpan0 = record.spanId0;
    this.idSpan1 = record.spanId1;
    if (this.#link !== '') {
      record.extra = record.extra === '' ? this.#link : `${this.#link}\n${record.extra}`;
    }
    if (this.#isOutbound || this.isOff || !hasTrace(record)) return;
    this.#correlation.opened(head, this.#fields, this.lacksRequestId, record, this.context);
  }

  /**
   * What goes on is the work of the span that `record` tells of, which a Gateway has begun for this very
   * request: a child of it, and no longer one of what came.
   */
  continueFrom(record: ExchangeRecord): void {
    if (!hasTrace(record)) return;
    const { context } = this;
    const isPassed =
      context.present &&
      record.spanId0 === context.parentId0 &&
      record.spanId1 === context.parentId1;
    if (!isPassed) {
      // Nothing of what came goes on as it was received.
      context.formats &= ~Propagator.W3c;
      this.join = Join.Gateway;
    }
    this.recordFlags &= ~RecordFlag.Edge;
    context.present = true;
    context.traceId0 = record.traceId0;
    context.traceId1 = record.traceId1;
    context.traceId2 = record.traceId2;
    context.traceId3 = record.traceId3;
    context.parentId0 = record.spanId0;
    context.parentId1 = record.spanId1;
    const isRandom = (record.flags & RecordFlag.RandomId) !== 0;
    const isSampled = (record.flags & RecordFlag.Sampled) !== 0;
    context.flags = (isSampled ? TraceFlag.Sampled : 0) | (isRandom ? TraceFlag.Random : 0);
  }

  /** The exchange is over. */
  end(): void {
    this.#correlation.end();
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

/** `<trace id>-<span id>` of the span that a request came from. */
function printIds(context: TraceContext): string {
  const { traceId0, traceId1, traceId2, traceId3, parentId0, parentId1 } = context;
  const trace = hexText(traceId0) + hexText(traceId1) + hexText(traceId2) + hexText(traceId3);
  return `${trace}-${hexText(parentId0)}${hexText(parentId1)}`;
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
