/**
 * Which traces there are, in the order in which they came, and a row for each of their spans.
 *
 *   entries   [ oldest | ... | newest ]      an entry: first row ─► row ─► last row (span-row.ts)
 *
 * It holds what searches and summaries need and knows nothing of JSON. One object for a trace, none
 * for a span. A trace is as old as its first span; late spans do not make it younger.
 */

import { assert } from '../base/assert.ts';
import { statusError } from './otlp-json.ts';
import { RowCursor, type RowParts, rowHeadWords, writeRow } from './span-row.ts';
import { NO_ROW, placeOf, segmentOf, WordArena } from './word-arena.ts';

/** Measured with its entry in the map: 250 bytes (Node 26.10, 2026-11). */
const entryBytes = 300;
/** Up to so many spans are looked through one by one for a span that came twice. */
const scannedSpansMax = 32;

/** One trace; its rows are a list that only grows. */
export class TraceEntry {
  readonly traceId: string;
  /** Rises with each trace from 1. */
  readonly order: number;
  firstRow = NO_ROW;
  lastRow = NO_ROW;
  spans = 0;
  errors = 0;
  /** Addresses of rows by span id, open addressing, when there are many. */
  table: Uint32Array | undefined;

  constructor(traceId: string, order: number) {
    this.traceId = traceId;
    this.order = order;
  }
}

/** Rows and entries; `TraceStore` keeps names and origins of them counted. */
export class TraceIndex {
  readonly arena: WordArena;
  readonly #traces = new Map<string, TraceEntry>();
  /** By order, less that of the first; undefined: gone. */
  #entries: (TraceEntry | undefined)[] = [];
  #firstOrder = 1;
  #oldest = 0;
  #tableBytes = 0;
  readonly #cursor: RowCursor;

  /** `segmentWords`: of the rows, see WordArena. */
  constructor(segmentWords: number) {
    this.arena = new WordArena(segmentWords);
    this.#cursor = new RowCursor(this.arena);
  }

  get size(): number {
    return this.#traces.size;
  }

  /** Memory: rows as they are, objects as estimated. */
  get bytes(): number {
    return this.arena.bytes + this.#traces.size * entryBytes + this.#tableBytes;
  }

  get(traceId: string): TraceEntry | undefined {
    return this.#traces.get(traceId);
  }

  /** The trace, made and the newest one if need be. */
  take(traceId: string): TraceEntry {
    let entry = this.#traces.get(traceId);
    if (entry === undefined) {
      entry = new TraceEntry(traceId, this.#firstOrder + this.#entries.length);
      this.#entries.push(entry);
      this.#traces.set(traceId, entry);
    }
    return entry;
  }

  /** The trace that came first of those that are here. */
  oldest(): TraceEntry | undefined {
    while (this.#oldest < this.#entries.length) {
      const entry = this.#entries[this.#oldest];
      if (entry !== undefined) return entry;
      this.#oldest++;
    }
    return undefined;
  }

  /** From the newest that came before order `before` on, back to the oldest. */
  *newestFirst(before = Number.POSITIVE_INFINITY): Generator<TraceEntry> {
    const newest = Math.min(before - this.#firstOrder, this.#entries.length) - 1;
    for (let at = newest; at >= this.#oldest; at--) {
      const entry = this.#entries[at];
      if (entry !== undefined) yield entry;
    }
  }

  /** Whether the trace has a span of this id. */
  hasSpan(trace: TraceEntry, high: number, low: number): boolean {
    if (trace.table !== undefined) return this.#findInTable(trace.table, high, low);
    const cursor = this.#cursor;
    for (let more = cursor.first(trace); more; more = cursor.next()) {
      if (cursor.spanLow === low && cursor.spanHigh === high) return true;
    }
    return false;
  }

  /** Adds a span that is not in the trace yet; gives the address of its row. */
  append(trace: TraceEntry, parts: RowParts, tokens: ArrayLike<number>): number {
    const row = this.arena.allocate(rowHeadWords + tokens.length);
    writeRow(segmentOf(this.arena, row), placeOf(row), parts, tokens);
    if (trace.lastRow === NO_ROW) trace.firstRow = row;
    else segmentOf(this.arena, trace.lastRow)[placeOf(trace.lastRow) + 1] = row;
    trace.lastRow = row;
    trace.spans++;
    if (parts.status === statusError) trace.errors++;
    this.#addToTable(trace, row);
    return row;
  }

  /** Takes back a span that was added; a trace without spans goes. */
  takeBack(trace: TraceEntry, row: number): void {
    const cursor = this.#cursor;
    cursor.goTo(row);
    trace.spans--;
    if (cursor.status === statusError) trace.errors--;
    cursor.kill();
    if (trace.spans === 0) this.remove(trace);
  }

  /** Removes a trace with its rows, dead ones too. */
  remove(trace: TraceEntry): void {
    const at = trace.order - this.#firstOrder;
    assert(this.#entries[at] === trace, 'a trace is removed once');
    this.#entries[at] = undefined;
    this.#traces.delete(trace.traceId);
    this.#tableBytes -= trace.table?.byteLength ?? 0;
    for (let row = trace.firstRow; row !== NO_ROW; ) {
      const next = segmentOf(this.arena, row)[placeOf(row) + 1]!;
      this.arena.release(row);
      row = next;
    }
    this.oldest();
    if (this.#oldest > 4096 && this.#oldest * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#firstOrder += this.#oldest;
      this.#oldest = 0;
    }
  }

  #findInTable(table: Uint32Array, high: number, low: number): boolean {
    const mask = table.length - 1;
    const cursor = this.#cursor;
    for (let at = spread(high, low) & mask; table[at] !== NO_ROW; at = (at + 1) & mask) {
      cursor.goTo(table[at]!);
      if (cursor.spanLow === low && cursor.spanHigh === high && !cursor.isDead) return true;
    }
    return false;
  }

  #addToTable(trace: TraceEntry, row: number): void {
    if (trace.table === undefined && trace.spans <= scannedSpansMax) return;
    if (trace.table !== undefined && trace.spans * 2 <= trace.table.length) {
      this.#putInTable(trace.table, row);
      return;
    }
    const table = new Uint32Array(4 * 2 ** Math.ceil(Math.log2(trace.spans)));
    this.#tableBytes += table.byteLength - (trace.table?.byteLength ?? 0);
    trace.table = table;
    for (let each = trace.firstRow; each !== NO_ROW; ) {
      this.#putInTable(table, each);
      each = segmentOf(this.arena, each)[placeOf(each) + 1]!;
    }
  }

  #putInTable(table: Uint32Array, row: number): void {
    const mask = table.length - 1;
    const cursor = this.#cursor;
    cursor.goTo(row);
    let at = spread(cursor.spanHigh, cursor.spanLow) & mask;
    while (table[at] !== NO_ROW) at = (at + 1) & mask;
    table[at] = row;
  }
}

/** Span ids are random where they are honest; others are spread too. */
function spread(high: number, low: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
