/**
 * A snapshot of the counters for the worker, which sends them by OTLP: numbers in two arrays, so that
 * the hot thread copies and makes nothing of them. Attributes are made in the worker.
 */

import type { CountedSeries } from './duration-sum.ts';
import type { MetricRegistry, RequestLabels } from './metrics.ts';
import { CELL_NUMBERS, RequestCell } from './request-cell.ts';
import type { ZoneBytes } from './zone-bytes.ts';

/** Survives structured cloning. */
export interface MetricsSnapshot {
  readonly kind: 'metrics';
  /** When it was taken, wall-clock. */
  readonly epochMs: number;
  /** Of the series that have counted something. */
  readonly labels: readonly RequestLabels[];
  /** Of each cell: index of its labels, its key, and its numbers, `CELL_NUMBERS` of them. */
  readonly places: Uint32Array;
  readonly keys: Int32Array;
  readonly counts: Float64Array;
  readonly zones: readonly Omit<ZoneBytes, 'add'>[];
}

export function takeSnapshot(registry: MetricRegistry, epochMs: number): MetricsSnapshot {
  const labels: RequestLabels[] = [];
  const cells: RequestCell[] = [];
  const places: number[] = [];
  for (const series of registry.allSeries()) {
    const before = cells.length;
    for (const cell of series.cells) {
      cells.push(cell);
      places.push(labels.length);
    }
    if (cells.length > before) labels.push(series.labels);
  }
  const counts = new Float64Array(cells.length * CELL_NUMBERS);
  for (const [index, cell] of cells.entries()) counts.set(cell.counts, index * CELL_NUMBERS);
  return {
    kind: 'metrics',
    epochMs,
    labels,
    places: Uint32Array.from(places),
    keys: Int32Array.from(cells, ({ key }) => key),
    counts,
    zones: registry.zones.all().map((zone) => ({ ...zone })),
  };
}

/** The series as they were; exemplars are not found by them. */
export function seriesOf({ labels, places, keys, counts }: MetricsSnapshot): CountedSeries[] {
  const all = labels.map((each) => ({ labels: each, id: 0, cells: [] as RequestCell[] }));
  for (const [index, place] of places.entries()) {
    const start = index * CELL_NUMBERS;
    const cell = new RequestCell(keys[index]!, 0, counts.subarray(start, start + CELL_NUMBERS));
    all[place]!.cells.push(cell);
  }
  return all;
}
