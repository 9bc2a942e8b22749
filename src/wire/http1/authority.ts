/**
 * Authorities: the value of Host, and what stands between `http://` and the path.
 *
 * Taken: letters, digits, `-`, `.` and `_` without empty labels, or an IPv6 address in brackets, and
 * an optional port from 1 to 65535. RFC 3986 allows more (escapes, sub-delims, an empty port); no
 * name that exists needs it, and every one of those has split two parsers before (reliability.md 2.5).
 */

// A pure function over a string; nothing of the network is touched.
import { isIPv6 } from 'node:net';
import { COLON, DOT, isHostname } from './byte-class.ts';

/** Whether the whole text is an authority. */
export function isAuthority(text: string): boolean {
  return hostnameEndOf(text, 0, text.length) >= 0;
}

/**
 * Index where the host name of the authority `text[start..end)` ends, one trailing dot and the port
 * cut; -1 when it is not an authority.
 */
export function hostnameEndOf(text: string, start: number, end: number): number {
  if (start === end) return -1;
  if (text.charCodeAt(start) === 0x5b) return addressEndOf(text, start, end);
  let at = start;
  let last = DOT;
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff || isHostname[code] !== 1) break;
    if (code === DOT && last === DOT) return -1;
    last = code;
  }
  if (at === start || (at < end && !isPort(text, at, end))) return -1;
  return last === DOT ? at - 1 : at;
}

function addressEndOf(text: string, start: number, end: number): number {
  const close = text.indexOf(']', start);
  if (close < 0 || close >= end) return -1;
  const address = text.slice(start + 1, close);
  // isIPv6 also takes a zone (`fe80::1%eth0`), which has no place in an authority.
  if (address.includes('%') || !isIPv6(address)) return -1;
  const at = close + 1;
  return at === end || isPort(text, at, end) ? at : -1;
}

/** Whether `text[at..end)` is `:` and a port. */
function isPort(text: string, at: number, end: number): boolean {
  const length = end - at - 1;
  if (text.charCodeAt(at) !== COLON || length < 1 || length > 5) return false;
  let port = 0;
  for (let index = at + 1; index < end; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port >= 1 && port <= 65_535;
}

/** Host name and port of an authority, lower-case, the scheme's `usualPort` and trailing dot cut. */
export function normalAuthority(authority: string, usualPort: number): string {
  const lower = authority.toLowerCase();
  const end = hostnameEndOf(lower, 0, lower.length);
  const colon = lower.indexOf(':', end);
  const port = colon < 0 ? usualPort : Number(lower.slice(colon + 1));
  return port === usualPort ? lower.slice(0, end) : `${lower.slice(0, end)}:${port}`;
}
