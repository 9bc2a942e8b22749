/**
 * Counters of the requests that share one set of labels: by status code, by cause, by duration.
 *
 * The proxy holds the object beside its rule and calls `observe` once an exchange: a few typed-array
 * writes. Counts are float64, exact to 2^53. Rows of status codes exist once a code of their
 * hundred was seen.
 */

import { failures } from '../model/failure.ts';
import type { Direction } from '../model/routing-table.ts';
import { LatencyHistogram } from './latency-histogram.ts';

/** Names from configuration only, so that their number is bounded; '' = does not apply. */
export interface RequestLabels {
  readonly direction: Direction;
  readonly listener: string;
  readonly route: string;
  /** Identity of the rule. */
  readonly rule: string;
  readonly cluster: string;
  readonly subset: string;
}

const CLASSES = 6;
const CODES = 100;

export class RequestSeries {
  readonly labels: RequestLabels;
  readonly latency = new LatencyHistogram();
  /** By `Failure.code`; 0 counts exchanges without a failure. */
  readonly causes = new Float64Array(failures.length + 1);
  readonly #classes: (Float64Array | undefined)[] = new Array(CLASSES).fill(undefined);

  constructor(labels: RequestLabels) {
    this.labels = labels;
  }

  /**
   * One exchange that has ended. `status`: what was sent downstream, 0 when nothing was (others
   * outside 100 to 599 count as 0 too); `causeCode`: 0 without a failure; `durationUs`: at least 0.
   */
  observe(status: number, causeCode: number, durationUs: number): void {
    const isKnown = status >= CODES && status < CLASSES * CODES;
    const index = isKnown ? (status / CODES) | 0 : 0;
    const row = this.#classes[index] ?? this.#addClass(index);
    row[isKnown ? status - index * CODES : 0]!++;
    this.causes[causeCode < this.causes.length ? causeCode : 0]!++;
    this.latency.observe(durationUs);
  }

  #addClass(index: number): Float64Array {
    const row = new Float64Array(CODES);
    this.#classes[index] = row;
    return row;
  }

  /** Counts by status code, in order, without zeros; status 0: nothing was sent. */
  statuses(): readonly { readonly status: number; readonly count: number }[] {
    const seen: { status: number; count: number }[] = [];
    for (const [index, row] of this.#classes.entries()) {
      for (const [offset, count] of row?.entries() ?? []) {
        if (count > 0) seen.push({ status: index * CODES + offset, count });
      }
    }
    return seen;
  }
}
