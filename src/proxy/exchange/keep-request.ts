/**
 * Keep messages of peers: `POST /.tracecar/keep`, answered by the inbound half itself, in every mode.
 *
 *   204  taken: their traces are marked, and what is recorded of them is called back
 *   403  of who is no peer (`--peer`), of anybody at an edge that was not told who is one, and of
 *        anybody for whom another proxy forwards it: sidecars ask each other directly
 *   400  not one to 100 ids of 32 lower-case hex digits, with commas between them, or a body; another
 *        method, or the target spelt otherwise
 *   429  more ids than are taken in a second; those before them hold
 *
 * No application ever sees the request, however it is spelt: whatever has the field, and whatever asks for
 * the path, ends here. No table decides about it. It is no exchange: it is counted and not recorded. Ids
 * come in a field, so that there is no body to wait for.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { keepLimits } from '../../model/telemetry-limits.ts';
import { BodyKind } from '../../wire/http1/body-kind.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { Dropped, type MessageHead } from '../../wire/http1/message-head.ts';
import { Method } from '../../wire/http1/method.ts';
import { printLocalReply } from '../../wire/http1/print.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { namesPeers } from '../trace/trace-trust.ts';

const TARGET = '/.tracecar/keep';
const FIELD = 'x-tracecar-keep';
const ID_DIGITS = 32;
const COMMA = 0x2c;
const QUERY = 0x3f;

const NO_CONTENT = 204;
const BAD_REQUEST = 400;
const FORBIDDEN = 403;
const TOO_MANY = 429;

/** Whether a request that came in is a keep message, or would be one but for its form. */
export function isKeepRequest(head: MessageHead): boolean {
  return isTarget(head) || head.indexOf(FieldId.XTracecarKeep) >= 0;
}

/** With a query or without one. */
function isTarget({ text, targetStart, targetEnd }: MessageHead): boolean {
  if (!text.startsWith(TARGET, targetStart)) return false;
  const end = targetStart + TARGET.length;
  return end === targetEnd || text.charCodeAt(end) === QUERY;
}

/** Whose message it is. */
export interface KeepCaller {
  readonly isPeer: boolean;
  readonly peerAddress: string;
}

/** Takes the ids of the message; returns the answer's status. */
export function takeKeepRequest(
  scope: ProxyScope,
  head: MessageHead,
  { isPeer, peerAddress }: KeepCaller,
  now: Milliseconds,
): number {
  const { counts, telemetry } = scope;
  counts.keepMessages++;
  const isBelieved = isPeer && isWhereSidecarsCall(scope) && !isForwarded(head);
  const status = isBelieved ? readIds(head) : FORBIDDEN;
  if (status !== NO_CONTENT) {
    counts.keepRefused++;
    return status;
  }
  const taken = telemetry.keep(ids, idCount, peerAddress, now);
  if (taken === idCount) return NO_CONTENT;
  counts.keepRefused++;
  return TOO_MANY;
}

/**
 * A load balancer before an edge has a private address, and forwards what the whole world sends: there
 * only those are peers whom somebody has named.
 */
function isWhereSidecarsCall({ tracing }: ProxyScope): boolean {
  return tracing.edge === undefined || namesPeers(tracing.peers);
}

/** What proxies add to a request of others. */
const FORWARDERS: readonly number[] = [
  FieldId.XForwardedFor,
  FieldId.Forwarded,
  FieldId.XRealIp,
  FieldId.Via,
];

function isForwarded(head: MessageHead): boolean {
  return FORWARDERS.some((id) => head.indexOf(id) >= 0);
}

/** The whole answer as latin1 text. */
export function printKeepAnswer(status: number, keepsAlive: boolean): string {
  const headers: [string, string][] = keepsAlive ? [] : [['connection', 'close']];
  if (status === NO_CONTENT) {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return `HTTP/1.1 204 No Content\r\n${lines}\r\n`;
  }
  headers.push(['content-type', 'text/plain; charset=iso-8859-1']);
  return printLocalReply(status, headers, `${reasons[status]}\n`);
}

const reasons: Readonly<Record<number, string>> = {
  [BAD_REQUEST]: `POST ${TARGET}: ${FIELD} holds 1 to ${keepLimits.messageIdsMax} trace ids, 32 lower-case hex digits each, with commas between them; there is no body`,
  [FORBIDDEN]: `${TARGET}: only sidecars in the ranges of --peer may ask, directly; at an edge it must be given`,
  [TOO_MANY]: `${TARGET}: more than ${keepLimits.receivedIdsPerSecond} ids in a second`,
};

/** What `readIds` has read last: four words each. */
const ids = new Int32Array(keepLimits.messageIdsMax * 4);
let idCount = 0;

function readIds(head: MessageHead): number {
  idCount = 0;
  const { method, targetStart, targetEnd } = head;
  const isExact = targetEnd - targetStart === TARGET.length && isTarget(head);
  if (method !== Method.Post || !isExact) return BAD_REQUEST;
  const hasBody = head.bodyKind !== BodyKind.None && head.contentLength !== 0;
  if (hasBody || head.bodyKind === BodyKind.Chunked) return BAD_REQUEST;
  for (let index = 0; index < head.count; index++) {
    if (head.ids[index] !== FieldId.XTracecarKeep) continue;
    // Connection nominates it: it was meant for another hop.
    if (head.dropped[index] === Dropped.Never) continue;
    if (!readList(head, index)) return BAD_REQUEST;
  }
  return idCount > 0 ? NO_CONTENT : BAD_REQUEST;
}

function readList(head: MessageHead, index: number): boolean {
  const { text } = head;
  const end = head.valueEnd[index]!;
  for (let at = head.valueStart[index]!; ; at += ID_DIGITS + 1) {
    if (idCount === keepLimits.messageIdsMax || at + ID_DIGITS > end) return false;
    let bits = 0;
    for (let word = 0; word < 4; word++) {
      const value = readWord(text, at + 8 * word);
      if (value === NO_WORD) return false;
      ids[4 * idCount + word] = value;
      bits |= value;
    }
    // No trace has an id of zeros (W3C trace-context 3.2.2.3).
    if (bits === 0) return false;
    idCount++;
    if (at + ID_DIGITS === end) return true;
    if (text.charCodeAt(at + ID_DIGITS) !== COMMA) return false;
  }
}

const NO_WORD = -1;

/** Eight lower-case hex digits as an unsigned number, or NO_WORD. */
function readWord(text: string, at: number): number {
  let value = 0;
  for (let index = at; index < at + 8; index++) {
    const code = text.charCodeAt(index);
    if (code >= 48 && code <= 57) value = value * 16 + code - 48;
    else if (code >= 97 && code <= 102) value = value * 16 + code - 87;
    else return NO_WORD;
  }
  return value;
}
