/**
 * Warnings that a stranger can cause at any rate: one line now, then at most one a period.
 *
 * What was left out meanwhile is counted in the next line.
 */

import type { Milliseconds } from '../base/clock.ts';
import type { ProxyScope } from './proxy-scope.ts';

export class WarningLimit {
  readonly #scope: ProxyScope;
  #nextMs: Milliseconds = Number.NEGATIVE_INFINITY;
  #silenced = 0;

  constructor(scope: ProxyScope) {
    this.#scope = scope;
  }

  /** Logs `text`, or counts it. */
  warn(text: string): void {
    const { clock, limits, log } = this.#scope;
    const now = clock.now();
    if (now < this.#nextMs) {
      this.#silenced++;
      return;
    }
    const more = this.#silenced === 0 ? '' : ` (and ${this.#silenced} more since the last line)`;
    this.#nextMs = now + limits.refusalWarningMs;
    this.#silenced = 0;
    log('warn', text + more);
  }
}
