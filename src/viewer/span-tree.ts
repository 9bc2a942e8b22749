/**
 * The spans of a trace in the order of reading: each below its parent, siblings by start time.
 *
 * Every span comes exactly once, whatever its parents say: one whose parent is not in the trace is
 * an orphan and stands at the top, and so does the earliest span of a circle (one that is its own
 * parent is a circle too). No recursion, so that a chain of any length is walked.
 */

import { byStart, type StoredSpan } from './stored-trace.ts';

export interface PlacedSpan {
  readonly span: StoredSpan;
  /** 0 for what stands at the top. */
  readonly depth: number;
  /** Its parent is not in the trace. */
  readonly isOrphan: boolean;
  /** It stands at the top because its parents lead back to itself. */
  readonly isCircular: boolean;
  readonly isLastSibling: boolean;
  /** The span above it in the tree, undefined at the top. */
  readonly parent: PlacedSpan | undefined;
}

/** Places all `spans`; roots first by start time, orphans among them. */
export function placeSpans(spans: readonly StoredSpan[]): PlacedSpan[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const children = new Map<string, StoredSpan[]>();
  const tops: StoredSpan[] = [];
  for (const span of [...spans].sort(byStart)) {
    const { parentSpanId } = span;
    if (parentSpanId === '' || !byId.has(parentSpanId)) {
      tops.push(span);
    } else {
      const siblings = children.get(parentSpanId);
      if (siblings === undefined) children.set(parentSpanId, [span]);
      else siblings.push(span);
    }
  }
  const walk = new Walk(children);
  for (const top of tops) walk.from(top, false);
  // What is left hangs on circles of parents.
  for (const span of spans) {
    if (!walk.hasSeen(span)) walk.from(earliestOfCircle(span, byId), true);
  }
  return walk.placed;
}

/** Of the circle to which the parents of `span` lead. */
function earliestOfCircle(span: StoredSpan, byId: ReadonlyMap<string, StoredSpan>): StoredSpan {
  const above = new Set<StoredSpan>();
  let first = span;
  while (!above.has(first)) {
    above.add(first);
    first = byId.get(first.parentSpanId)!;
  }
  let earliest = first;
  for (let each = byId.get(first.parentSpanId)!; each !== first; ) {
    if (byStart(each, earliest) < 0) earliest = each;
    each = byId.get(each.parentSpanId)!;
  }
  return earliest;
}

/** What the others came from: a span at the top that has no parent. Undefined when there is none. */
export function findRoot<T extends Pick<PlacedSpan, 'depth' | 'isOrphan' | 'isCircular'>>(
  placed: readonly T[],
): T | undefined {
  return placed.find(({ depth, isOrphan, isCircular }) => depth === 0 && !isOrphan && !isCircular);
}

class Walk {
  readonly placed: PlacedSpan[] = [];
  readonly #children: ReadonlyMap<string, readonly StoredSpan[]>;
  readonly #seen = new Set<string>();

  constructor(children: ReadonlyMap<string, readonly StoredSpan[]>) {
    this.#children = children;
  }

  hasSeen(span: StoredSpan): boolean {
    return this.#seen.has(span.spanId);
  }

  /** Places `top`, which is not placed yet, and all below it. */
  from(top: StoredSpan, isCircular: boolean): void {
    this.#seen.add(top.spanId);
    const isOrphan = top.parentSpanId !== '' && !isCircular;
    const waiting: PlacedSpan[] = [
      { span: top, depth: 0, isOrphan, isCircular, isLastSibling: true, parent: undefined },
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
          isCircular: false,
          isLastSibling: index === below.length - 1,
          parent,
        });
      }
    }
  }
}
