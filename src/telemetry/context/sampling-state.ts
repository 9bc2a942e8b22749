/**
 * The member `ot` of tracestate: with which probability a trace was chosen (OpenTelemetry, "TraceState:
 * Probability Sampling").
 *
 *    ot=th:c;rv:9b8233f7e3a151     th 1 to 14 hex digits, a rejection threshold of 56 bits whose zeros at
 *                                  the end are cut off; rv 14 digits, randomness in place of the trace id's
 *
 * A trace is sampled where its randomness is at least the threshold, so 0 is all of them. 56 bits are two
 * integers here, high 24 and low 32: a number would lose three of them.
 */

import { hexDigit } from './hex-digits.ts';
import type { TraceContext } from './trace-context.ts';

const NAME = 'ot=';
const THRESHOLD = 'th:';
const RANDOMNESS = 'rv:';
const DIGITS_MAX = 14;
/** Characters of the list after `ot=`. */
const LIST_MAX = 256;

/** Whether the member `text[start, end)` says a threshold and nothing else; it is in `out` then. */
export function readThreshold(
  text: string,
  start: number,
  end: number,
  out: TraceContext,
): boolean {
  const digits = start + NAME.length + THRESHOLD.length;
  if (end <= digits || end - digits > DIGITS_MAX) return false;
  if (!text.startsWith(NAME, start) || !text.startsWith(THRESHOLD, start + NAME.length))
    return false;
  if (!readPadded(text, digits, end)) return false;
  out.thresholdHigh = paddedHigh;
  out.thresholdLow = paddedLow;
  return true;
}

/** Whether a member of a tracestate is this one. */
export function isSamplingMember(member: string): boolean {
  return member.startsWith(NAME);
}

/** Reads what a member says; a value that is not as it must be says nothing. Cold. */
export function readSampling(member: string, out: TraceContext): void {
  out.forgetSampling();
  for (const pair of member.slice(NAME.length).split(';')) {
    const length = pair.length - THRESHOLD.length;
    if (length < 1 || length > DIGITS_MAX || !readPadded(pair, THRESHOLD.length, pair.length)) {
      continue;
    }
    if (pair.startsWith(THRESHOLD)) {
      out.thresholdHigh = paddedHigh;
      out.thresholdLow = paddedLow;
    } else if (pair.startsWith(RANDOMNESS) && length === DIGITS_MAX) {
      out.randomHigh = paddedHigh;
      out.randomLow = paddedLow;
    }
  }
}

/**
 * The tracestate `states` with the context's threshold in place of the one it had: a changed member is
 * the first one. At most `membersMax` stay. Cold.
 */
export function replaceThreshold(
  states: string,
  context: TraceContext,
  membersMax: number,
): string {
  const others: string[] = [];
  const { thresholdHigh, thresholdLow } = context;
  const pairs =
    thresholdHigh < 0 ? [] : [`${THRESHOLD}${thresholdDigits(thresholdHigh, thresholdLow)}`];
  for (const member of states.split(',')) {
    if (!isSamplingMember(member)) {
      if (member !== '') others.push(member);
      continue;
    }
    let length = THRESHOLD.length + DIGITS_MAX;
    for (const pair of member.slice(NAME.length).split(';')) {
      length += pair.length + 1;
      if (!pair.startsWith(THRESHOLD) && length <= LIST_MAX) pairs.push(pair);
    }
  }
  if (pairs.length !== 0) others.unshift(`${NAME}${pairs.join(';')}`);
  return others.slice(0, membersMax).join(',');
}

let paddedHigh = 0;
let paddedLow = 0;

/** Up to 14 hex digits as if zeros followed them, into `paddedHigh` and `paddedLow`. */
function readPadded(text: string, start: number, end: number): boolean {
  let high = 0;
  let low = 0;
  for (let place = 0; place < DIGITS_MAX; place++) {
    const at = start + place;
    const digit = at < end ? hexDigit(text.charCodeAt(at)) : 0;
    if (digit < 0) return false;
    if (place < HIGH_DIGITS) high = (high << 4) | digit;
    else low = (low << 4) | digit;
  }
  paddedHigh = high;
  paddedLow = low;
  return true;
}

const HIGH_DIGITS = 6;

const hexDigits = Buffer.from('0123456789abcdef', 'latin1');
const before = Buffer.from(`,${NAME}${THRESHOLD}`, 'latin1');

/** What `putThreshold` writes at most. */
export const THRESHOLD_BYTES: number = before.length + DIGITS_MAX;

/** Writes `,ot=th:...` at `out[at]`; returns the end. */
export function putThreshold(high: number, low: number, out: Uint8Array, at: number): number {
  out.set(before, at);
  let end = at + before.length;
  let last = end + 1;
  for (let place = 0; place < DIGITS_MAX; place++) {
    const digit =
      place < HIGH_DIGITS ? (high >>> (20 - 4 * place)) & 15 : (low >>> (52 - 4 * place)) & 15;
    out[end++] = hexDigits[digit]!;
    if (digit !== 0) last = end;
  }
  return last;
}

const printed = Buffer.alloc(THRESHOLD_BYTES);
let textHigh = -1;
let textLow = 0;
let lastText = '';

/** The digits alone. One sampler's threshold comes again and again, so the last text is kept. */
export function thresholdDigits(high: number, low: number): string {
  if (high !== textHigh || low !== textLow) {
    lastText = printed.toString('latin1', before.length, putThreshold(high, low, printed, 0));
    textHigh = high;
    textLow = low;
  }
  return lastText;
}
