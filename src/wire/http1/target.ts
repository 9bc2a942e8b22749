/**
 * Request targets that need thought: escapes, dots, double slashes, and forms other than origin-form.
 *
 * A path has one normal form, and that same text is matched, authorised and forwarded: escapes of
 * unreserved characters decoded and all others in upper case (RFC 3986 section 6.2.2), empty segments
 * merged, dot segments resolved. What could be read in two ways (`%2f`, `%5c`, `%00`) is refused.
 * The query is never touched.
 */

import { isAuthority } from './authority.ts';
import { hexValue } from './byte-class.ts';
import { equalsLower, type MessageHead } from './message-head.ts';
import { Method } from './method.ts';
import { Reason } from './refusal.ts';

/** Checks a path (origin-form, without query) and sets `normalPath` if it is not the sent one. */
export function settlePath(head: MessageHead, path: string): number {
  if (path.includes('%')) {
    const fault = escapeFault(path);
    if (fault !== Reason.None) return fault;
  }
  const normal = normalise(path);
  if (normal !== path) head.normalPath = normal;
  return Reason.None;
}

const schemes = ['http', 'https'] as const;

/**
 * Checks a target that does not begin with `/`: `*` for OPTIONS, host and port for CONNECT (which is
 * refused later, with 405), else `http://authority/path`, turned into origin-form. `takesHttps`: https too
 * (RFC 9112 section 3.2.2), and whoever serves it looks whether that is how the request came.
 */
export function settleOtherTarget(head: MessageHead, target: string, takesHttps: boolean): number {
  head.pathEnd = head.targetEnd;
  if (head.method === Method.Connect) {
    return isAuthority(target) && target.includes(':') ? Reason.None : Reason.TargetForm;
  }
  if (target === '*') return head.method === Method.Options ? Reason.None : Reason.TargetForm;
  const scheme = schemes.find((each) => equalsLower(target, 0, `${each}://`));
  if (scheme === undefined || (scheme === 'https' && !takesHttps)) return Reason.TargetForm;
  const authorityStart = scheme.length + '://'.length;
  const authorityEnd = firstOf(target, authorityStart, '/?');
  const authority = target.slice(authorityStart, authorityEnd);
  if (!isAuthority(authority)) return Reason.TargetForm;
  head.targetScheme = scheme;
  head.targetAuthority = authority.toLowerCase();
  const queryAt = firstOf(target, authorityEnd, '?');
  head.pathEnd = head.targetStart + queryAt;
  const path = target.slice(authorityEnd, queryAt);
  if (path === '') {
    // RFC 9112 section 3.2.4: the last proxy turns an empty path into `*` for OPTIONS.
    const isWhole = head.method === Method.Options && queryAt === target.length;
    head.normalPath = isWhole ? '*' : '/';
    return Reason.None;
  }
  if (path.includes('\\')) return Reason.TargetByte;
  const reason = settlePath(head, path);
  if (head.normalPath === '') head.normalPath = path;
  return reason;
}

function firstOf(text: string, from: number, wanted: string): number {
  for (let at = from; at < text.length; at++) if (wanted.includes(text[at]!)) return at;
  return text.length;
}

/** Reason.None, or what is wrong with the path's percent-encodings. */
function escapeFault(path: string): number {
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', at + 3)) {
    const byte = escapedByte(path, at);
    if (byte < 0) return Reason.TargetEscape;
    if (byte === 0x00 || byte === 0x2f || byte === 0x5c) return Reason.TargetHiddenByte;
  }
  return Reason.None;
}

/** The byte that the escape at `at` stands for, or -1. */
function escapedByte(path: string, at: number): number {
  if (at + 2 >= path.length) return -1;
  const high = hexValue[path.charCodeAt(at + 1)]!;
  const low = hexValue[path.charCodeAt(at + 2)]!;
  return high > 15 || low > 15 ? -1 : high * 16 + low;
}

const unreserved = /^[A-Za-z0-9._~-]$/;

function decodeUnreserved(path: string): string {
  return path.replace(/%[0-9a-fA-F]{2}/g, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return unreserved.test(character) ? character : triplet.toUpperCase();
  });
}

/** The normal form of a path that begins with `/` and has good escapes. Idempotent. */
export function normalise(path: string): string {
  const decoded = path.includes('%') ? decodeUnreserved(path) : path;
  const kept: string[] = [];
  const segments = decoded.split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const last = segments[segments.length - 1]!;
  const endsInSlash = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${endsInSlash ? '/' : ''}`;
}
