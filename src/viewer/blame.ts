/**
 * Whose time and whose answer a span's is, as far as spans prove it: of a sidecar, of the application
 * behind it, of what lies between two of them.
 */

import { type Cause, failure } from '../model/failure.ts';
import { attributeText, SpanKind } from './otlp-json.ts';
import { labelOf } from './span-label.ts';
import type { StoredSpan } from './stored-trace.ts';
import type { TraceLayout, TraceRow } from './trace-layout.ts';

/** The word why Tracecar failed it; empty when it did not, or the span is somebody else's. */
export function causeOf(span: StoredSpan): string {
  return attributeText(span.attributes, 'tracecar.cause') ?? '';
}

/** Whether a sidecar of ours made the span. */
export function isOfSidecar(span: StoredSpan): boolean {
  return attributeText(span.attributes, 'tracecar.direction') !== undefined;
}

/** Whether with this cause the request may have been at the application; unknown words: it may. */
export function hasReachedApplication(cause: string): boolean {
  if (!Object.hasOwn(failure, cause)) return true;
  const { side, retry } = failure[cause as Cause];
  if (cause === 'no-healthy-endpoint') return false;
  if (cause === 'client-gone' || side === 'internal') return true;
  return side === 'upstream' && retry !== 'unsent';
}

/** A part of the time that the answer was waited for. */
export interface TimeShare {
  /** `networks`, `sidecars`, a service (its application), or whose time cannot be told. */
  readonly who: string;
  readonly ns: number;
}

/** The critical path by whom it was spent in, longest first; in all the time of the path's root. */
export function timeShares({ rows }: TraceLayout): TimeShare[] {
  const shares = new Map<string, number>();
  const give = (who: string, ns: number): void => {
    if (ns > 0) shares.set(who, (shares.get(who) ?? 0) + ns);
  };
  for (const row of rows) {
    if (row.pathNs <= 0) continue;
    const ownNs = Math.min(row.proxyNs ?? 0, row.pathNs);
    give('sidecars', ownNs);
    const restNs = row.pathNs - ownNs;
    if (row.span.kind !== SpanKind.Client) {
      give(ownerOf(row.span), restNs);
      continue;
    }
    const server = row.gap === undefined ? undefined : rows[row.gap.server];
    if (row.gap === undefined || server === undefined) {
      give(unansweredOwner(row, rows), restNs);
      continue;
    }
    // Where clocks differ the callee's span lies beside the call; its duration holds all the same.
    const betweenNs = Math.min(restNs, Math.max(0, row.gap.gapNs - ownNs));
    give('networks', betweenNs);
    const insideNs = restNs - betweenNs;
    const sidecarNs = Math.min(server.proxyNs ?? 0, insideNs);
    give('sidecars', sidecarNs);
    give(server.below > 0 ? andCalls(server.span) : ownerOf(server.span), insideNs - sidecarNs);
  }
  return [...shares].map(([who, ns]) => ({ who, ns })).sort((one, other) => other.ns - one.ns);
}

/** What is left of a span beside its sidecar's own time: the application's, unless it never ran. */
function ownerOf(span: StoredSpan): string {
  const cause = causeOf(span);
  const isAnswered = cause === '' || hasReachedApplication(cause);
  return isAnswered ? span.service || '(no service)' : 'sidecars';
}

function andCalls(span: StoredSpan): string {
  return `${ownerOf(span)} and its calls`;
}

/** Of a call without a SERVER span: nobody was called, another hop of it is there, or nothing is known. */
function unansweredOwner({ index, span }: TraceRow, rows: readonly TraceRow[]): string {
  const isCalled = attributeText(span.attributes, 'tracecar.endpoint') !== undefined;
  if (causeOf(span) !== '' && !isCalled) return 'sidecars';
  // An application's own call, taken on by its sidecar.
  const next = rows[index + 1];
  if (next?.parent === index && next.span.kind === SpanKind.Client) return 'networks';
  return `calls without a callee's span (${span.service || '(no service)'} ${labelOf(span)})`;
}
