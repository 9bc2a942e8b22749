/**
 * Cells added up: the requests of one point of a family, and where exemplars of them are found.
 */

import type { ExemplarSource } from './exemplars.ts';
import { latencyBoundsUs } from './latency-histogram.ts';
import type { RequestLabels } from './metrics.ts';
import { type RequestCell, spanKeyOf } from './request-cell.ts';

/** A series as it is counted here, or as it was told to the worker. */
export interface CountedSeries {
  readonly labels: RequestLabels;
  readonly id: number;
  readonly cells: Iterable<RequestCell>;
}

export class DurationSum {
  /** Counts a bucket of `latencyBoundsUs`, not cumulative, the last above every bound. */
  readonly counts = new Float64Array(latencyBoundsUs.length + 1);
  count = 0;
  sumUs = 0;
  requestBytes = 0;
  responseBytes = 0;
  readonly sources: ExemplarSource[] = [];

  /** `cell` of `series`. */
  add(series: Pick<CountedSeries, 'id'>, cell: RequestCell): void {
    for (let bucket = 0; bucket < this.counts.length; bucket++) {
      const count = cell.counts[bucket]!;
      this.counts[bucket]! += count;
      this.count += count;
    }
    this.sumUs += cell.sumUs;
    this.requestBytes += cell.requestBytes;
    this.responseBytes += cell.responseBytes;
    if (series.id !== 0) this.sources.push({ seriesId: series.id, key: spanKeyOf(cell.key) });
  }
}

/** The sum named `key` in `sums`, made when it is not there. */
export function sumOf(sums: Map<string, DurationSum>, key: string): DurationSum {
  let sum = sums.get(key);
  if (sum === undefined) {
    sum = new DurationSum();
    sums.set(key, sum);
  }
  return sum;
}
