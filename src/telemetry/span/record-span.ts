/**
 * A record as the OpenTelemetry SDK's ReadableSpan: what processor and exporter of the SDK take.
 *
 * It keeps the record and makes attributes only when the exporter asks, so that a span which waits
 * in a queue or is dropped costs a few hundred bytes and no work. Of what is asked here the OTLP
 * exporter needs nothing (trace-json.ts writes from the record); the console's does.
 */

import type {
  Attributes,
  HrTime,
  Link,
  SpanContext,
  SpanStatus,
  TraceState,
} from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { HeadSampler } from '../context/head-sampler.ts';
import { thresholdDigits } from '../context/sampling-state.ts';
import {
  type ExchangeRecord,
  isOutbound,
  RecordFlag,
  RecordKind,
} from '../record/exchange-record.ts';
import { readExtra } from '../record/record-extra.ts';
import type { AttributeSink } from './attribute-parts.ts';
import { knownMethod, putSpanAttributes } from './span-attributes.ts';
import type { AnySpanValue, SpanKey, SpanValue } from './span-keys.ts';
import { spanOutcome } from './span-outcome.ts';
import type { SpanSurroundings } from './span-surroundings.ts';

// Values of the API's enums, so that this file loads nothing of it.
const KIND_SERVER = 1;
const KIND_CLIENT = 2;
const STATUS_UNSET = 0;
const STATUS_ERROR = 2;

export class RecordSpan implements ReadableSpan {
  readonly events: [] = [];
  readonly ended = true;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount = 0;
  droppedAttributesCount = 0;
  /** The received parent, or the exchange that a tunnel comes from; absent on a root. */
  readonly parentSpanContext?: SpanContext;
  readonly #record: ExchangeRecord;
  readonly #around: SpanSurroundings;

  /** The record is kept: the caller gives it away. */
  constructor(record: ExchangeRecord, around: SpanSurroundings) {
    this.#record = record;
    this.#around = around;
    if ((record.flags & RecordFlag.HasParent) !== 0) {
      this.parentSpanContext = {
        traceId: traceIdOf(record),
        spanId: hexWord(record.parentId0) + hexWord(record.parentId1),
        traceFlags: traceFlagsOf(record),
        isRemote: hasRemoteParent(record),
      };
    }
  }

  get resource(): Resource {
    return this.#around.resource;
  }

  get instrumentationScope(): InstrumentationScope {
    return this.#around.scope;
  }

