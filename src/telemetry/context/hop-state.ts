/**
 * How many sidecars a request has passed, whether it goes round, and who spoke last: our member of
 * tracestate.
 *
 *    tracecar=hhttttvpppp   hh hops so far, tttt the tag of one sidecar of the way, v visits to that one,
 *                           pppp the port at which the sidecar that sent it answers for its inbound half;
 *                           1: it has none, 0: an application sent it (what it was given has 0)
 *
 * Depth alone proves no loop: applications pass tracestate on, so a request to the tenth service of a
 * shop has passed twenty sidecars. So one sidecar is remembered, a later one each time the count of hops
 * is a power of two, until the request has come back to it (Brent's way to find a cycle). A loop of one
 * or two sidecars ends at the eighth hop, one of six at the 26th, and what never comes back passes 63
 * sidecars. Pure; a state is a number, 0: no sidecar passed yet.
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';
import { hexDigit, putHexHalf } from './hex-digits.ts';

const { hopsMax, loopHopsMin, loopVisitsMin } = telemetryLimits;

/** Random bits of one process and direction: 0 to 0xffff. */
export type HopTag = number;

const COUNT_MAX = 0xff;
const VISITS_MAX = 0xf;

/** The state that goes on from the sidecar with `tag`, when a request with `state` has come to it. */
export function advanceHops(state: number, tag: HopTag): number {
  const hops = Math.min((state >>> 20) + 1, COUNT_MAX);
  const visits = state & VISITS_MAX;
  const isOwn = state !== 0 && ((state >>> 4) & 0xffff) === tag;
  if (isOwn) return (hops << 20) | (tag << 4) | Math.min(visits + 1, VISITS_MAX);
  // The last sidecar that is remembered so lies on the loop, however long the way into it was.
  const isPowerOfTwo = (hops & (hops - 1)) === 0;
  if (isPowerOfTwo && visits === 0) return (hops << 20) | (tag << 4);
  return (hops << 20) | (state & 0xfffff);
}

/** Whether a request that would go on with this state is refused instead (508). */
export function isLoop(state: number): boolean {
  const hops = state >>> 20;
  return hops >= hopsMax || (hops >= loopHopsMin && (state & VISITS_MAX) >= loopVisitsMin);
}

/** The state of a request that has passed `hops` sidecars, none of which is known. */
export function unknownHops(hops: number): number {
  return Math.min(hops, COUNT_MAX) << 20;
}

const NAME = 'tracecar=';
const STATE_DIGITS = 7;
const PORT_DIGITS = 4;
/** Without a port: of sidecars before 0.2, read for one release more. */
const SHORT_BYTES = NAME.length + STATE_DIGITS;

/** Length of our member of a tracestate. */
export const HOP_MEMBER_BYTES: number = SHORT_BYTES + PORT_DIGITS;

/** The state in the member `text[start, end)` of a tracestate; -1: not as we write it. */
export function readHops(text: string, start: number, end: number): number {
  const length = end - start;
  if (length !== HOP_MEMBER_BYTES && length !== SHORT_BYTES) return -1;
  if (!text.startsWith(NAME, start)) return -1;
  if (readDigits(text, start + SHORT_BYTES, end) < 0) return -1;
  return readDigits(text, start + NAME.length, start + SHORT_BYTES);
}

/** The port in the same member, of which `readHops` has read the state. */
export function readCallbackPort(text: string, start: number, end: number): number {
  return readDigits(text, start + SHORT_BYTES, end);
}

/** Digits as a number; negative when one of them is none. */
function readDigits(text: string, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = hexDigit(text.charCodeAt(at));
    if (digit < 0) return -1;
    value = (value << 4) | digit;
  }
  return value;
}

/** Whether a member of a tracestate has our key. */
export function isHopMember(member: string): boolean {
  return member.startsWith(NAME);
}

const hexDigits = Buffer.from('0123456789abcdef', 'latin1');
const line = Buffer.from(`tracestate: ${NAME}${'0'.repeat(STATE_DIGITS + PORT_DIGITS)}`, 'latin1');
const PORT_AT = line.length - PORT_DIGITS;
const STATE_AT = PORT_AT - STATE_DIGITS;

/** What `putHops` writes. */
export const HOP_LINE_BYTES: number = line.length;

/**
 * Writes `tracestate: tracecar=...` at `out[at]`, without the end of the line: other members may
 * follow ours, which is the first one (W3C trace-context 3.5). `port`: 0 to 65535. Returns the end.
 */
export function putHops(state: number, port: number, out: Uint8Array, at: number): number {
  line[STATE_AT] = hexDigits[(state >>> 24) & 15]!;
  line[STATE_AT + 1] = hexDigits[(state >>> 20) & 15]!;
  line[STATE_AT + 2] = hexDigits[(state >>> 16) & 15]!;
  putHexHalf(state, line, STATE_AT + 3);
  putHexHalf(port, line, PORT_AT);
  out.set(line, at);
  return at + HOP_LINE_BYTES;
}
