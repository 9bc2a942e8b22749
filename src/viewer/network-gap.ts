/**
 * What lies between a CLIENT span and the SERVER span that answered it: network, kernel, waiting
 * for the callee to take the request, and the way back.
 *
 *    CLIENT  ├─────────────────────────┤      gap = CLIENT - SERVER = before + after
 *    SERVER      ├───────────────┤
 *
 * The sum does not depend on clocks; its two halves do, when the spans come from two machines: one
 * of them is negative then, which is said and never mended.
 */

import { SpanKind } from './otlp-json.ts';
import type { PlacedSpan } from './span-tree.ts';

export interface NetworkGap {
  /** Index of the SERVER span in the placed list. */
  readonly server: number;
  /** Nanoseconds; negative when the callee says it took longer than its caller waited. */
  readonly gapNs: number;
  readonly beforeNs: number;
  readonly afterNs: number;
  /** The callee seems to have begun before it was called, or to have ended after the answer. */
  readonly isSkewed: boolean;
}

/** Gaps by index of the CLIENT span in the placed list: of those with a SERVER span below them. */
export function findNetworkGaps(placed: readonly PlacedSpan[]): ReadonlyMap<number, NetworkGap> {
  const indexes = new Map(placed.map((each, index) => [each, index]));
  const gaps = new Map<number, NetworkGap>();
  placed.forEach(({ span, parent }, server) => {
    if (span.kind !== SpanKind.Server || parent?.span.kind !== SpanKind.Client) return;
    const client = indexes.get(parent)!;
    // A callee that answered twice under one parent: the first is the one that was called.
    if (gaps.has(client)) return;
    const gapNs = parent.span.durationNs - span.durationNs;
    const beforeNs = Number(span.startNs - parent.span.startNs);
    const afterNs = gapNs - beforeNs;
    gaps.set(client, { server, gapNs, beforeNs, afterNs, isSkewed: beforeNs < 0 || afterNs < 0 });
  });
  return gaps;
}

/** A span whose times cannot be compared with its parent's: the worst of a trace. */
export interface ClockSkew {
  /** Index in the placed list. */
  readonly index: number;
  /** Nanoseconds that it began before what caused it; or after that was over. */
  readonly ns: number;
  /** Before: clocks do differ. After: they do, or it took up late what nobody waited for any more. */
  readonly isBefore: boolean;
}

/** Less than that is not worth a word about the whole trace. */
const skewNsMin = 1_000_000;

/** Undefined when no span of another process is more than 1 ms outside of what caused it. */
export function findClockSkew(placed: readonly PlacedSpan[]): ClockSkew | undefined {
  let worst: ClockSkew | undefined;
  placed.forEach(({ span, parent }, index) => {
    if (parent === undefined || span.startNs === 0n || parent.span.startNs === 0n) return;
    const isCall = span.kind === SpanKind.Server && parent.span.kind === SpanKind.Client;
    if (!isCall && span.service === parent.span.service) return;
    const beforeNs = Number(span.startNs - parent.span.startNs);
    const isBefore = beforeNs < 0;
    if (!isBefore && !isCall) return;
    const ns = isBefore ? -beforeNs : beforeNs - parent.span.durationNs;
    if (ns > Math.max(skewNsMin, worst?.ns ?? 0)) worst = { index, ns, isBefore };
  });
  return worst;
}
