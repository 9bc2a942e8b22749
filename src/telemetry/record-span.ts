/**
 * A record as the OpenTelemetry SDK's ReadableSpan: what processor and exporter of the SDK take.
 *
 * It keeps the record and makes attributes only when the exporter asks, so that a span which waits
 * in a queue or is dropped costs a few hundred bytes and no work.
 */

import type { Attributes, HrTime, SpanContext, SpanStatus } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { ClusterBook } from './cluster-facts.ts';
import { type ExchangeRecord, RecordFlag, RecordKind } from './exchange-record.ts';
import { knownMethod, type NameList, spanAttributes } from './span-attributes.ts';
import { spanOutcome } from './span-outcome.ts';

/** What all spans of a worker have in common. */
export interface SpanSurroundings {
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  readonly names: NameList;
  readonly clusters: ClusterBook;
  /** Wall-clock milliseconds at the monotonic 0 of `record.startMs`. */
  readonly epochMs: number;
  readonly knownMethods: readonly string[] | undefined;
  readonly attributesMax: number;
  readonly attributeLengthMax: number;
}

// Values of the API's enums, so that this file loads nothing of it.
const KIND_SERVER = 1;
const KIND_CLIENT = 2;
const STATUS_UNSET = 0;
const STATUS_ERROR = 2;

export class RecordSpan implements ReadableSpan {
  readonly links: [] = [];
  readonly events: [] = [];
  readonly ended = true;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount = 0;
  droppedAttributesCount = 0;
  /** The received parent; absent on a root. */
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
        isRemote: true,
      };
    }
  }

  get resource(): Resource {
    return this.#around.resource;
  }

  get instrumentationScope(): InstrumentationScope {
    return this.#around.scope;
  }

  /** `GET`: the path is never in it. `HTTP` for a method that is not known. */
  get name(): string {
    return knownMethod(this.#record, this.#around.knownMethods) ?? 'HTTP';
  }

  get kind(): number {
    return this.#record.kind === RecordKind.Client ? KIND_CLIENT : KIND_SERVER;
  }

  spanContext(): SpanContext {
    const record = this.#record;
    return {
      traceId: traceIdOf(record),
      spanId: hexWord(record.spanId0) + hexWord(record.spanId1),
      traceFlags: traceFlagsOf(record),
    };
  }

  get startTime(): HrTime {
    return hrTime(this.#startUs());
  }

  get endTime(): HrTime {
    return hrTime(this.#startUs() + this.#durationUs());
  }

  get duration(): HrTime {
    return hrTime(this.#durationUs());
  }

  get status(): SpanStatus {
    return { code: spanOutcome(this.#record).isError ? STATUS_ERROR : STATUS_UNSET };
  }

  get attributes(): Attributes {
    const around = this.#around;
    const outcome = spanOutcome(this.#record);
    const attributes = spanAttributes(this.#record, outcome, around);
    this.droppedAttributesCount = limitAttributes(
      attributes,
      around.attributesMax,
      around.attributeLengthMax,
    );
    return attributes;
  }

  /** Microseconds since the epoch: whole, and below 2^53 for 200 years. */
  #startUs(): number {
    return Math.round((this.#around.epochMs + this.#record.startMs) * 1_000);
  }

  #durationUs(): number {
    return Math.max(0, Math.round(this.#record.totalUs));
  }
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

/** W3C flags: sampled and random. */
export function traceFlagsOf(record: ExchangeRecord): number {
  return (
    ((record.flags & RecordFlag.Sampled) !== 0 ? 1 : 0) |
    ((record.flags & RecordFlag.RandomId) !== 0 ? 2 : 0)
  );
}

/** Applies OTEL_SPAN_ATTRIBUTE_*_LIMIT in place; returns how many attributes were taken out. */
function limitAttributes(attributes: Attributes, max: number, lengthMax: number): number {
  const keys = Object.keys(attributes);
  if (lengthMax !== Number.POSITIVE_INFINITY) {
    for (const key of keys) {
      const value = attributes[key];
      if (typeof value === 'string') attributes[key] = value.slice(0, lengthMax);
    }
  }
  for (const key of keys.slice(max)) delete attributes[key];
  return Math.max(0, keys.length - max);
}
