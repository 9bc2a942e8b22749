/**
 * Content-Length and Transfer-Encoding: from a value in the text to a number or a reason.
 *
 * The strictest reading of RFC 9112 section 6: one field, one decimal number; one field, the single
 * word `chunked`. Everything else has been a smuggling vector in some pair of servers.
 */

import type { MessageHead } from './message-head.ts';
import { equalsLower } from './message-head.ts';
import { Reason } from './refusal.ts';

/** 2^53 - 1 has 16 digits; a longer number is no mistake about size but an attack. */
const DIGITS_MAX = 16;

/** The declared length at field `index`, or minus the reason why it is refused. */
export function lengthOf(head: MessageHead, index: number): number {
  const text = head.text;
  const end = head.valueEnd[index]!;
  let at = head.valueStart[index]!;
  if (at === end) return -Reason.LengthInvalid;
  while (at < end - 1 && text.charCodeAt(at) === 0x30) at++;
  let digits = 0;
  let length = 0;
  for (; at < end; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -Reason.LengthInvalid;
    if (++digits > DIGITS_MAX) return -Reason.LengthInvalid;
    length = length * 10 + digit;
  }
  return length > Number.MAX_SAFE_INTEGER ? -Reason.LengthHuge : length;
}

/** Whether field `index` is written as we write that number: without leading zeros. */
export function isCanonicalLength(head: MessageHead, index: number): boolean {
  const start = head.valueStart[index]!;
  return head.text.charCodeAt(start) !== 0x30 || head.valueEnd[index]! - start === 1;
}

const CHUNKED = 'chunked';
/** Registered codings; `chunked` behind them is a lawful message that we do not implement. */
const knownCodings = new Set(['identity', 'gzip', 'x-gzip', 'compress', 'x-compress', 'deflate']);

/** Reason.None when the field at `index` says `chunked` and nothing else. */
export function codingFault(head: MessageHead, index: number): number {
  const { text } = head;
  const start = head.valueStart[index]!;
  const length = head.valueEnd[index]! - start;
  // Lawful white space, but a tab here hides the coding from some (llhttp refuses one behind it).
  const tab = text.indexOf('\t', head.nameEnd[index]);
  if (tab >= 0 && tab < head.lineEnd[index]!) return Reason.CodingInvalid;
  if (length === CHUNKED.length && equalsLower(text, start, CHUNKED)) return Reason.None;
  const codings = head.value(index).toLowerCase().split(',');
  if (codings.pop()?.trim() !== CHUNKED || codings.length === 0) return Reason.CodingInvalid;
  const isKnown = codings.every((coding) => knownCodings.has(coding.trim()));
  return isKnown ? Reason.CodingUnknown : Reason.CodingInvalid;
}
