/**
 * Writes heads, from the one header list and nothing else.
 *
 * Fields that stay are ranges of the head's text, in their order, case and number; neighbours are one
 * slice. Framing is written anew: `Transfer-Encoding: chunked` by the body's kind, Content-Length as
 * one canonical number in its place. Results are Latin-1 text: write them with that encoding.
 */

import { BodyKind } from './body-kind.ts';
import type { MessageHead } from './message-head.ts';
import { methodName } from './method.ts';
import { reasonPhrase } from './reason-phrase.ts';

/** Where a reason phrase begins when its space is there: behind `HTTP/1.1 200 `. */
const REASON_START = 13;
const CHUNKED_LINE = 'Transfer-Encoding: chunked\r\n';

/** The chunk that ends a body without trailers; with trailers: `0\r\n`, the lines, `\r\n`. */
export const lastChunk = '0\r\n\r\n';

/**
 * The head of the request as it is forwarded: HTTP/1.1, origin-form. `extra` are complete lines
 * (`Name: value\r\n`). A request without Host (`hostIndex` -1, HTTP/1.0 only) needs one in `extra`.
 */
export function printRequestHead(head: MessageHead, extra: string): string {
  const isAsSent = head.minorVersion === 1 && head.normalPath === '';
  const start = isAsSent ? '' : `${methodName(head.method)} ${head.target()} HTTP/1.1\r\n`;
  const fields = printFields(head, isAsSent ? 0 : head.startLineEnd, -1);
  const framing = head.bodyKind === BodyKind.Chunked ? CHUNKED_LINE : '';
  return `${start}${fields}${framing}${extra}\r\n`;
}

/**
 * The head of the response as it goes downstream: HTTP/1.1, reason kept. `bodyKind` is how the body
 * will be framed there (a close-delimited upstream body may become chunked); for an HTTP/1.0
 * downstream Chunked is written as close-delimited. A close-delimited body always closes, whatever
 * `keepAlive` says. Interim responses (1xx) carry no Connection.
 */
export function printResponseHead(
  head: MessageHead,
  extra: string,
  bodyKind: number,
  downstreamMinorVersion: 0 | 1,
  keepAlive: boolean,
): string {
  const isAsSent = head.minorVersion === 1 && head.targetStart === REASON_START;
  const start = isAsSent ? '' : printStatusLine(head);
  const isChunked = bodyKind === BodyKind.Chunked;
  const without = isChunked || bodyKind === BodyKind.UntilClose ? head.lengthIndex : -1;
  const fields = printFields(head, isAsSent ? 0 : head.startLineEnd, without);
  const framing = isChunked && downstreamMinorVersion === 1 ? CHUNKED_LINE : '';
  const endsWithBody =
    bodyKind === BodyKind.UntilClose || (isChunked && downstreamMinorVersion === 0);
  const isKept = keepAlive && !endsWithBody;
  const connection = head.status < 200 ? '' : printConnection(isKept, downstreamMinorVersion);
  return `${start}${fields}${framing}${connection}${extra}\r\n`;
}

function printStatusLine(head: MessageHead): string {
  return `HTTP/1.1 ${head.status} ${head.text.slice(head.targetStart, head.targetEnd)}\r\n`;
}

function printConnection(isKept: boolean, minorVersion: 0 | 1): string {
  if (!isKept) return 'Connection: close\r\n';
  return minorVersion === 1 ? '' : 'Connection: keep-alive\r\n';
}

/** Kept text from `from` to the empty line; field `without` (-1: none) is left out as well. */
function printFields(head: MessageHead, from: number, without: number): string {
  const { text, count, dropped, nameStart, lineEnd } = head;
  const rewritten = head.lengthIsCanonical ? -1 : head.lengthIndex;
  let printed = '';
  let rangeStart = from;
  for (let index = 0; index < count; index++) {
    if (dropped[index] === 0 && index !== without && index !== rewritten) continue;
    const start = nameStart[index]!;
    if (start > rangeStart) printed += text.slice(rangeStart, start);
    rangeStart = lineEnd[index]!;
    if (index === rewritten && index !== without && dropped[index] === 0) {
      printed += `${head.name(index)}: ${head.contentLength}\r\n`;
    }
  }
  const end = text.length - 2;
  return end > rangeStart ? printed + text.slice(rangeStart, end) : printed;
}

/** The line before a chunk of `bytes` bytes (at least 1). */
export function printChunkHead(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

/**
 * A whole response of our own. `headers` are added before Content-Length; `body` is ASCII, and ''
 * for an answer to HEAD.
 */
export function printLocalReply(
  status: number,
  headers: readonly (readonly [name: string, value: string])[],
  body: string,
): string {
  let head = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
  for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}
