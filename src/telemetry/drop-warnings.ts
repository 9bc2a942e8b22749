/**
 * One warning a minute at most about what telemetry lost, with the number and the reason.
 *
 * Losing spans is expected when a collector is down; the counters have the exact numbers. This only
 * makes sure that a person finds out, once, and again while it lasts; before the first is lost, too.
 */

import type { Milliseconds } from '../base/clock.ts';

/** Totals since start. */
export interface Losses {
  readonly spans: number;
  /** Part of `spans`: refused by a full queue. */
  readonly queueFull: number;
  /** Records refused by a full ring. */
  readonly records: number;
  readonly lines: number;
  /** Spans that wait now, because a collector has failed again and again. */
  readonly stuck: number;
}

export class DropWarnings {
  readonly #intervalMs: Milliseconds;
  readonly #warn: (text: string) => void;
  #nextAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #last: Losses = { spans: 0, queueFull: 0, records: 0, lines: 0, stuck: 0 };

  constructor(intervalMs: Milliseconds, warn: (text: string) => void) {
    this.#intervalMs = intervalMs;
    this.#warn = warn;
  }

  /** Warns when something was lost since the last warning, or is stuck, and that one is long enough ago. */
  check(now: Milliseconds, losses: Losses, destination: string, trouble: string): void {
    if (now < this.#nextAt) return;
    const last = this.#last;
    const parts: string[] = [];
    const spans = losses.spans - last.spans;
    const queueFull = losses.queueFull - last.queueFull;
    if (spans > 0) {
      const reason = trouble === '' ? '' : `: ${trouble}`;
      const full = queueFull > 0 ? ` (${queueFull} of them because the queue was full)` : '';
      parts.push(`${spans} spans not delivered to ${destination}${full}${reason}`);
    } else if (losses.stuck > 0) {
      parts.push(`${losses.stuck} spans wait, ${destination} does not take them: ${trouble}`);
    }
    if (losses.records > last.records) {
      parts.push(`${losses.records - last.records} records dropped because the ring was full`);
    }
    if (losses.lines > last.lines) {
      parts.push(
        `${losses.lines - last.lines} access log lines dropped: stdout was not read in time`,
      );
    }
    if (parts.length === 0) return;
    this.#last = losses;
    this.#nextAt = now + this.#intervalMs;
    this.#warn(`telemetry: ${parts.join('; ')}; requests are not affected`);
  }
}
