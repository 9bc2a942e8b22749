/**
 * Counts in Jaeger what became of requests: how many traces each left, and whether one of them is the
 * whole way web -> reviews -> ratings with every parent right.
 *
 * A request is known in spans by the id in their URL, whoever recorded them; so the same count serves
 * every mesh, and a span that was joined to another request's trace is seen.
 */

import { setTimeout as wait } from 'node:timers/promises';
import type { Jaeger, JaegerSpan, JaegerTrace } from '../jaeger.ts';

export interface TraceCounts {
  readonly requests: number;
  /** Requests of which there is exactly one trace, and it is whole. */
  readonly whole: number;
  /** Traces that have a span of one of the requests. */
  readonly traces: number;
  readonly spans: number;
  /** Spans below a span of another request, or of a service that does not call theirs. */
  readonly wrongParents: number;
  /** One that came whole, of middle duration; undefined when none did. */
  readonly example: string | undefined;
  /** What there is of the first requests that did not come whole. */
  readonly gaps: readonly string[];
}

const services = ['web', 'reviews', 'ratings'] as const;
/** Which service may call which; a server's parent is a client of the caller. */
const callers: Readonly<Record<string, string>> = { reviews: 'web', ratings: 'reviews' };

/**
 * Asks Jaeger until every request came whole, or no new span has come for `patienceMs`. Jaeger keeps
 * what it gets, so asking again only ever shows more.
 */
export async function countTraces(
  jaeger: Jaeger,
  ids: ReadonlySet<string>,
  patienceMs = 8_000,
): Promise<TraceCounts> {
  let known = -1;
  let lastNews = performance.now();
  for (;;) {
    const counts = judge(await tracesOf(jaeger, ids), ids);
    if (counts.whole === ids.size) return counts;
    if (counts.spans > known) lastNews = performance.now();
    known = counts.spans;
    if (performance.now() - lastNews > patienceMs) return counts;
    await wait(500);
  }
}

/** Who calls and who is called, by the service and kind (2 server, 3 client) of a span. */
const peers: Readonly<Record<string, string>> = {
  'web 3': 'reviews',
  'reviews 2': 'web',
  'reviews 3': 'ratings',
  'ratings 2': 'reviews',
};

/** Of spans between two sidecars. */
export interface HopCounts {
  readonly hops: number;
  /** Those that name another peer than they should have, or none; a line each. */
  readonly unverified: readonly string[];
}

export async function countHops(jaeger: Jaeger, ids: ReadonlySet<string>): Promise<HopCounts> {
  let hops = 0;
  const unverified: string[] = [];
  for (const { spans } of await tracesOf(jaeger, ids)) {
    for (const { service, kind, attributes, name } of spans) {
      const peer = peers[`${service} ${kind}`];
      if (peer === undefined) continue;
      hops += 1;
      const identity = attributes['tracecar.peer.identity'] ?? 'nobody';
      if (identity === `spiffe://cluster.local/ns/shop/sa/${peer}`) continue;
      unverified.push(`${service} ${kind === 2 ? 'answers' : 'asks'} ${identity}: ${name}`);
    }
  }
  return { hops, unverified };
}

/** Traces since `sinceMs` (epoch) that have a span of one of the requests. */
export async function tracesOf(
  jaeger: Jaeger,
  ids: ReadonlySet<string>,
  sinceMs?: number,
): Promise<JaegerTrace[]> {
  const found = new Map<string, JaegerTrace>();
  for (const service of services) {
    for (const trace of await jaeger.traces(service, 100_000, sinceMs)) {
      if (trace.spans.some((span) => ids.has(requestIdOf(span)))) found.set(trace.traceId, trace);
    }
  }
  return [...found.values()];
}

function judge(traces: readonly JaegerTrace[], ids: ReadonlySet<string>): TraceCounts {
  const byRequest = new Map<string, JaegerTrace[]>([...ids].map((id) => [id, []]));
  let wrongParents = 0;
  let spans = 0;
  for (const trace of traces) {
    spans += trace.spans.length;
    wrongParents += wrongParentsOf(trace);
    for (const id of new Set(trace.spans.map(requestIdOf))) byRequest.get(id)?.push(trace);
  }
  const whole: JaegerTrace[] = [];
  const gaps: string[] = [];
  for (const [id, own] of byRequest) {
    if (own.length === 1 && isWhole(own[0]!)) {
      whole.push(own[0]!);
    } else if (gaps.length < 5) gaps.push(`${id}: ${own.map(shown).join(' | ') || 'no span'}`);
  }
  whole.sort((one, other) => Number(durationOf(one) - durationOf(other)));
  return {
    requests: ids.size,
    whole: whole.length,
    traces: traces.length,
    spans,
    wrongParents,
    example: whole[whole.length >> 1]?.traceId,
    gaps,
  };
}

/** Nanoseconds of the root. */
function durationOf({ spans }: JaegerTrace): bigint {
  const root = spans.find((span) => span.parentSpanId === '');
  return root === undefined ? 0n : root.endNs - root.startNs;
}

/** The `id` in a span's URL; attribute names of today's and yesterday's conventions. */
export function requestIdOf({ attributes }: JaegerSpan): string {
  const { 'url.full': full, 'url.query': query, 'http.url': old } = attributes;
  const url = full ?? old ?? `?${query ?? ''}`;
  return new URLSearchParams(url.slice(url.indexOf('?') + 1)).get('id') ?? '';
}

const Kind = { Server: 2, Client: 3 } as const;

/** One root, five spans, each below the one that caused it. */
export function isWhole(trace: JaegerTrace): boolean {
  const roots = trace.spans.filter((span) => span.parentSpanId === '');
  const roles = new Set(trace.spans.map((span) => `${span.service} ${span.kind}`));
  return roots.length === 1 && roles.size === 5 && wrongParentsOf(trace) === 0 && hasAll(trace);
}

function hasAll({ spans }: JaegerTrace): boolean {
  const ids = new Set(spans.map((span) => span.spanId));
  return spans.every((span) => span.parentSpanId === '' || ids.has(span.parentSpanId));
}

function wrongParentsOf({ spans }: JaegerTrace): number {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  return spans.filter((span) => {
    // A parent that is not there is a gap, not a wrong parent.
    const parent = byId.get(span.parentSpanId);
    if (parent === undefined) return false;
    if (requestIdOf(parent) !== requestIdOf(span)) return true;
    if (span.kind === Kind.Client) return parent.service !== span.service;
    return parent.kind !== Kind.Client || parent.service !== callers[span.service];
  }).length;
}

function shown({ spans }: JaegerTrace): string {
  const kinds = ['', '', 'server', 'client'];
  const names = spans.map((span) => `${span.service} ${kinds[span.kind] ?? span.kind}`);
  return names.sort().join(', ');
}
