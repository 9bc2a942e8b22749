/**
 * Writes heads, from the one header list and nothing else.
 *
 * Fields that stay are ranges of the head's text, in their order, case and number. Framing is written
 * anew: `Transfer-Encoding: chunked` by the body's kind, Content-Length as one canonical number in its
 * place. `...AsSent` is for messages that no rule concerns: every byte as it came, but for the fields
 * that are taken out. `put...` writes bytes, `print...` makes Latin-1 text of them.
 */

import { BodyKind } from './body-kind.ts';
import { CR, LF } from './byte-class.ts';
import { FieldId } from './field-id.ts';
import { latin1Text, writeLatin1 } from './latin1.ts';
import { Dropped, type MessageHead } from './message-head.ts';
import { reasonPhrase } from './reason-phrase.ts';

/** Where a reason phrase begins when its space is there: behind `HTTP/1.1 200 `. */
const REASON_START = 13;
const CHUNKED_LINE = 'Transfer-Encoding: chunked\r\n';
const UPGRADE_LINE = 'Connection: Upgrade\r\n';
const CLOSE_LINE = 'Connection: close\r\n';

/** The chunk that ends a body without trailers; with trailers: `0\r\n`, the lines, `\r\n`. */
export const lastChunk = '0\r\n\r\n';

/** More bytes than any line that is written anew or added here, all together. */
const ADDED_BYTES_MAX = 128;

/** Bytes that `putRequestHead` or `putResponseHead` and `putHeadEnd` need at most. */
export function headRoom(head: MessageHead): number {
  // A path with escapes may be longer than the one that it replaces.
  return head.text.length + head.normalPath.length + ADDED_BYTES_MAX;
}

/**
 * The head of the request as it is forwarded, up to the lines that the caller adds: HTTP/1.1,
 * origin-form. Writes at `out[at]`, which has `headRoom`, and returns the end. A request without Host
 * (`hostIndex` -1, HTTP/1.0 only) needs one among the added lines; `putHeadEnd` follows them.
 */
export function putRequestHead(head: MessageHead, out: Buffer, at: number): number {
  const isAsSent = head.minorVersion === 1 && head.normalPath === '';
  let end = at;
  if (!isAsSent) {
    end = putText(out, `${head.methodText()} ${head.target()} HTTP/1.1\r\n`, end);
  }
  end = putFields(head, isAsSent ? 0 : head.startLineEnd, -1, out, end);
  if (head.hasUpgrade && passesUpgrade(head)) end = putText(out, UPGRADE_LINE, end);
  return head.bodyKind === BodyKind.Chunked ? putText(out, CHUNKED_LINE, end) : end;
}

/**
 * The same for a request that is forwarded as it was sent: version, target, fields of the hop.
 * `isPathSettled`: but for the path, of which somebody has judged the normal form.
 */
export function putRequestHeadAsSent(
  head: MessageHead,
  out: Buffer,
  at: number,
  isPathSettled = false,
): number {
  let end = head.isBehindLine ? putHeadEnd(out, at) : at;
  if (isPathSettled && head.normalPath !== '') {
    end = putText(
      out,
      `${head.methodText()} ${head.target()} HTTP/1.${head.minorVersion}\r\n`,
      end,
    );
    end = putKept(head, head.startLineEnd, Dropped.Normalised, -1, -1, out, end);
  } else end = putKept(head, 0, Dropped.Normalised, -1, -1, out, end);
  const isPlain = head.persistent && !head.hasUpgrade;
  if (isPlain || !lacksConnection(head)) return end;
  // What the Connection named beside these took the whole field out.
  const isClosing = !head.persistent && head.minorVersion === 1;
  const closed = isClosing ? putText(out, CLOSE_LINE, end) : end;
  return head.hasUpgrade ? putText(out, UPGRADE_LINE, closed) : closed;
}

/**
 * The head of the response as it goes downstream, likewise: HTTP/1.1, reason kept. `bodyKind` is how
 * the body will be framed there (a close-delimited upstream body may become chunked); for an HTTP/1.0
 * downstream Chunked is written as close-delimited. A close-delimited body always closes, whatever
 * `keepAlive` says. Interim responses (1xx) carry no Connection.
 */
export function putResponseHead(
  head: MessageHead,
  bodyKind: number,
  downstreamMinorVersion: 0 | 1,
  keepAlive: boolean,
  out: Buffer,
  at: number,
): number {
  const isAsSent = head.minorVersion === 1 && head.targetStart === REASON_START;
  const isChunked = bodyKind === BodyKind.Chunked;
  const without = isChunked || bodyKind === BodyKind.UntilClose ? head.lengthIndex : -1;
  let end = isAsSent ? at : putText(out, printStatusLine(head), at);
  end = putFields(head, isAsSent ? 0 : head.startLineEnd, without, out, end);
  if (head.status === 101) return putText(out, UPGRADE_LINE, end);
  if (isChunked && downstreamMinorVersion === 1) end = putText(out, CHUNKED_LINE, end);
  if (head.status < 200) return end;
  const endsWithBody =
    bodyKind === BodyKind.UntilClose || (isChunked && downstreamMinorVersion === 0);
  const connection = printConnection(keepAlive && !endsWithBody, downstreamMinorVersion);
  return connection === '' ? end : putText(out, connection, end);
}

