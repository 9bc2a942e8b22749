/**
 * The spans of a trace in the order of reading: each below its parent, siblings by start time.
 *
 * Every span comes exactly once, whatever its parents say: one whose parent is not in the trace is
 * an orphan and stands at the top, and so does the earliest span of a circle. No recursion, so that
 * a chain of any length is walked.
 */

import { byStart, type StoredSpan } from './stored-trace.ts';

export interface PlacedSpan {
  readonly span: StoredSpan;
  /** 0 for what stands at the top. */
  readonly depth: number;
  readonly isOrphan: boolean;
  readonly isLastSibling: boolean;
  /** The span above it in the tree, undefined at the top. */
  readonly parent: PlacedSpan | undefined;
}

/** Places all `spans`; roots first by start time, orphans among them. */
export function placeSpans(spans: readonly StoredSpan[]): PlacedSpan[] {
  const ids = new Set(spans.map((span) => span.spanId));
  const children = new Map<string, StoredSpan[]>();
  const tops: StoredSpan[] = [];
  for (const span of [...spans].sort(byStart)) {
    const { parentSpanId } = span;
    if (parentSpanId === '' || !ids.has(parentSpanId) || parentSpanId === span.spanId) {
      tops.push(span);
    } else {
      const siblings = children.get(parentSpanId);
      if (siblings === undefined) children.set(parentSpanId, [span]);
      else siblings.push(span);
    }
  }
  const walk = new Walk(children);
  for (const top of tops) walk.from(top);
  // What is left hangs on a circle of parents: its earliest span is taken as the top of the rest.
  for (const span of [...spans].sort(byStart)) walk.from(span);
  return walk.placed;
}

class Walk {
  readonly placed: PlacedSpan[] = [];
  readonly #children: ReadonlyMap<string, readonly StoredSpan[]>;
  readonly #seen = new Set<string>();

  constructor(children: ReadonlyMap<string, readonly StoredSpan[]>) {
    this.#children = children;
  }

  /** Places `top` and all below it, unless that has been done. */
  from(top: StoredSpan): void {
    if (this.#seen.has(top.spanId)) return;
    this.#seen.add(top.spanId);
    const isOrphan = top.parentSpanId !== '';
    const waiting: PlacedSpan[] = [
      { span: top, depth: 0, isOrphan, isLastSibling: true, parent: undefined },
    ];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      this.placed.push(next);
      const parent = next;
      const below = (this.#children.get(parent.span.spanId) ?? []).filter((span) => {
        const isNew = !this.#seen.has(span.spanId);
        this.#seen.add(span.spanId);
        return isNew;
      });
      for (let index = below.length - 1; index >= 0; index--) {
        waiting.push({
          span: below[index]!,
          depth: parent.depth + 1,
          isOrphan: false,
          isLastSibling: index === below.length - 1,
          parent,
        });
      }
    }
  }
}
