/**
 * The request line: method, target, version (RFC 9112 section 3).
 *
 * Resumable at any byte. What is not HTTP/1.1 is refused at the first byte that says so: a TLS
 * handshake, an HTTP/2 preface, a PROXY line, junk. Anything that needs thought about the target
 * (escapes, dots, absolute-form) is left to target.ts, once the target is complete.
 */

import { CR, DOT, isQuery, isToken, LF, pathByte, SLASH, SP, TargetByte } from './byte-class.ts';
import { type HeadCursor, Progress, Step } from './head-cursor.ts';
import { latin1Text } from './latin1.ts';
import { METHOD_AS_SENT_BYTES_MAX, METHOD_BYTES_MAX, Method, methodIdOf } from './method.ts';
import { Reason } from './refusal.ts';
import { settleOtherTarget, settlePath } from './target.ts';

/** Reads on in the request line; Next when it is complete. */
export function readRequestLine(cursor: HeadCursor, end: number): number {
  let progress: number = Progress.Next;
  if (cursor.step <= Step.AfterLeadingLine) progress = readLeadingLine(cursor, end);
  if (progress === Progress.Next && cursor.step === Step.Method) progress = readMethod(cursor);
  if (progress === Progress.Next && cursor.step <= Step.OddTarget) progress = readTarget(cursor);
  if (progress === Progress.Next) progress = readVersion(cursor);
  return progress;
}

/** One empty line before the request is let pass (RFC 9112 section 2.2), a second is refused. */
function readLeadingLine(cursor: HeadCursor, end: number): number {
  const { buffer, stop } = cursor;
  let at = cursor.at;
  if (cursor.step === Step.Start) {
    if (at === stop) return cursor.pause(at, Step.Start);
    if (buffer[at] === CR) {
      cursor.step = Step.LeadingLf;
      at++;
    }
  }
  if (cursor.step === Step.LeadingLf) {
    if (at === stop) return cursor.pause(at, Step.LeadingLf);
    const isLine = buffer[at] === LF;
    if (isLine) at++;
    // Offsets count from the first byte behind the empty line.
    cursor.begin(at, end);
    if (!isLine) return cursor.refuse(Reason.BareCr, at, '');
    cursor.step = Step.AfterLeadingLine;
  }
  if (cursor.step === Step.AfterLeadingLine) {
    if (at === cursor.stop) return cursor.pause(at, Step.AfterLeadingLine);
    if (buffer[at] === CR) return cursor.refuse(Reason.LeadingLines, at, '');
  }
  const isBehindLine = cursor.step === Step.AfterLeadingLine;
  cursor.at = at;
  cursor.step = Step.Method;
  cursor.head.clear();
  cursor.head.isBehindLine = isBehindLine;
  return Progress.Next;
}

function readMethod(cursor: HeadCursor): number {
  const { buffer, start, stop } = cursor;
  let at = cursor.at;
  while (at < stop && isToken[buffer[at]!] === 1) at++;
  const bytesMax = cursor.isLenient ? METHOD_AS_SENT_BYTES_MAX : METHOD_BYTES_MAX;
  if (at - start > bytesMax) {
    noteMethod(cursor, at);
    return cursor.refuse(Reason.MethodUnknown, start + bytesMax, '');
  }
  if (at === stop) return cursor.pause(at, Step.Method);
  if (buffer[at] !== SP || at === start) return refuseMethodByte(cursor, at);
  const method = methodIdOf(buffer, start, at);
  if (method === 0) {
    noteMethod(cursor, at);
    const reason = methodFault(cursor, at);
    const isTaken = reason === Reason.MethodUnknown && cursor.takesFault(reason, at);
    if (!isTaken) return cursor.refuse(reason, at, '');
  }
  cursor.head.method = method;
  cursor.head.targetStart = at + 1 - start;
  cursor.at = at + 1;
  cursor.step = Step.TargetStart;
  return Progress.Next;
}

