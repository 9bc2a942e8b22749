/**
 * Warnings that a stranger can cause at any rate: one line now, then at most one a period; or one about
 * each of a few subjects.
 *
 * What was left out meanwhile is counted in the next line.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { ProxyScope } from './proxy-scope.ts';

export class WarningLimit {
  readonly #scope: ProxyScope;
  #nextMs: Milliseconds = Number.NEGATIVE_INFINITY;
  #silenced = 0;

  constructor(scope: ProxyScope) {
    this.#scope = scope;
  }

  /** The next warning would be logged. */
  get isOver(): boolean {
    return this.#scope.clock.now() >= this.#nextMs;
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

/** A limit for each subject, so that a line about one hides no other; those that are too many share one. */
export class WarningLimits {
  readonly #scope: ProxyScope;
  readonly #bySubject = new Map<string, WarningLimit>();
  readonly #others: WarningLimit;

  constructor(scope: ProxyScope) {
    this.#scope = scope;
    this.#others = new WarningLimit(scope);
  }

  /** Logs `text`, or counts it with others about `subject`. */
  warn(subject: string, text: string): void {
    (this.#bySubject.get(subject) ?? this.#limitFor(subject)).warn(text);
  }

  #limitFor(subject: string): WarningLimit {
    if (this.#bySubject.size >= this.#scope.limits.warnedSubjectsMax && !this.#makeRoom()) {
      return this.#others;
    }
    const limit = new WarningLimit(this.#scope);
    this.#bySubject.set(subject, limit);
    return limit;
  }

  /** Forgets one that may speak again anyway. */
  #makeRoom(): boolean {
    for (const [subject, limit] of this.#bySubject) {
      if (limit.isOver) return this.#bySubject.delete(subject);
    }
    return false;
  }
}
