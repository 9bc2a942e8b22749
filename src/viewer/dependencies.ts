/**
 * Who calls whom as the spans in the store say it: a span of one service with a child of another.
 *
 * Spans are sampled, so these are no rates. A pair of the same service is left out, as Jaeger does it.
 */

import { statusError } from './otlp-json.ts';
import { RowCursor } from './span-row.ts';
import type { TraceEntry } from './trace-index.ts';
import type { TraceStore } from './trace-store.ts';

export interface Dependency {
  readonly parent: string;
  readonly child: string;
  /** Spans of the child that have a parent in the other service. */
  calls: number;
  /** Of those whose own status is an error. */
  errors: number;
}

/**
 * All pairs whose child began from `startMinUs` to `startMaxUs`, by parent, then child.
 * `isOfInterest` may leave out a pair by the rows of its spans.
 */
export function findDependencies(
  store: TraceStore,
  startMinUs: number,
  startMaxUs: number,
  isOfInterest: (parent: RowCursor, child: RowCursor) => boolean = () => true,
): Dependency[] {
  const found = new Map<string, Dependency>();
  const walk = new Walk(store, startMinUs, startMaxUs);
  let outsideInARow = 0;
  for (const trace of store.newestFirst()) {
    if (outsideInARow >= outsideMax) break;
    const isInside = walk.visit(trace, (child, parent) => {
      if (!isOfInterest(parent, child)) return;
      const names = [parent, child].map((row) => store.origins.byId(row.originId).service);
      const key = JSON.stringify(names);
      let pair = found.get(key);
      if (pair === undefined) {
        pair = { parent: names[0]!, child: names[1]!, calls: 0, errors: 0 };
        found.set(key, pair);
      }
      pair.calls++;
      if (child.status === statusError) pair.errors++;
    });
    outsideInARow = isInside ? 0 : outsideInARow + 1;
  }
  return [...found.values()].sort(
    (one, other) => compare(one.parent, other.parent) || compare(one.child, other.child),
  );
}

/** Traces come about in order of time: after so many outside of it in a row the rest is too. */
const outsideMax = 20_000;
/** Up to so many spans a parent is looked for one by one, beyond it by a map of the trace. */
const scannedSpansMax = 16;

class Walk {
  readonly #store: TraceStore;
  readonly #startMinUs: number;
  readonly #startMaxUs: number;
  readonly #child: RowCursor;
  readonly #parent: RowCursor;

  constructor(store: TraceStore, startMinUs: number, startMaxUs: number) {
    this.#store = store;
    this.#startMinUs = startMinUs;
    this.#startMaxUs = startMaxUs;
    this.#child = new RowCursor(store.index.arena);
    this.#parent = new RowCursor(store.index.arena);
  }

  /**
   * Calls `onPair` for each span with a parent of another service; false when no span of the trace is
   * within the time.
   */
  visit(trace: TraceEntry, onPair: (child: RowCursor, parent: RowCursor) => void): boolean {
    let isInside = false;
    const child = this.#child;
    const rows = trace.spans > scannedSpansMax ? this.#rowsById(trace) : undefined;
    for (let more = child.first(trace); more; more = child.next()) {
      const { startUs } = child;
      if (startUs < this.#startMinUs || startUs > this.#startMaxUs) continue;
      isInside = true;
      if (!child.hasParent) continue;
      const isFound = rows === undefined ? this.#scan(trace) : this.#lookUp(rows);
      if (isFound && this.#isPair()) onPair(child, this.#parent);
    }
    return isInside;
  }

  #isPair(): boolean {
    const of = (row: RowCursor): string => this.#store.origins.byId(row.originId).service;
    return this.#child.originId !== this.#parent.originId && of(this.#child) !== of(this.#parent);
  }

  #scan(trace: TraceEntry): boolean {
    const { parentHigh, parentLow } = this.#child;
    const parent = this.#parent;
    for (let more = parent.first(trace); more; more = parent.next()) {
      if (parent.spanLow === parentLow && parent.spanHigh === parentHigh) return true;
    }
    return false;
  }

  #rowsById(trace: TraceEntry): ReadonlyMap<string, number> {
    const rows = new Map<string, number>();
    const row = this.#parent;
    for (let more = row.first(trace); more; more = row.next()) rows.set(row.spanId, row.address);
    return rows;
  }

  #lookUp(rows: ReadonlyMap<string, number>): boolean {
    const address = rows.get(this.#child.parentId);
    if (address === undefined) return false;
    this.#parent.goTo(address);
    return true;
  }
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
