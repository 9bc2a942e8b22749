/**
 * The critical path of a trace: which span the answer was waiting for, at every moment.
 *
 *    web      ├───────────────────────────────┤      web waits for reviews, reviews for ratings;
 *    reviews       ├───────────────────┤             what a child does beside a slower one is not
 *    ratings            ├─────────┤                  on the path
 *    path     wwwww rrrr rrrrrrrrr rrrr wwwwww
 *
 * Walked backwards from the end of the first root: the child that ended last before the moment is
 * what was waited for. The segments are disjoint and add up to exactly that root's duration. No
 * recursion: a chain may have any length. Clock skew is not corrected: a child counts only inside
 * of its parent.
 */

import { findRoot, type PlacedSpan } from './span-tree.ts';

/** Nanoseconds after the start of the path's root. */
export interface PathSegment {
  /** Index of the span in the placed list. */
  readonly index: number;
  readonly fromNs: number;
  readonly toNs: number;
}

/** Segments in order of time; empty when there is no span. The root: first top that is no orphan. */
export function findCriticalPath(placed: readonly PlacedSpan[]): readonly PathSegment[] {
  const root = findRoot(placed) ?? placed[0];
  if (root === undefined) return [];
  const rootIndex = placed.indexOf(root);
  const zero = root.span.startNs;
  const startOf = (index: number): number => Number(placed[index]!.span.startNs - zero);
  const children = childrenByEnd(placed, startOf);
  const segments: PathSegment[] = [];
  const open: Waiting[] = [{ index: rootIndex, fromNs: 0, atNs: root.span.durationNs, next: 0 }];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const child = nextChild(top, children.get(top.index) ?? [], startOf, placed);
    const fromNs = child === undefined ? top.fromNs : child.atNs;
    if (top.atNs > fromNs) segments.push({ index: top.index, fromNs, toNs: top.atNs });
    if (child === undefined) {
      open.pop();
      const parent = open.at(-1);
      if (parent !== undefined) parent.atNs = top.fromNs;
    } else {
      open.push(child);
    }
  }
  return segments.reverse();
}

/** How long each span was waited for, by index in the placed list; in all the root's duration. */
export function pathTimes(segments: readonly PathSegment[]): ReadonlyMap<number, number> {
  const times = new Map<number, number>();
  for (const { index, fromNs, toNs } of segments) {
    times.set(index, (times.get(index) ?? 0) + toNs - fromNs);
  }
  return times;
}

/** A span whose time from `fromNs` to `atNs` is still to be given out, from its end. */
interface Waiting {
  readonly index: number;
  readonly fromNs: number;
  atNs: number;
  /** Of its children by end, the next to look at. */
  next: number;
}

/** The child that ended last before `atNs`, cut to what is left of its parent. */
function nextChild(
  parent: Waiting,
  byEnd: readonly number[],
  startOf: (index: number) => number,
  placed: readonly PlacedSpan[],
): Waiting | undefined {
  while (parent.next < byEnd.length) {
    const index = byEnd[parent.next++]!;
    const start = startOf(index);
    const fromNs = Math.max(start, parent.fromNs);
    const end = Math.min(start + placed[index]!.span.durationNs, parent.atNs);
    // One that began after that moment, or ran only beside what was waited for, is not waited for.
    if (fromNs < end) return { index, fromNs, atNs: end, next: 0 };
  }
  return undefined;
}

/** Children of each span, the one that ended last first. */
function childrenByEnd(
  placed: readonly PlacedSpan[],
  startOf: (index: number) => number,
): ReadonlyMap<number, readonly number[]> {
  const indexes = new Map(placed.map((each, index) => [each, index]));
  const children = new Map<number, number[]>();
  placed.forEach(({ parent }, index) => {
    if (parent === undefined) return;
    const at = indexes.get(parent)!;
    const list = children.get(at);
    if (list === undefined) children.set(at, [index]);
    else list.push(index);
  });
  const endOf = (index: number): number => startOf(index) + placed[index]!.span.durationNs;
  for (const list of children.values()) list.sort((one, other) => endOf(other) - endOf(one));
  return children;
}