  get name(): string {
    return spanNameOf(this.#record, this.#around);
  }

  get kind(): number {
    return spanKindOf(this.#record);
  }

  spanContext(): SpanContext {
    const record = this.#record;
    const state = traceStateOf(record, this.#around);
    return {
      traceId: traceIdOf(record),
      spanId: hexWord(record.spanId0) + hexWord(record.spanId1),
      traceFlags: traceFlagsOf(record),
      ...(state === undefined ? {} : { traceState: stateOf(state) }),
    };
  }

  /** The trace that an edge did not continue, for one. */
  get links(): Link[] {
    return readExtra(this.#record.extra).links.map((ids) => ({
      context: { ...ids, traceFlags: 0, isRemote: true },
    }));
  }

  get startTime(): HrTime {
    return hrTime(startUsOf(this.#record, this.#around));
  }

  get endTime(): HrTime {
    return hrTime(startUsOf(this.#record, this.#around) + durationUsOf(this.#record));
  }

  get duration(): HrTime {
    return hrTime(durationUsOf(this.#record));
  }

  get status(): SpanStatus {
    return { code: spanOutcome(this.#record).isError ? STATUS_ERROR : STATUS_UNSET };
  }

  get attributes(): Attributes {
    const limited = new LimitedAttributes(this.#around);
    putSpanAttributes(this.#record, spanOutcome(this.#record), this.#around, limited);
    this.droppedAttributesCount = limited.dropped;
    return limited.attributes;
  }
}

/**
 * `GET`: the path is never in it. `HTTP` for a method that is not known. `TCP` and the cluster for a
 * connection.
 */
export function spanNameOf(record: ExchangeRecord, around: SpanSurroundings): string {
  if (record.kind === RecordKind.Connection) {
    const cluster = around.names[record.clusterId];
    return cluster ? `TCP ${cluster}` : 'TCP';
  }
  return knownMethod(record, around.knownMethods) ?? 'HTTP';
}

/** Whether the parent's id was received: a tunnel's is the span of an exchange of ours. */
export function hasRemoteParent({ kind, flags }: ExchangeRecord): boolean {
  return (flags & RecordFlag.HasParent) !== 0 && kind !== RecordKind.Connection;
}

export function spanKindOf(record: ExchangeRecord): number {
  return isOutbound(record) ? KIND_CLIENT : KIND_SERVER;
}

/** Microseconds since the epoch: whole, and below 2^53 for 200 years. */
export function startUsOf(record: ExchangeRecord, around: SpanSurroundings): number {
  return Math.round((around.epochMs + record.startMs) * 1_000);
}

export function durationUsOf(record: ExchangeRecord): number {
  return Math.max(0, Math.round(record.totalUs));
}

function hrTime(us: number): HrTime {
  const seconds = Math.floor(us / 1_000_000);
  return [seconds, (us - seconds * 1_000_000) * 1_000];
}

/** 32 lower-case hex digits. */
export function traceIdOf(record: ExchangeRecord): string {
  return (
    hexWord(record.traceId0) +
    hexWord(record.traceId1) +
    hexWord(record.traceId2) +
    hexWord(record.traceId3)
  );
}

/** 8 lower-case hex digits of a 32-bit pattern. */
export function hexWord(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

/** W3C flags: sampled (also by a later verdict) and random. */
export function traceFlagsOf(record: ExchangeRecord): number {
  return (
    ((record.flags & (RecordFlag.Sampled | RecordFlag.Kept)) !== 0 ? 1 : 0) |
    ((record.flags & RecordFlag.RandomId) !== 0 ? 2 : 0)
  );
}

/** Bits of a span's flags beside the W3C ones: it is known whether the parent is remote, and it is. */
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;
/** Of a link, whose context was received. */
export const LINK_FLAGS: number = HAS_IS_REMOTE | IS_REMOTE;

/** The flags of the span as OTLP has them. */
export function spanFlagsOf(record: ExchangeRecord): number {
  return traceFlagsOf(record) | HAS_IS_REMOTE | (hasRemoteParent(record) ? IS_REMOTE : 0);
}

/**
 * The part of trace state that tells how many traces a sampled one stands for: the own ratio's or the
 * received threshold (OpenTelemetry, consistent probability). A trace that was kept for what it is has
 * none.
 */
export function traceStateOf(record: ExchangeRecord, around: SpanSurroundings): string | undefined {
  if ((record.flags & RecordFlag.OwnThreshold) !== 0) {
    const direction = isOutbound(record) ? 'outbound' : 'inbound';
    const ratio = around.rules.ratioOf(record.generation, direction, around.ratio);
    if (ratio === undefined) return undefined;
    const sampler = new HeadSampler({ isParentBased: false, ratio });
    return `ot=th:${thresholdDigits(sampler.thresholdHigh, sampler.thresholdLow)}`;
  }
  if (record.extra === '') return undefined;
  const { threshold } = readExtra(record.extra);
  return threshold === '' ? undefined : `ot=th:${threshold}`;
}

/** A trace state that is only ever written out. */
function stateOf(text: string): TraceState {
  const state: TraceState = {
    serialize: () => text,
    get: () => undefined,
    set: () => state,
    unset: () => state,
  };
  return state;
}

/** An object of attributes within OTEL_SPAN_ATTRIBUTE_*_LIMIT. */
class LimitedAttributes implements AttributeSink {
  readonly attributes: Attributes = {};
  dropped = 0;
  readonly #max: number;
  readonly #lengthMax: number;
  #count = 0;

  constructor(around: SpanSurroundings) {
    this.#max = around.attributesMax;
    this.#lengthMax = around.attributeLengthMax;
  }

  put<Key extends SpanKey>(key: Key, value: SpanValue<Key>): void {
    this.#put(key, value);
  }

  putOwn(key: string, value: string | readonly string[]): void {
    this.#put(key, value);
  }

  #put(key: string, value: AnySpanValue): void {
    if (this.#count++ >= this.#max) this.dropped++;
    else if (typeof value === 'string') this.attributes[key] = value.slice(0, this.#lengthMax);
    else this.attributes[key] = typeof value === 'object' ? [...value] : value;
  }
}
