/**
 * The status line: version, status, reason phrase (RFC 9112 section 4).
 *
 * Strict but for one thing: the space before an absent reason phrase may be missing, as many servers
 * leave it out. Where the head goes on as it was sent LF alone is taken too, and any status from 100 on:
 * the client treats an unknown class as 500 (RFC 9110 section 15). No empty line may come before it.
 * Resumable at any byte.
 */

import { CR, isValue, LF, SP } from './byte-class.ts';
import { type HeadCursor, Progress, Step } from './head-cursor.ts';
import { Reason } from './refusal.ts';
import { isVersionByte } from './request-line.ts';

const STATUS_START = 9;
const STATUS_END = 12;

/** Reads on in the status line; Next when it is complete. */
export function readStatusLine(cursor: HeadCursor): number {
  const { buffer, start, stop, head } = cursor;
  if (cursor.step === Step.Start) {
    if (cursor.at === stop) return cursor.pause(cursor.at, Step.Start);
    head.clear();
    cursor.step = Step.StatusLine;
  }
  let at = cursor.at;
  if (cursor.step === Step.StatusLine) {
    for (; at < stop && at - start < STATUS_END; at++) {
      if (!isStatusLineByte(buffer[at]!, at - start)) return refuseStart(cursor, at);
    }
    if (at === stop) return cursor.pause(at, Step.StatusLine);
    const isEnd = buffer[at] === CR || (cursor.isLenient && buffer[at] === LF);
    if (!isEnd && buffer[at] !== SP) return refuseAfterStatus(cursor, at);
    const minor = buffer[start + 7]!;
    if (buffer[start + 5] !== 0x31 || (minor !== 0x30 && minor !== 0x31)) {
      return cursor.refuse(Reason.VersionUnknown, start, '');
    }
    const status = digits(buffer, start + STATUS_START);
    const isKnown = status >= 100 && (status <= 599 || cursor.isLenient);
    if (!isKnown) return cursor.refuse(Reason.Status, start + STATUS_START, '');
    head.minorVersion = minor === 0x31 ? 1 : 0;
    head.status = status;
    head.targetStart = (isEnd ? at : at + 1) - start;
    if (!isEnd) at++;
    cursor.step = Step.ReasonPhrase;
  }
  if (cursor.step === Step.ReasonPhrase) {
    while (at < stop && isValue[buffer[at]!] === 1) at++;
    if (at === stop) return cursor.pause(at, Step.ReasonPhrase);
    const isLf = buffer[at] === LF;
    if (isLf && !cursor.isLenient) return cursor.refuse(Reason.BareLf, at, '');
    if (!isLf && buffer[at] !== CR) return cursor.refuse(Reason.ReasonByte, at, '');
    head.targetEnd = at - start;
    if (!isLf) at++;
  }
  if (at === stop) return cursor.pause(at, Step.StartLineLf);
  if (buffer[at] !== LF) return cursor.refuse(Reason.BareCr, at - 1, '');
  head.startLineEnd = at + 1 - start;
  cursor.at = at + 1;
  cursor.step = Step.LineStart;
  return Progress.Next;
}

/** Whether `byte` may be at place `index` of `HTTP/d.d ddd`. */
function isStatusLineByte(byte: number, index: number): boolean {
  if (index < 8) return isVersionByte(byte, index);
  if (index === 8) return byte === SP;
  return byte >= 0x30 && byte <= 0x39;
}

function digits(buffer: Buffer, at: number): number {
  return buffer[at]! * 100 + buffer[at + 1]! * 10 + buffer[at + 2]! - 0x30 * 111;
}

function refuseStart(cursor: HeadCursor, at: number): number {
  const index = at - cursor.start;
  if (cursor.buffer[at] === LF) return cursor.refuse(Reason.BareLf, at, '');
  if (index < 8) return cursor.refuse(Reason.Junk, at, '');
  return cursor.refuse(Reason.Status, at, '');
}

function refuseAfterStatus(cursor: HeadCursor, at: number): number {
  return cursor.refuse(cursor.buffer[at] === LF ? Reason.BareLf : Reason.Status, at, '');
}
