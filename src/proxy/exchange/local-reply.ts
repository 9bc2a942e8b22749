/**
 * Local replies: how a failure is told to a downstream, in one line of text and one header.
 *
 *   no-route: No host or rule of this listener matches the request; ... (reviews:9080 /x)
 *
 * The word before the colon is also in `x-tracecar-cause`, the span, the metric and the access log.
 * An upstream's own `x-tracecar-cause` is forwarded untouched: it is the cause that a sidecar
 * further on has named, and the nearer one must not hide it. What is in brackets names policies,
 * accounts and addresses, so nobody outside the mesh is told: gateways leave it out.
 */

import { type Failure, failure, failureOf } from '../../model/failure.ts';
import { BodyKind } from '../../wire/http1/body-kind.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import { printLocalReply } from '../../wire/http1/print.ts';
import type { Refusal } from '../../wire/http1/refusal.ts';

/** RFC 9110 section 15.5.6: a 405 must say what is allowed. */
const allowedMethods = 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, QUERY';

const contentType = 'text/plain; charset=iso-8859-1';

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
    ['content-type', contentType],
    ['x-tracecar-cause', what.cause],
  ];
  if (what === failure['method-not-allowed']) headers.push(['allow', allowedMethods]);
  if (!keepAlive) headers.push(['connection', 'close']);
  const text = printLocalReply(what.httpStatus, headers, `${printCause(what, detail)}\n`);
  const end = text.indexOf('\r\n\r\n') + 2;
  const head = `${text.slice(0, end)}${line}\r\n`;
  return isHead ? head : head + text.slice(end + 2);
}

/** Whether somebody outside the mesh may read the detail: only of what was wrong with its own message. */
export function isToldOutside({ side }: Failure): boolean {
  return side === 'downstream';
}

/**
 * The body that goes outside in place of the one behind `head`: of a local reply that a sidecar further in
 * has made, or one of an application that passes such a reply on. '' where it is none, or may be read.
 */
export function bodyForOutside(head: MessageHead): string {
  const causeAt = head.indexOf(FieldId.XTracecarCause);
  if (causeAt === -1 || head.bodyKind === BodyKind.None) return '';
  if (head.view.field('content-type') !== contentType) return '';
  const cause = head.value(causeAt);
  const what = failureOf(cause);
  if (what === undefined) return `${cause}\n`;
  return isToldOutside(what) ? '' : `${printCause(what, '')}\n`;
}

/** What is wrong with a message and where: the detail of its failure. */
export function printRefusal(refusal: Refusal): string {
  const field = refusal.field === '' ? '' : `, field ${refusal.field}`;
  return `${refusal.detail}, byte ${refusal.offset}${field}`;
}

/** What a sentence says of a detail, up to the end of that sentence. */
const ofDetail = /; the detail[^.]*/;

/** `cause: sentence (detail)`, for replies and for the log; nothing of a detail where there is none. */
function printCause({ cause, sentence }: Failure, detail: string): string {
  return detail === ''
    ? `${cause}: ${sentence.replace(ofDetail, '')}`
    : `${cause}: ${sentence} (${detail})`;
}
