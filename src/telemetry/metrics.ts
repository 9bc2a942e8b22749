/**
 * The registry of metrics: series of requests, counters of connections, telemetry's own counters.
 *
 * Labels come from configuration, never from requests, and there are at most `seriesMax` series;
 * what comes later is counted in one series whose labels are `other` (Linkerd's CVE-2025-43915 is
 * what happens otherwise). Counting is the holders' own: this file only hands the objects out.
 */

import { telemetryLimits } from '../model/limits.ts';
import type { Direction } from '../model/routing-table.ts';
import { type RequestLabels, RequestSeries } from './request-series.ts';
import type { SpanCounts } from './worker-counters.ts';

export type { RequestLabels, RequestSeries };

/** Connections and exchanges of one direction; the proxy writes the fields. */
export class ConnectionCounts {
  /** Open now. */
  downstreamOpen = 0;
  upstreamOpen = 0;
  /** Ever opened. */
  downstreamTotal = 0;
  upstreamTotal = 0;
  /** Connects that failed. */
  upstreamFailed = 0;
  /** Captured connections that were relayed unread, counted at their end, and their bytes. */
  opaqueTotal = 0;
  opaqueSentBytes = 0;
  opaqueReceivedBytes = 0;
  /** Exchanges under way. */
  exchangesActive = 0;
}

const OTHER = 'other';

export class MetricRegistry {
  /** Telemetry's own counts, when there are any. */
  readonly spanCounts: (() => SpanCounts) | undefined;
  readonly #seriesMax: number;
  readonly #series = new Map<string, RequestSeries>();
  readonly #others = new Map<Direction, RequestSeries>();
  readonly #connections: Readonly<Record<Direction, ConnectionCounts>> = {
    inbound: new ConnectionCounts(),
    outbound: new ConnectionCounts(),
  };

  /** `seriesMax`: series of requests, `other` not counted. */
  constructor(
    seriesMax: number = telemetryLimits.metricSeriesMax,
    spanCounts?: (() => SpanCounts) | undefined,
  ) {
    this.#seriesMax = seriesMax;
    this.spanCounts = spanCounts;
  }

  /** The series of these labels: the same object for the same labels. For set-up, not per request. */
  requestSeries(labels: RequestLabels): RequestSeries {
    const { direction, listener, route, rule, cluster, subset } = labels;
    const key = [direction, listener, route, rule, cluster, subset].join('\u0000');
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= this.#seriesMax) return this.#otherSeries(direction);
    const series = new RequestSeries({ direction, listener, route, rule, cluster, subset });
    this.#series.set(key, series);
    return series;
  }

  /** The counters of one direction, to be written by the proxy. */
  connectionGauge(direction: Direction): ConnectionCounts {
    return this.#connections[direction];
  }

  /** Every series, `other` last. */
  allSeries(): readonly RequestSeries[] {
    return [...this.#series.values(), ...this.#others.values()];
  }

  #otherSeries(direction: Direction): RequestSeries {
    const known = this.#others.get(direction);
    if (known !== undefined) return known;
    const series = new RequestSeries({
      direction,
      listener: OTHER,
      route: OTHER,
      rule: OTHER,
      cluster: OTHER,
      subset: OTHER,
    });
    this.#others.set(direction, series);
    return series;
  }
}
