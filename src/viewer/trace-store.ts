/**
 * The traces in memory: bounded by bytes, oldest trace out first, everything dropped is counted.
 *
 *    traces (in order of arrival)          a trace
 *    [ oldest | ... | newest ]             by origin: [ span | span ], [ span ]
 *      ▲ evicted from here                 a span: numbers for searching + its JSON as bytes
 *
 * Spans are kept as the JSON that the query API answers, outside of the JavaScript heap, so that
 * an answer is a concatenation and a full store does not strain the collector. A span that comes
 * twice (a sender repeats a request after a timeout) is kept once. No clock: age is arrival.
 */

import type { ViewerLimits } from '../model/limits.ts';
import type { DecodedGroup, DecodedSpan } from './otlp-decode.ts';
import { type Operation, ServiceIndex } from './service-index.ts';
import { OriginTable, type SpanOrigin } from './span-origin.ts';

/** What is in the store and what has left it, since start. */
export interface StoreCounts {
  readonly traces: number;
  readonly spans: number;
  /** Estimated memory, at most `bytesMax` after each request. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly evictedTraces: number;
  readonly evictedSpans: number;
  /** Spans that were here already, by trace and span id. */
  readonly repeatedSpans: number;
  /** Spans of traces that had `spansPerTraceMax` already. */
  readonly overflowSpans: number;
}

/**
 * Memory beside the JSON, rounded up: a trace of one span was measured at 850 bytes of heap, and
 * its buffers at up to a fifth more than its JSON (Node 26.10, 2026-11).
 */
const spanObjectBytes = 400;
const traceObjectBytes = 900;

/** One trace in the store; read it, do not keep it. */
export class TraceEntry {
  readonly traceId: string;
  readonly groups = new Map<SpanOrigin, DecodedSpan[]>();
  readonly spanIds = new Set<string>();
  bytes = traceObjectBytes;

  constructor(traceId: string) {
    this.traceId = traceId;
  }

  get jsonBytes(): number {
    let sum = 0;
    for (const [origin, spans] of this.groups) {
      sum += origin.head.length + origin.tail.length + 1;
      for (const span of spans) sum += span.json.length + 1;
    }
    return sum;
  }

  /** Adds the pieces of this trace's entries of `resourceSpans` to `pieces`, comma between them. */
  writeTo(pieces: Uint8Array[]): void {
    for (const [origin, spans] of this.groups) {
      if (pieces.length > 0) pieces.push(comma);
      pieces.push(origin.head);
      spans.forEach((span, index) => {
        if (index > 0) pieces.push(comma);
        pieces.push(span.json);
      });
      pieces.push(origin.tail);
    }
  }
}

const comma = Buffer.from(',');

export class TraceStore {
  readonly #limits: ViewerLimits;
  readonly #traces = new Map<string, TraceEntry>();
  readonly #origins = new OriginTable();
  readonly #index = new ServiceIndex();
  #traceBytes = 0;
  #spans = 0;
  #evictedTraces = 0;
  #evictedSpans = 0;
  #repeatedSpans = 0;
  #overflowSpans = 0;

  constructor(limits: ViewerLimits) {
    this.#limits = limits;
  }

  /** Stores decoded spans; returns how many had no room in their trace. */
  add(groups: readonly DecodedGroup[]): number {
    const overflowBefore = this.#overflowSpans;
    for (const { origin: parts, spans } of groups) {
      if (spans.length === 0) continue;
      const origin = this.#origins.take(parts);
      for (const span of spans) this.#addSpan(origin, span);
      this.#origins.release(origin);
      this.#evict();
    }
    return this.#overflowSpans - overflowBefore;
  }

  trace(traceId: string): TraceEntry | undefined {
    return this.#traces.get(traceId);
  }

  /** All traces, the one whose first span came last first. */
  newestFirst(): TraceEntry[] {
    return [...this.#traces.values()].reverse();
  }

  services(): string[] {
    return this.#index.services();
  }

  operations(service: string, spanKind: string): Operation[] {
    return this.#index.operations(service, spanKind);
  }

  counts(): StoreCounts {
    return {
      traces: this.#traces.size,
      spans: this.#spans,
      bytes: this.#bytes,
      bytesMax: this.#limits.storeBytesMax,
      evictedTraces: this.#evictedTraces,
      evictedSpans: this.#evictedSpans,
      repeatedSpans: this.#repeatedSpans,
      overflowSpans: this.#overflowSpans,
    };
  }

  get #bytes(): number {
    return this.#traceBytes + this.#origins.bytes;
  }

  #addSpan(origin: SpanOrigin, span: DecodedSpan): void {
    let trace = this.#traces.get(span.traceId);
    if (trace === undefined) {
      trace = new TraceEntry(span.traceId);
      this.#traces.set(span.traceId, trace);
      this.#traceBytes += trace.bytes;
    }
    if (trace.spanIds.has(span.spanId)) {
      this.#repeatedSpans++;
      return;
    }
    if (trace.spanIds.size >= this.#limits.spansPerTraceMax) {
      this.#overflowSpans++;
      return;
    }
    trace.spanIds.add(span.spanId);
    const group = trace.groups.get(origin);
    if (group !== undefined) {
      group.push(span);
    } else {
      this.#origins.share(origin);
      trace.groups.set(origin, [span]);
    }
    const bytes = span.json.length + span.name.length + spanObjectBytes;
    trace.bytes += bytes;
    this.#traceBytes += bytes;
    this.#spans++;
    this.#index.add(origin.service, span.name, span.kind);
  }

  #evict(): void {
    for (const trace of this.#traces.values()) {
      if (this.#bytes <= this.#limits.storeBytesMax) return;
      this.#traces.delete(trace.traceId);
      this.#traceBytes -= trace.bytes;
      this.#evictedTraces++;
      for (const [origin, spans] of trace.groups) {
        for (const span of spans) this.#index.remove(origin.service, span.name, span.kind);
        this.#spans -= spans.length;
        this.#evictedSpans += spans.length;
        this.#origins.release(origin);
      }
    }
  }
}