/** For the record of the request; `at`: where its letters end, or what has come of them. */
function noteMethod({ buffer, head, start, stop }: HeadCursor, at: number): void {
  const isWhole = at < stop && buffer[at] === SP && at - start <= METHOD_AS_SENT_BYTES_MAX;
  if (isWhole) head.sentMethod = latin1Text(buffer, start, at);
}

function refuseMethodByte(cursor: HeadCursor, at: number): number {
  const byte = cursor.buffer[at]!;
  if (at === cursor.start)
    return cursor.refuse(byte === 0x16 ? Reason.TlsHello : Reason.Junk, at, '');
  return cursor.refuse(byte === LF ? Reason.BareLf : Reason.MethodByte, at, '');
}

function methodFault(cursor: HeadCursor, at: number): number {
  const name = latin1Text(cursor.buffer, cursor.start, at);
  if (name === 'PRI') return Reason.Http2Preface;
  return name === 'PROXY' ? Reason.ProxyLine : Reason.MethodUnknown;
}

function readTarget(cursor: HeadCursor): number {
  if (cursor.step === Step.TargetStart) {
    if (cursor.at === cursor.stop) return cursor.pause(cursor.at, Step.TargetStart);
    const first = cursor.buffer[cursor.at]!;
    if (first === SP) return cursor.refuse(Reason.TargetMissing, cursor.at, '');
    cursor.pathIsOdd = false;
    const isOrigin = first === SLASH && cursor.head.method !== Method.Connect;
    cursor.step = isOrigin ? Step.Path : Step.OtherTarget;
    if (isOrigin) cursor.at++;
  }
  const { buffer, stop, head } = cursor;
  const from = cursor.start + head.targetStart;
  let at = cursor.at;
  if (cursor.step === Step.Path) {
    at = skipPath(cursor, at);
    if (isTooLong(cursor, at - from)) return refuseLong(cursor, from);
    if (at === stop) return cursor.pause(at, Step.Path);
    if (buffer[at] !== SP && buffer[at] !== 0x3f) {
      if (!takesOddByte(cursor, at)) return refuseTargetByte(cursor, at);
    } else {
      head.pathEnd = at - cursor.start;
      if (cursor.pathIsOdd) {
        const reason = settlePath(head, latin1Text(buffer, from, at));
        if (reason !== Reason.None && !cursor.takesFault(reason, at)) {
          return cursor.refuse(reason, at, '');
        }
      }
      cursor.step = Step.Query;
    }
  }
  if (cursor.step !== Step.OddTarget) {
    while (at < stop && isQuery[buffer[at]!] === 1) at++;
    if (isTooLong(cursor, at - from)) return refuseLong(cursor, from);
    if (at === stop) return cursor.pause(at, cursor.step);
    if (buffer[at] !== SP && !takesOddByte(cursor, at)) return refuseTargetByte(cursor, at);
  }
  if (cursor.step === Step.OddTarget) {
    while (at < stop && isOddByte(buffer[at]!)) at++;
    if (isTooLong(cursor, at - from)) return refuseLong(cursor, from);
    if (at === stop) return cursor.pause(at, Step.OddTarget);
    if (buffer[at] !== SP) return refuseTargetByte(cursor, at);
    head.pathEnd = at - cursor.start;
    head.normalPath = '';
  }
  head.targetEnd = at - cursor.start;
  if (at - from > cursor.targetBytesMax) {
    cursor.takesFault(Reason.TargetLong, from + cursor.targetBytesMax);
  }
  if (cursor.step === Step.OtherTarget) {
    const reason = settleOtherTarget(head, latin1Text(buffer, from, at), cursor.takesHttps);
    const isTaken =
      reason === Reason.None || (head.method !== Method.Connect && cursor.takesFault(reason, at));
    if (!isTaken) return cursor.refuse(reason, at, '');
  }
  cursor.at = at + 1;
  cursor.versionStart = at + 1 - cursor.start;
  cursor.step = Step.Version;
  return Progress.Next;
}

