/**
 * The traces: an index in memory, their JSON in memory or in a file, the oldest out first.
 *
 *   decoded spans ─► index (trace-index.ts): ids, times, names, tokens of attributes
 *                └─► bodies (span-bodies.ts): JSON as the query API answers it
 *
 * Bounded by bytes, whatever is sent; everything that is dropped is counted. A span that comes twice
 * (a sender repeats a request after a timeout) is kept once. No clock: age is arrival.
 */

import type { ViewerLimits } from '../model/viewer-limits.ts';
import { TokenList } from './attribute-tokens.ts';
import { MemoryBodies } from './memory-bodies.ts';
import type { DecodedGroup, DecodedSpan } from './otlp-decode.ts';
import { type Operation, ServiceIndex } from './service-index.ts';
import type { BodyPlace, SpanBodies } from './span-bodies.ts';
import { OriginTable, type SpanOrigin } from './span-origin.ts';
import { RowCursor, type RowParts, readHexWord } from './span-row.ts';
import { TextTable } from './text-table.ts';
import { type TraceEntry, TraceIndex } from './trace-index.ts';

/** What is in the store and what has left it, since start. */
export interface StoreCounts {
  readonly traces: number;
  readonly spans: number;
  /** Memory, and of the file what is used in it: at most `bytesMax` after each request. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly evictedTraces: number;
  readonly evictedSpans: number;
  /** Spans that were here already, by trace and span id. */
  readonly repeatedSpans: number;
  /** Spans of traces that had `spansPerTraceMax` already. */
  readonly overflowSpans: number;
  /** '' in memory only, else the file; what is wrong with it, '' when nothing is. */
  readonly file: string;
  readonly problem: string;
}

/** Spans that were not kept, and why; '' when all were. */
export interface Refused {
  readonly spans: number;
  readonly reason: string;
  /** None of the request was kept, and all of it may be later: the disk is full. */
  readonly isTemporary: boolean;
}

type Writable<T> = { -readonly [key in keyof T]: T[key] };

/** One span that the request under way has added. */
interface Added {
  readonly trace: TraceEntry;
  readonly row: number;
}

const segmentWordsMin = 1024;
const segmentWordsMax = 65_536;
const chunkBytesMin = 4 * 1024;
const chunkBytesMax = 1024 * 1024;

/** Everything that asks for traces asks this. */
export class TraceStore {
  readonly index: TraceIndex;
  readonly names = new TextTable();
  readonly origins = new OriginTable();
  readonly #limits: ViewerLimits;
  readonly #bodies: SpanBodies;
  readonly #services = new ServiceIndex();
  readonly #tokens: TokenList;
  readonly #cursor: RowCursor;
  readonly #parts: Writable<RowParts> & BodyPlace = emptyParts();
  #spans = 0;
  #evictedTraces = 0;
  #evictedSpans = 0;
  #repeatedSpans = 0;
  #overflowSpans = 0;

  /** `bodies`: in memory when there are none. */
  constructor(limits: ViewerLimits, bodies?: SpanBodies) {
    this.#limits = limits;
    const part = limits.storeBytesMax / 64;
    const words = 2 ** Math.floor(Math.log2(part / 4));
    this.index = new TraceIndex(clamp(words, segmentWordsMin, segmentWordsMax));
    this.#bodies =
      bodies ?? new MemoryBodies(Math.floor(clamp(part, chunkBytesMin, chunkBytesMax)));
    this.#tokens = new TokenList(limits.searchAttributesMax);
    this.#cursor = new RowCursor(this.index.arena);
    this.#restore();
  }

