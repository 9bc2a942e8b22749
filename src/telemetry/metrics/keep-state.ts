/**
 * What the requests of one series may keep, and from which duration on they are slow.
 *
 * Two token buckets, which all series of a route share, and one limit: `RequestSeries` has a state, the
 * judge asks it (keep-judge.ts), and slow-limit.ts learns the limit from the series' own histogram, off
 * the request.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { Direction } from '../../model/routing-table.ts';
import type { SlowWindow } from './slow-limit.ts';

/** Tokens that come with time; it holds those of one second, and one at least. Full at first. */
export class TokenBucket {
  #tokens = -1.5;
  #filledAt: Milliseconds = 0.5;

  /** Takes one out, or says no. `perSecond`: as many come; 0: never one. */
  take(perSecond: number, now: Milliseconds): boolean {
    if (perSecond <= 0) return false;
    const most = Math.max(1, perSecond);
    const gained = Math.max(0, now - this.#filledAt) * (perSecond / 1_000);
    const isFirst = this.#tokens < 0;
    const tokens = isFirst ? most : Math.min(most, this.#tokens + gained);
    this.#filledAt = now;
    this.#tokens = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
  }
}

/** What the series of one route may keep together. */
export class KeepBudget {
  /** Traces that are kept for an error, and for being slow. */
  readonly errors = new TokenBucket();
  readonly slow = new TokenBucket();
}

export class KeepState {
  /** Shared by the series of the route; its own unless the registry has another. */
  budget = new KeepBudget();
  /** What takes longer is slow; Infinity until enough is known. Microseconds. */
  slowUs = Number.POSITIVE_INFINITY;
  /** Of slow-limit.ts; undefined until the series has counted anything. */
  window: SlowWindow | undefined = undefined;
}

/** Budgets by route and direction. */
export class KeepBudgets {
  readonly #budgets = new Map<string, KeepBudget>();
  readonly #routesMax: number;

  /** With more than `routesMax` names seen it begins anew; series keep what they have. */
  constructor(routesMax: number) {
    this.#routesMax = routesMax;
  }

  of(direction: Direction, route: string): KeepBudget {
    const key = `${direction} ${route}`;
    const known = this.#budgets.get(key);
    if (known !== undefined) return known;
    if (this.#budgets.size >= this.#routesMax) this.#budgets.clear();
    const budget = new KeepBudget();
    this.#budgets.set(key, budget);
    return budget;
  }
}
