/**
 * A trace as rows to draw: each span with its place in time, what hangs below it, and what stands
 * out on it (critical path, network gap, proxy share).
 *
 * Made once for a trace; hiding what is below a row and finding rows work on it without walking the
 * tree again. The page draws from it, and so does the explanation in the terminal.
 */

import { findCriticalPath, type PathSegment, pathTimes } from './critical-path.ts';
import { type ClockSkew, findClockSkew, findNetworkGaps, type NetworkGap } from './network-gap.ts';
import { attributeText } from './otlp-json.ts';
import { isError } from './span-label.ts';
import { findRoot, type PlacedSpan, placeSpans } from './span-tree.ts';
import type { StoredSpan, StoredTrace } from './stored-trace.ts';

export interface TraceRow {
  readonly index: number;
  readonly span: StoredSpan;
  readonly depth: number;
  readonly isOrphan: boolean;
  /** It stands at the top because its parents lead back to itself. */
  readonly isCircular: boolean;
  /** Index of the row above it in the tree, -1 at the top. */
  readonly parent: number;
  /** Rows below it in the tree, at any depth: they follow it in the list. */
  readonly below: number;
  /** Nanoseconds after the start of the trace. */
  readonly offsetNs: number;
  /** Of the span's time, what the critical path spends in the span itself. */
  readonly pathNs: number;
  /** Of a CLIENT span whose SERVER span is in the trace. */
  readonly gap: NetworkGap | undefined;
  /** The proxy's own time, nanoseconds; undefined when nobody measured it. */
  readonly proxyNs: number | undefined;
  readonly isError: boolean;
  /** An error that no span below has: here it began, the others have it from there. */
  readonly isErrorOrigin: boolean;
}

export interface TraceLayout {
  readonly traceId: string;
  readonly rows: readonly TraceRow[];
  /** Nanoseconds since the epoch, and from there to the last end: what is drawn. */
  readonly startNs: bigint;
  readonly totalNs: number;
  /** How long it took: the root's own time; without one root, `totalNs`. */
  readonly tookNs: number;
  /** The worst place where clocks differ. */
  readonly skew: ClockSkew | undefined;
  /** Names, in the order of first appearance in the rows. */
  readonly services: readonly string[];
  readonly errors: number;
  /** Nanoseconds after the start of the trace. */
  readonly path: readonly PathSegment[];
  /** Of all spans; the sums may overlap in time. */
  readonly proxyNs: number;
  readonly gapNs: number;
}

export function layOutTrace(trace: StoredTrace): TraceLayout {
  const placed = placeSpans(trace.spans);
  const { startNs, totalNs } = timeSpan(trace.spans);
  const segments = findCriticalPath(placed);
  const times = pathTimes(segments);
  const gaps = findNetworkGaps(placed);
  const parents = parentIndexes(placed);
  const below = countBelow(parents);
  const origins = errorOrigins(placed, below);
  const rows = placed.map(({ span, depth, isOrphan, isCircular }, index): TraceRow => {
    return {
      index,
      span,
      depth,
      isOrphan,
      isCircular,
      parent: parents[index]!,
      below: below[index]!,
      offsetNs: Math.max(0, Number(span.startNs - startNs)),
      pathNs: times.get(index) ?? 0,
      gap: gaps.get(index),
      proxyNs: proxyTime(span),
      isError: isError(span),
      isErrorOrigin: origins.has(index),
    };
  });
  const named = rows.map(({ span }) => span.service).filter((service) => service !== '');
  return {
    traceId: trace.traceId,
    rows,
    startNs,
    totalNs,
    tookNs: timeTaken(placed, totalNs),
    skew: findClockSkew(placed),
    services: [...new Set(named)],
    errors: rows.filter((row) => row.isError).length,
    path: shiftPath(segments, rows),
    proxyNs: rows.reduce((sum, row) => sum + (row.proxyNs ?? 0), 0),
    gapNs: rows.reduce((sum, row) => sum + Math.max(0, row.gap?.gapNs ?? 0), 0),
  };
}

/** Indexes of the rows to show when what is below the rows `closed` is hidden. */
export function shownRows(layout: TraceLayout, closed: ReadonlySet<number>): number[] {
  const shown: number[] = [];
  const { rows } = layout;
  for (let index = 0; index < rows.length; index++) {
    shown.push(index);
    if (closed.has(index)) index += rows[index]!.below;
  }
  return shown;
}

/**
 * How long a trace took: its root's own time, which no other clock can stretch. Where there is no
 * root, or more than one, `totalNs`.
 */
export function timeTaken(placed: readonly PlacedSpan[], totalNs: number): number {
  const root = findRoot(placed);
  if (root === undefined || root.span.durationNs === 0) return totalNs;
  const after = placed.slice(placed.indexOf(root) + 1);
  return findRoot(after) === undefined ? root.span.durationNs : totalNs;
}

/** Earliest start and the time to the last end; spans without a start do not count. */
export function timeSpan(spans: readonly StoredSpan[]): { startNs: bigint; totalNs: number } {
  const timed = spans.filter((span) => span.startNs > 0n);
  let startNs = timed[0]?.startNs ?? 0n;
  let endNs = startNs;
  for (const span of timed) {
    const end = span.startNs + BigInt(Math.round(span.durationNs));
    if (span.startNs < startNs) startNs = span.startNs;
    if (end > endNs) endNs = end;
  }
  return { startNs, totalNs: Number(endNs - startNs) };
}

function proxyTime(span: StoredSpan): number | undefined {
  const us = Number(attributeText(span.attributes, 'tracecar.time.proxy_us') ?? Number.NaN);
  return Number.isFinite(us) && us >= 0 ? us * 1000 : undefined;
}

function parentIndexes(placed: readonly PlacedSpan[]): number[] {
  const indexes = new Map(placed.map((each, index) => [each, index]));
  return placed.map(({ parent }) => (parent === undefined ? -1 : indexes.get(parent)!));
}

/** Children follow their parents, so one walk from the end sums them up. */
function countBelow(parents: readonly number[]): number[] {
  const below = parents.map(() => 0);
  for (let index = parents.length - 1; index >= 0; index--) {
    const parent = parents[index]!;
    if (parent >= 0) below[parent] = below[parent]! + below[index]! + 1;
  }
  return below;
}

function errorOrigins(placed: readonly PlacedSpan[], below: readonly number[]): Set<number> {
  const origins = new Set<number>();
  let next = Number.POSITIVE_INFINITY;
  for (let index = placed.length - 1; index >= 0; index--) {
    if (!isError(placed[index]!.span)) continue;
    if (next > index + below[index]!) origins.add(index);
    next = index;
  }
  return origins;
}

/** From the start of the path's root to the start of the trace. */
function shiftPath(segments: readonly PathSegment[], rows: readonly TraceRow[]): PathSegment[] {
  const first = segments[0];
  if (first === undefined) return [];
  let root = first.index;
  while (rows[root]!.parent >= 0) root = rows[root]!.parent;
  const shiftNs = rows[root]!.offsetNs;
  return segments.map(({ index, fromNs, toNs }) => {
    return { index, fromNs: fromNs + shiftNs, toNs: toNs + shiftNs };
  });
}
