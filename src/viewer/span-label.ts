/**
 * The words beside a bar: what a span is called, how it ended and what the proxy took of it.
 *
 * The attributes are those of Tracecar's own spans (`tracecar.*`, reference/tracing.md section 4);
 * a span of somebody else has none of them and simply says less.
 */

import { attributeText, SpanKind, statusError } from './otlp-json.ts';
import type { StoredSpan } from './stored-trace.ts';
import { printDuration } from './time-bar.ts';

/** `GET /reviews`, or `GET -> reviews v1 60 %` for an outbound attempt. Not yet made harmless. */
export function labelOf(span: StoredSpan): string {
  const name = span.name === '' ? '(no name)' : span.name;
  const of = (key: string): string => attributeText(span.attributes, key) ?? '';
  const isOurs = of('tracecar.direction') !== '' || of('tracecar.cluster') !== '';
  if (span.kind !== SpanKind.Client || !isOurs) return name;
  const words = [name];
  const peer = of('service.peer.name') || serviceOf(of('tracecar.cluster')) || of('server.address');
  if (peer !== '') words.push('->', peer);
  const subset = of('tracecar.subset');
  const weight = of('tracecar.weight');
  if (subset !== '') words.push(subset, ...(weight === '' ? [] : [`${weight} %`]));
  const resends = Number(of('http.request.resend_count') || 0);
  if (resends > 0) words.push(`(try ${resends + 1})`);
  return words.join(' ');
}

/** `reviews` of the cluster `outbound|9080|v1|reviews.default.svc.cluster.local`; or empty. */
function serviceOf(cluster: string): string {
  const host = cluster.split('|')[3] ?? '';
  return /^[^.]+\.[^.]+\.svc\./.test(host) ? host.slice(0, host.indexOf('.')) : host;
}

/** `200`, `! 503 no-route`, `! connect-refused`, or nothing; `!` marks an error. */
export function statusOf(span: StoredSpan): string {
  const of = (key: string): string => attributeText(span.attributes, key) ?? '';
  const status = of('http.response.status_code') || of('rpc.status_code');
  const errorType = of('error.type');
  const cause = of('tracecar.cause') || (errorType === status ? '' : errorType);
  const words = [status, cause].filter((word) => word !== '');
  if (!isError(span)) return words.join(' ');
  return ['!', ...(words.length === 0 ? ['error'] : words)].join(' ');
}

export function isError(span: StoredSpan): boolean {
  return span.statusCode === statusError;
}

/** `11.0 us 0.5 %`: the proxy's own time and its share of the span, or nothing. */
export function proxyShareOf(span: StoredSpan, ascii: boolean): string {
  const text = attributeText(span.attributes, 'tracecar.time.proxy_us');
  const ns = Number(text ?? Number.NaN) * 1000;
  if (!Number.isFinite(ns) || ns < 0) return '';
  const time = printDuration(ns, ascii);
  if (span.durationNs === 0) return time;
  const percent = (ns / span.durationNs) * 100;
  return `${time} ${percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}
