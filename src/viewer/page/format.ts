/**
 * Numbers and times as this page prints them.
 */

import { labelOf } from '../span-label.ts';
import type { StoredSpan } from '../stored-trace.ts';
import { wallMs } from './clock.ts';

/** `14:03:07.123`, local time; empty for no time. */
export function printClock(us: number): string {
  if (!(us > 0) || us > 8.64e18) return '';
  const at = new Date(us / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

/** `2026-11-26 14:03:07.123`, local time. */
export function printDateTime(us: number): string {
  if (!(us > 0) || us > 8.64e18) return '';
  const at = new Date(us / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${printClock(us)}`;
}

/** `just now`, `40 s ago`, `12 min ago`, `3 h ago`, `2 d ago`. */
export function printAgo(us: number): string {
  if (!(us > 0)) return '';
  const seconds = Math.round(wallMs() / 1000 - us / 1e6);
  if (seconds < 5) return 'just now';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

/** `1 span`, `2,310 spans`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}

/** The label of a span with a real arrow. */
export function printLabel(span: StoredSpan): string {
  return labelOf(span).replace(' -> ', ' → ');
}
