/**
 * Alarms about the ends of roots and issuers: once each at 30, 7 and 1 days, and at the end.
 *
 * An issuer of our own is renewed at a third of its life, so that only the last two of its alarms can be
 * heard; a root has to be rotated by somebody, and an outside issuer by whoever made it.
 */

import { authorityLimits } from '../model/authority-limits.ts';
import type { LogLevel } from './log.ts';

export interface Ending {
  /** `the root`, `the issuer`. */
  readonly what: string;
  /** Which one, so that its successor begins anew: a hash. */
  readonly which: string;
  readonly notAfterMs: number;
  /** It is replaced by itself long before: only that this did not happen is worth a word. */
  readonly isRenewed?: boolean;
  /** What to do: a command. */
  readonly advice: string;
}

const levels: readonly LogLevel[] = ['info', 'warn', 'error', 'error'];

export class CaAlarms {
  readonly #write: (level: LogLevel, message: string) => void;
  /** By what ends, how many of its alarms have been heard. */
  readonly #heard = new Map<string, { readonly which: string; readonly count: number }>();

  constructor(write: (level: LogLevel, message: string) => void) {
    this.#write = write;
  }

  /** Writes the alarm that has come due, if it has not been heard. */
  look({ what, which, notAfterMs, isRenewed, advice }: Ending, nowMs: number): void {
    const left = notAfterMs - nowMs;
    const bounds = [...authorityLimits.alarmsMs, 0];
    const count = bounds.filter((bound) => left <= bound).length;
    const held = this.#heard.get(what);
    if (count === 1 && isRenewed === true) return;
    if (count <= (held?.which === which ? held.count : 0)) return;
    this.#heard.set(what, { which, count });
    const end = new Date(notAfterMs).toISOString();
    const when = left <= 0 ? 'has ended' : `ends in ${timeLeft(left)}`;
    this.#write(levels[count - 1]!, `${what} ${when} (${end}); ${advice}`);
  }
}

/** `12 days`, `5 hours`, `30 minutes`. */
function timeLeft(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes >= 2 * 24 * 60) return `${Math.floor(minutes / (24 * 60))} days`;
  return minutes >= 120 ? `${Math.floor(minutes / 60)} hours` : `${minutes} minutes`;
}