  /** Stores decoded spans, all that the limits let. */
  add(groups: readonly DecodedGroup[]): Refused {
    const overflowBefore = this.#overflowSpans;
    const added: Added[] = [];
    for (const { origin: parts, spans } of groups) {
      if (spans.length === 0) continue;
      const origin = this.origins.take(parts);
      for (const span of spans) this.#addSpan(origin, span, added);
      this.#releaseOrigin(origin);
    }
    const problem = this.#bodies.commit();
    if (problem !== '') {
      for (const each of added.reverse()) this.#takeBack(each);
    }
    this.#evict();
    const overflow = this.#overflowSpans - overflowBefore;
    if (problem !== '') {
      return { spans: overflow + added.length, reason: problem, isTemporary: true };
    }
    if (overflow === 0) return { spans: 0, reason: '', isTemporary: false };
    const reason = `a trace keeps at most ${this.#limits.spansPerTraceMax} spans`;
    return { spans: overflow, reason, isTemporary: false };
  }

  trace(traceId: string): TraceEntry | undefined {
    return this.index.get(traceId);
  }

  /** The one whose first span came last first; only those that came before the order `before`. */
  newestFirst(before?: number): Iterable<TraceEntry> {
    return this.index.newestFirst(before);
  }

  services(): string[] {
    return this.#services.services();
  }

  operations(service: string, spanKind: string): Operation[] {
    return this.#services.operations(service, spanKind);
  }

  /** The JSON of the span on which the cursor stands. */
  spanJson(cursor: RowCursor): Uint8Array {
    return this.#bodies.read(cursor);
  }

  /** Bytes of the trace's entries of `resourceSpans`. */
  jsonBytes(trace: TraceEntry): number {
    let sum = 0;
    const seen = new Set<number>();
    const cursor = this.#cursor;
    for (let more = cursor.first(trace); more; more = cursor.next()) {
      sum += cursor.bodyBytes + 1;
      if (seen.has(cursor.originId)) continue;
      seen.add(cursor.originId);
      const { head, tail } = this.origins.byId(cursor.originId);
      sum += head.length + tail.length + 1;
    }
    return sum;
  }

  /** Adds the pieces of the trace's entries of `resourceSpans` to `pieces`, comma between them. */
  writeTrace(trace: TraceEntry, pieces: Uint8Array[]): void {
    const byOrigin = new Map<number, Uint8Array[]>();
    const cursor = this.#cursor;
    for (let more = cursor.first(trace); more; more = cursor.next()) {
      const json = this.#bodies.read(cursor);
      const spans = byOrigin.get(cursor.originId);
      if (spans === undefined) byOrigin.set(cursor.originId, [json]);
      else spans.push(comma, json);
    }
    for (const [originId, spans] of byOrigin) {
      if (pieces.length > 0) pieces.push(comma);
      const { head, tail } = this.origins.byId(originId);
      pieces.push(head);
      for (const each of spans) pieces.push(each);
      pieces.push(tail);
    }
  }

  counts(): StoreCounts {
    return {
      traces: this.index.size,
      spans: this.#spans,
      bytes: this.#bytes,
      bytesMax: this.#limits.storeBytesMax,
      evictedTraces: this.#evictedTraces,
      evictedSpans: this.#evictedSpans,
      repeatedSpans: this.#repeatedSpans,
      overflowSpans: this.#overflowSpans,
      file: this.#bodies.file,
      problem: this.#bodies.problem,
    };
  }

  close(): void {
    this.#bodies.close();
  }

