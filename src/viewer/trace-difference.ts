/**
 * Two traces laid over each other: which span of one does what a span of the other does.
 *
 *    A  web ─ reviews v1 ─ ratings        one row for each pair, in the order of reading; what only
 *    B  web ─ reviews v2 ─ ratings        one of them has is a row with one side
 *
 * Spans match when the ways to them match: service, kind, name and callee, all the way down, and
 * among equals the first one matches the first one. The subset does not count: versions are what
 * is compared. No recursion, so that chains of any length match.
 */

import { attributeText } from './otlp-json.ts';
import type { TraceLayout, TraceRow } from './trace-layout.ts';

export interface PairRow {
  readonly depth: number;
  readonly left: TraceRow | undefined;
  readonly right: TraceRow | undefined;
}

/** Rows in order of reading: of the left trace first, what only the right one has after it. */
export function matchTraces(left: TraceLayout, right: TraceLayout): PairRow[] {
  const leftChildren = childrenOf(left);
  const rightChildren = childrenOf(right);
  const pairs: PairRow[] = [];
  const waiting = pairUp(leftChildren.get(-1), rightChildren.get(-1), 0).reverse();
  for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
    pairs.push(pair);
    const below = pairUp(
      pair.left === undefined ? undefined : leftChildren.get(pair.left.index),
      pair.right === undefined ? undefined : rightChildren.get(pair.right.index),
      pair.depth + 1,
    );
    for (let index = below.length - 1; index >= 0; index--) waiting.push(below[index]!);
  }
  return pairs;
}

/** By parent, -1 for what stands at the top. */
function childrenOf({ rows }: TraceLayout): ReadonlyMap<number, readonly TraceRow[]> {
  const children = new Map<number, TraceRow[]>();
  for (const row of rows) {
    const list = children.get(row.parent);
    if (list === undefined) children.set(row.parent, [row]);
    else list.push(row);
  }
  return children;
}

function pairUp(
  left: readonly TraceRow[] = [],
  right: readonly TraceRow[] = [],
  depth: number,
): PairRow[] {
  const waiting = new Map<string, TraceRow[]>();
  for (const row of [...right].reverse()) {
    const key = keyOf(row);
    const list = waiting.get(key);
    if (list === undefined) waiting.set(key, [row]);
    else list.push(row);
  }
  const pairs: PairRow[] = left.map((row) => {
    return { depth, left: row, right: waiting.get(keyOf(row))?.pop() };
  });
  const matched = new Set(pairs.map((pair) => pair.right));
  for (const row of right) {
    if (!matched.has(row)) pairs.push({ depth, left: undefined, right: row });
  }
  return pairs;
}

function keyOf({ span }: TraceRow): string {
  const peer = attributeText(span.attributes, 'service.peer.name') ?? '';
  return JSON.stringify([span.service, span.kind, span.name, peer]);
}
