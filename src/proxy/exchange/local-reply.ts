/**
 * Local replies: how a failure is told to a downstream, in one line of text and one header.
 *
 *   no-route: No host or rule of this listener matches the request; ... (reviews:9080 /x)
 *
 * The word before the colon is also in `x-tracecar-cause`, the span, the metric and the access log.
 * An upstream's own `x-tracecar-cause` is forwarded untouched: it is the cause that a sidecar
 * further on has named, and the nearer one must not hide it.
 */

import { type Failure, failure } from '../../model/failure.ts';
import { printLocalReply } from '../../wire/http1/print.ts';
import type { Refusal } from '../../wire/http1/refusal.ts';

/** RFC 9110 section 15.5.6: a 405 must say what is allowed. */
const allowedMethods = 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, QUERY';

/**
 * The whole reply as latin1 text. `detail` is what this case was about, '' if there is nothing to
 * add; `keepAlive` false adds `Connection: close`; to HEAD the body stays unsent. `line` is one more
 * line of the head, whole, or ''.
 */
export function printFailure(
  what: Failure,
  detail: string,
  keepAlive: boolean,
  isHead: boolean,
  line = '',
): string {
  const headers: [string, string][] = [
    ['content-type', 'text/plain; charset=iso-8859-1'],
    ['x-tracecar-cause', what.cause],
  ];
  if (what === failure['method-not-allowed']) headers.push(['allow', allowedMethods]);
  if (!keepAlive) headers.push(['connection', 'close']);
  const text = printLocalReply(what.httpStatus, headers, `${printCause(what, detail)}\n`);
  const end = text.indexOf('\r\n\r\n') + 2;
  const head = `${text.slice(0, end)}${line}\r\n`;
  return isHead ? head : head + text.slice(end + 2);
}

/** What is wrong with a message and where: the detail of its failure. */
export function printRefusal(refusal: Refusal): string {
  const field = refusal.field === '' ? '' : `, field ${refusal.field}`;
  return `${refusal.detail}, byte ${refusal.offset}${field}`;
}

/** `cause: sentence (detail)`, for replies and for the log. */
function printCause(what: Failure, detail: string): string {
  return detail === ''
    ? `${what.cause}: ${what.sentence}`
    : `${what.cause}: ${what.sentence} (${detail})`;
}
