/**
 * Judges traces as the viewer holds them: are a request's five spans there, each under its parent?
 *
 *   SERVER web -> CLIENT web -> SERVER reviews -> CLIENT reviews -> SERVER ratings
 *
 * Every span's URL carries the id of its request, so a span that was joined to another request's
 * trace is seen even where its parent looks right.
 */

export interface CheckedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly service: string;
  readonly kind: 'SERVER' | 'CLIENT' | 'OTHER';
  /** The `id` in the span's URL. */
  readonly requestId: string;
  /** SPIFFE id of the verified peer; empty: nobody proved to be one. */
  readonly peer: string;
}

export interface TraceVerdict {
  readonly traceId: string;
  readonly requestId: string;
  readonly isComplete: boolean;
  readonly wrongParents: number;
  /** Hops between two sidecars at which both ends had verified the right identity of the other. */
  readonly verifiedHops: number;
}

/** `service kind` of each span, and of the parent that it must have. */
const parents: Readonly<Record<string, string>> = {
  'web SERVER': '',
  'web CLIENT': 'web SERVER',
  'reviews SERVER': 'web CLIENT',
  'reviews CLIENT': 'reviews SERVER',
  'ratings SERVER': 'reviews CLIENT',
};

/** Each hop between two sidecars: at either end, who has to be at the other. */
type HopEnd = readonly [role: string, account: string];
const hops: readonly (readonly [caller: HopEnd, callee: HopEnd])[] = [
  [
    ['web CLIENT', 'reviews'],
    ['reviews SERVER', 'web'],
  ],
  [
    ['reviews CLIENT', 'ratings'],
    ['ratings SERVER', 'reviews'],
  ],
];
export const hopsPerTrace = hops.length;

/** Judges the spans of one trace. */
export function judgeTrace(spans: readonly CheckedSpan[]): TraceVerdict {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const root = spans.find((span) => roleOf(span) === 'web SERVER');
  let wrongParents = 0;
  const roles = new Set<string>();
  for (const span of spans) {
    roles.add(roleOf(span));
    if (isParentRight(span, byId, root)) continue;
    wrongParents += 1;
  }
  const hasAll = Object.keys(parents).every((role) => roles.has(role));
  return {
    traceId: spans[0]?.traceId ?? '',
    requestId: root?.requestId ?? '',
    isComplete: hasAll && spans.length === Object.keys(parents).length && wrongParents === 0,
    wrongParents,
    verifiedHops: hops.filter((ends) => ends.every((end) => isVerified(spans, ...end))).length,
  };
}

function isVerified(spans: readonly CheckedSpan[], role: string, account: string): boolean {
  const peer = `spiffe://cluster.local/ns/default/sa/${account}`;
  return spans.some((span) => roleOf(span) === role && span.peer === peer);
}

/** `web -> reviews` and the two identities, each as the other end has verified it; a line a hop. */
export function printPeers(spans: readonly CheckedSpan[]): string {
  const peerOf = (role: string) => spans.find((span) => roleOf(span) === role)?.peer || 'nobody';
  const rows = hops.map(([[client, callee], [server]]) => {
    const names = `${client.split(' ')[0]} -> ${callee}`;
    return `  ${names.padEnd(19)} ${peerOf(server)} -> ${peerOf(client)}\n`;
  });
  return rows.join('');
}

/** A parent that has not arrived yet is missing, not wrong: the trace is incomplete until it has. */
function isParentRight(
  span: CheckedSpan,
  byId: ReadonlyMap<string, CheckedSpan>,
  root: CheckedSpan | undefined,
): boolean {
  if (root !== undefined && span.requestId !== root.requestId) return false;
  const wanted = parents[roleOf(span)];
  if (wanted === undefined) return false;
  if (wanted === '') return span.parentId === '';
  if (span.parentId === '') return false;
  const parent = byId.get(span.parentId);
  return parent === undefined || roleOf(parent) === wanted;
}

function roleOf(span: CheckedSpan): string {
  return `${span.service} ${span.kind}`;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value?: { readonly stringValue?: string };
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind?: number | string;
  readonly attributes?: readonly OtlpAttribute[];
}

/** What Jaeger's query API v3 answers with. */
export interface TracesReply {
  readonly result?: {
    readonly resourceSpans?: readonly {
      readonly resource?: { readonly attributes?: readonly OtlpAttribute[] };
      readonly scopeSpans?: readonly { readonly spans?: readonly OtlpSpan[] }[];
    }[];
  };
}

/** The spans of a reply by trace. */
export function spansByTrace(reply: TracesReply): Map<string, CheckedSpan[]> {
  const traces = new Map<string, CheckedSpan[]>();
  for (const { resource, scopeSpans } of reply.result?.resourceSpans ?? []) {
    const service = textOf(resource?.attributes, 'service.name');
    for (const span of (scopeSpans ?? []).flatMap(({ spans }) => spans ?? [])) {
      const checked = checkedSpan(span, service);
      const held = traces.get(checked.traceId);
      if (held === undefined) traces.set(checked.traceId, [checked]);
      else held.push(checked);
    }
  }
  return traces;
}

function checkedSpan(span: OtlpSpan, service: string): CheckedSpan {
  const url = textOf(span.attributes, 'url.full') || `?${textOf(span.attributes, 'url.query')}`;
  const isServer = span.kind === 2 || span.kind === 'SPAN_KIND_SERVER';
  const isClient = span.kind === 3 || span.kind === 'SPAN_KIND_CLIENT';
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentSpanId ?? '',
    service,
    kind: isServer ? 'SERVER' : isClient ? 'CLIENT' : 'OTHER',
    requestId: query.get('id') ?? '',
    peer: textOf(span.attributes, 'tracecar.peer.identity'),
  };
}

function textOf(attributes: readonly OtlpAttribute[] | undefined, key: string): string {
  return attributes?.find((attribute) => attribute.key === key)?.value?.stringValue ?? '';
}