/**
 * The whole head, with its own empty line, of a response that goes on as it was sent. `saysClose`: our
 * word on the connection takes the place of the upstream's.
 */
export function putResponseHeadAsSent(
  head: MessageHead,
  saysClose: boolean,
  out: Buffer,
  at: number,
): number {
  if (saysClose) {
    head.drop('connection');
    head.drop('keep-alive');
  }
  let end = putKept(head, 0, Dropped.Normalised, -1, -1, out, at);
  if (saysClose) end = putText(out, CLOSE_LINE, end);
  else if (head.status === 101 && head.persistent && lacksConnection(head)) {
    end = putText(out, UPGRADE_LINE, end);
  }
  return putText(out, head.text.slice(head.fieldsEnd), end);
}

/** The empty line; returns the end of the head. */
export function putHeadEnd(out: Buffer, at: number): number {
  out[at] = CR;
  out[at + 1] = LF;
  return at + 2;
}

/** As `putRequestHead`, whole and as text. `extra` are complete lines (`Name: value\r\n`). */
export function printRequestHead(head: MessageHead, extra: string): string {
  const out = Buffer.allocUnsafe(headRoom(head) + extra.length);
  const end = putText(out, extra, putRequestHead(head, out, 0));
  return latin1Text(out, 0, putHeadEnd(out, end));
}

/** As `putResponseHead`, whole and as text. */
export function printResponseHead(
  head: MessageHead,
  extra: string,
  bodyKind: number,
  downstreamMinorVersion: 0 | 1,
  keepAlive: boolean,
): string {
  const out = Buffer.allocUnsafe(headRoom(head) + extra.length);
  const own = putResponseHead(head, bodyKind, downstreamMinorVersion, keepAlive, out, 0);
  const end = putText(out, extra, own);
  return latin1Text(out, 0, putHeadEnd(out, end));
}

/** As `putResponseHeadAsSent`, as text: for interim responses. */
export function printResponseHeadAsSent(head: MessageHead): string {
  const out = Buffer.allocUnsafe(headRoom(head));
  return latin1Text(out, 0, putResponseHeadAsSent(head, false, out, 0));
}

/** Whether Upgrade is among the fields that go on with a normalised head. */
export function passesUpgrade(head: MessageHead): boolean {
  const index = head.indexOf(FieldId.Upgrade);
  return index >= 0 && head.dropped[index] === Dropped.Kept;
}

function lacksConnection(head: MessageHead): boolean {
  const index = head.indexOf(FieldId.Connection);
  return index < 0 || head.dropped[index] === Dropped.Never;
}

function printStatusLine(head: MessageHead): string {
  return `HTTP/1.1 ${head.status} ${head.text.slice(head.targetStart, head.targetEnd)}\r\n`;
}

function printConnection(isKept: boolean, minorVersion: 0 | 1): string {
  if (!isKept) return CLOSE_LINE;
  return minorVersion === 1 ? '' : 'Connection: keep-alive\r\n';
}

/** Fields of a head that is normalised; field `without` (-1: none) is left out as well. */
function putFields(
  head: MessageHead,
  from: number,
  without: number,
  out: Buffer,
  at: number,
): number {
  const rewritten = head.lengthIsCanonical ? -1 : head.lengthIndex;
  return putKept(head, from, Dropped.Kept, without, rewritten, out, at);
}

/**
 * Text from `from` to the empty line, without the fields whose mark is over `markMax` and without field
 * `without`; `rewritten` is a Content-Length to be written anew (-1: none). All of the text is written
 * with one call, and what stays is moved together: no string is made.
 */
function putKept(
  head: MessageHead,
  from: number,
  markMax: number,
  without: number,
  rewritten: number,
  out: Buffer,
  at: number,
): number {
  const { text, count, dropped, nameStart, lineEnd, fieldsEnd: all } = head;
  writeLatin1(out, from === 0 ? text : text.slice(from), at, all - from);
  // Where text[0] would be in `out`.
  const base = at - from;
  let end = at;
  let rangeStart = from;
  for (let index = 0; index < count; index++) {
    const isKept = dropped[index]! <= markMax && index !== without;
    if (isKept && index !== rewritten) continue;
    end = moveDown(out, base + rangeStart, base + nameStart[index]!, end);
    rangeStart = lineEnd[index]!;
    if (isKept) {
      // Never longer than the line that it replaces: that had a zero too many.
      end = putText(out, `${head.name(index)}: ${head.contentLength}\r\n`, end);
    }
  }
  return moveDown(out, base + rangeStart, base + all, end);
}

/** Moves out[from..to) down to `at`, at most `from`; returns the end of what was moved. */
function moveDown(out: Buffer, from: number, to: number, at: number): number {
  if (to <= from) return at;
  if (at !== from) out.copyWithin(at, from, to);
  return at + to - from;
}

function putText(out: Buffer, text: string, at: number): number {
  return at + writeLatin1(out, text, at, text.length);
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