/** The end of the path from `at` on; marks a path that is not plainly in its normal form. */
function skipPath(cursor: HeadCursor, from: number): number {
  const { buffer, stop } = cursor;
  let isOdd = cursor.pathIsOdd;
  let at = from;
  for (; at < stop; at++) {
    const kind = pathByte[buffer[at]!]!;
    if (kind === TargetByte.Plain) continue;
    if (kind === TargetByte.SlashOrDot) {
      if (buffer[at - 1] === SLASH) isOdd = true;
    } else if (kind === TargetByte.Percent) {
      isOdd = true;
    } else {
      break;
    }
  }
  cursor.pathIsOdd = isOdd;
  return at;
}

/** As it was sent a target may be as long as a head. */
function isTooLong(cursor: HeadCursor, bytes: number): boolean {
  return bytes > cursor.targetBytesMax && !cursor.isLenient;
}

function refuseLong(cursor: HeadCursor, from: number): number {
  return cursor.refuse(Reason.TargetLong, from + cursor.targetBytesMax, '');
}

function refuseTargetByte(cursor: HeadCursor, at: number): number {
  const byte = cursor.buffer[at]!;
  if (byte === CR || byte === LF) return cursor.refuse(Reason.Version, at, '');
  return cursor.refuse(targetFault(byte), at, '');
}

function targetFault(byte: number): number {
  return byte === 0x23 ? Reason.TargetFragment : Reason.TargetByte;
}

/** Whether the target goes on behind a byte that it may not have, to be judged by its server alone. */
function takesOddByte(cursor: HeadCursor, at: number): boolean {
  const byte = cursor.buffer[at]!;
  if (!isOddByte(byte) || !cursor.takesFault(targetFault(byte), at)) return false;
  cursor.step = Step.OddTarget;
  return true;
}

/** Anything but controls and the space that ends the target. */
function isOddByte(byte: number): boolean {
  return byte > SP && byte !== 0x7f;
}

const version = Buffer.from('HTTP/', 'latin1');
const VERSION_BYTES = 8;

/** `HTTP/1.1` CR LF. Another digit is 505 once the text is seen to be a version at all. */
function readVersion(cursor: HeadCursor): number {
  const { buffer, stop, head } = cursor;
  const from = cursor.start + cursor.versionStart;
  let at = cursor.at;
  if (cursor.step === Step.Version) {
    for (; at < stop && at - from < VERSION_BYTES; at++) {
      if (!isVersionByte(buffer[at]!, at - from)) return cursor.refuse(Reason.Version, at, '');
    }
    if (at === stop) return cursor.pause(at, Step.Version);
    if (buffer[at] === LF) return cursor.refuse(Reason.BareLf, at, '');
    if (buffer[at] !== CR) return cursor.refuse(Reason.Version, at, '');
    const minor = buffer[at - 1]!;
    if (buffer[at - 3] !== 0x31 || (minor !== 0x30 && minor !== 0x31)) {
      return cursor.refuse(Reason.VersionUnknown, from, '');
    }
    head.minorVersion = minor === 0x31 ? 1 : 0;
    at++;
  }
  if (at === stop) return cursor.pause(at, Step.StartLineLf);
  if (buffer[at] !== LF) return cursor.refuse(Reason.BareCr, at - 1, '');
  head.startLineEnd = at + 1 - cursor.start;
  cursor.at = at + 1;
  cursor.step = Step.LineStart;
  return Progress.Next;
}

/** Whether `byte` may be at place `index` of `HTTP/d.d`. */
export function isVersionByte(byte: number, index: number): boolean {
  if (index < version.length) return byte === version[index];
  if (index === 6) return byte === DOT;
  return byte >= 0x30 && byte <= 0x39;
}