  get #bytes(): number {
    return this.index.bytes + this.origins.bytes + this.names.bytes + this.#bodies.bytes;
  }

  #addSpan(origin: SpanOrigin, span: DecodedSpan, added: Added[]): void {
    const parts = this.#parts;
    parts.spanHigh = readHexWord(span.spanId, 0);
    parts.spanLow = readHexWord(span.spanId, 8);
    const trace = this.index.take(span.traceId);
    if (this.index.hasSpan(trace, parts.spanHigh, parts.spanLow)) {
      this.#repeatedSpans++;
      return;
    }
    if (trace.spans >= this.#limits.spansPerTraceMax) {
      this.#overflowSpans++;
      return;
    }
    const { parentSpanId, name, kind } = span;
    parts.kind = kind;
    parts.status = span.statusCode;
    parts.hasParent = parentSpanId !== '';
    parts.parentHigh = parts.hasParent ? readHexWord(parentSpanId, 0) : 0;
    parts.parentLow = parts.hasParent ? readHexWord(parentSpanId, 8) : 0;
    parts.originId = origin.id;
    parts.nameId = this.names.take(name);
    parts.startUs = span.startUs;
    parts.durationNs = span.durationNs;
    const tokens = this.#tokens.ofSpan(span.span);
    const toKeep = { traceId: span.traceId, origin, name, parts, tokens };
    this.#bodies.put(JSON.stringify(span.span), toKeep, parts);
    added.push({ trace, row: this.index.append(trace, parts, tokens) });
    origin.references++;
    this.#spans++;
    this.#services.add(origin.service, name, kind);
  }

  /** Makes the index of what the bodies hold already. */
  #restore(): void {
    const parts = this.#parts;
    for (const stored of this.#bodies.stored()) {
      const origin = this.origins.take(stored.origin);
      if (origin.references === 1) this.#bodies.know(origin, stored.originId);
      const trace = this.index.take(stored.traceId);
      Object.assign(parts, copyOf(stored.parts), stored.place);
      parts.originId = origin.id;
      parts.nameId = this.names.take(stored.name);
      this.index.append(trace, parts, stored.tokens);
      this.#spans++;
      this.#services.add(origin.service, stored.name, parts.kind);
    }
    this.#evict();
  }

  #takeBack({ trace, row }: Added): void {
    const cursor = this.#cursor;
    cursor.goTo(row);
    this.#forgetSpan(cursor);
    this.index.takeBack(trace, row);
  }

  #evict(): void {
    // What cannot be removed from a full disk would come back with the next start.
    while (this.#bodies.problem === '' && this.#bytes > this.#limits.storeBytesMax) {
      if (this.index.oldest() === undefined) return;
      this.#evictOldest();
      // What a file has given back is only known now.
      this.#bodies.commit();
    }
  }

  #evictOldest(): void {
    const cursor = this.#cursor;
    while (this.#bytes > this.#limits.storeBytesMax) {
      const trace = this.index.oldest();
      if (trace === undefined) return;
      this.#evictedTraces++;
      this.#evictedSpans += trace.spans;
      for (let more = cursor.first(trace); more; more = cursor.next()) {
        this.#bodies.release(cursor);
        this.#forgetSpan(cursor);
      }
      this.index.remove(trace);
    }
  }

  /** Takes the span under the cursor out of everything but index and bodies. */
  #forgetSpan(cursor: RowCursor): void {
    const origin = this.origins.byId(cursor.originId);
    this.#services.remove(origin.service, this.names.textOf(cursor.nameId), cursor.kind);
    this.names.release(cursor.nameId);
    this.#releaseOrigin(origin);
    this.#spans--;
  }

  #releaseOrigin(origin: SpanOrigin): void {
    if (this.origins.release(origin)) this.#bodies.forgetOrigin(origin);
  }
}

function copyOf(parts: RowParts): RowParts {
  const { kind, status, spanHigh, spanLow, hasParent, parentHigh, parentLow } = parts;
  const { startUs, durationNs, originId, nameId, bodyHigh, bodyLow, bodyBytes } = parts;
  const ids = { spanHigh, spanLow, hasParent, parentHigh, parentLow, originId, nameId };
  return { kind, status, ...ids, startUs, durationNs, bodyHigh, bodyLow, bodyBytes };
}

const comma = Buffer.from(',');

function emptyParts(): Writable<RowParts> {
  return {
    kind: 0,
    status: 0,
    spanHigh: 0,
    spanLow: 0,
    hasParent: false,
    parentHigh: 0,
    parentLow: 0,
    originId: 0,
    nameId: 0,
    startUs: 0,
    durationNs: 0,
    bodyHigh: 0,
    bodyLow: 0,
    bodyBytes: 0,
  };
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
