/**
 * From which duration on a request is slow: 3 times what 99 % of the route's requests take, learned.
 *
 *   histogram of the series, counted since its start
 *      │ copied at the start of each window
 *   [ older | newer ] ─► p99 of what came since `older` began: the last one to two minutes
 *
 * Off the request: a turn every 5 s looks at some of the series whose counts have changed. Until 100
 * requests are known nothing of a route is slow.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { keepLimits } from '../../model/telemetry-limits.ts';
import type { RequestSeries } from './request-series.ts';

const SHARE = 0.99;
/** Series that one turn looks at, whether they have changed or not. */
const SEEN_PER_TURN = 400;

/** What one series had counted when its windows began. */
export interface SlowWindow {
  older: Uint32Array;
  newer: Uint32Array;
  newerAt: Milliseconds;
  /** When it was looked at last, all of it. */
  count: number;
}

export class SlowLimits {
  readonly #series: () => readonly RequestSeries[];
  /** Where the next turn begins. */
  #next = 0;

  constructor(series: () => readonly RequestSeries[]) {
    this.#series = series;
  }

  /** Looks at the next series; `now` moves on between two turns. */
  turn(now: Milliseconds): void {
    const all = this.#series();
    let left = keepLimits.slowSeriesPerTurn;
    for (let seen = Math.min(all.length, SEEN_PER_TURN); seen > 0 && left > 0; seen--) {
      if (this.#next >= all.length) this.#next = 0;
      if (learn(all[this.#next++]!, now)) left--;
    }
  }
}

/** False when the series has counted nothing since the last look. */
function learn({ keep, latency }: RequestSeries, now: Milliseconds): boolean {
  const { cells } = latency;
  let count = 0;
  for (const each of cells) count += each;
  if (count === (keep.window?.count ?? 0)) return false;
  keep.window ??= startWindow(cells.length, now);
  const { window } = keep;
  window.count = count;
  if (now - window.newerAt >= keepLimits.slowWindowMs) {
    const { older } = window;
    window.older = window.newer;
    older.set(cells);
    window.newer = older;
    window.newerAt = now;
  }
  const p99Us = latency.percentileSinceUs(window.older, SHARE, keepLimits.slowRequestsMin);
  keep.slowUs = p99Us < 0 ? Number.POSITIVE_INFINITY : p99Us * keepLimits.slowFactor;
  return true;
}

function startWindow(cells: number, now: Milliseconds): SlowWindow {
  return {
    older: new Uint32Array(cells),
    newer: new Uint32Array(cells),
    newerAt: now,
    count: 0,
  };
}
