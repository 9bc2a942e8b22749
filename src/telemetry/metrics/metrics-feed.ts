/**
 * The hot thread's part in sending metrics: a snapshot every OTEL_METRIC_EXPORT_INTERVAL, and a last one
 * at the end.
 *
 * Counts are cumulative, so that a snapshot which is lost loses nothing but time.
 */

import type { Clock } from '../../base/clock.ts';
import type { WakeUps } from '../../base/deadlines.ts';
import type { MetricRegistry } from './metrics.ts';
import { type MetricsSnapshot, takeSnapshot } from './metrics-snapshot.ts';

export interface MetricsFeedOptions {
  readonly registry: MetricRegistry;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly intervalMs: number;
  readonly post: (snapshot: MetricsSnapshot) => void;
}

export class MetricsFeed {
  readonly #options: MetricsFeedOptions;
  #callOff: (() => void) | undefined;

  constructor(options: MetricsFeedOptions) {
    this.#options = options;
  }

  /** The first snapshot comes after the first interval; called again it does nothing. */
  start(): void {
    if (this.#callOff === undefined) this.#wait();
  }

  /** The last snapshot, now. */
  end(): void {
    this.#callOff?.();
    this.#post();
  }

  #wait(): void {
    this.#callOff = this.#options.wakeUps.after(this.#options.intervalMs, () => {
      this.#post();
      this.#wait();
    });
  }

  #post(): void {
    const { registry, clock, post } = this.#options;
    post(takeSnapshot(registry, clock.epochMs + clock.now()));
  }
}
