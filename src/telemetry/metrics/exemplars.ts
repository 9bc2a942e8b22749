/**
 * Exemplars: for a bucket of a histogram one exported trace that is counted in it.
 *
 *   worker: spans of a batch ─► held ─► the collector took it: ExemplarStore ─► entries
 *   hot:    entries ─► ExemplarBook, which a page or a snapshot asks by series and outcome
 *
 * Only a span that a collector has taken comes here, so that an exemplar always leads to a trace. One
 * a bucket and outcome is kept, the newest; `entriesMax` in all, then the oldest goes.
 */

import type { ExchangeRecord } from '../record/exchange-record.ts';
import { bucketOf } from './latency-histogram.ts';
import { spanKey } from './request-cell.ts';

/** One exported span. Survives structured cloning. */
export interface BucketExemplar {
  /** 32 and 16 lower-case hex digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** The span's duration. */
  readonly us: number;
  /** Its end, wall-clock. */
  readonly epochMs: number;
}

export interface ExemplarEntry extends BucketExemplar {
  readonly seriesId: number;
  /** `spanKey` of its record. */
  readonly key: number;
  readonly bucket: number;
}

/** Spans of a batch that may become exemplars, by bucket and outcome; at most `heldMax`. */
export class HeldExemplars {
  readonly #entries = new Map<number, ExemplarEntry>();
  readonly #epochMs: number;
  readonly #heldMax: number;

  /** `epochMs`: wall-clock milliseconds at the records' monotonic 0. */
  constructor(epochMs: number, heldMax: number) {
    this.#epochMs = epochMs;
    this.#heldMax = heldMax;
  }

  /** The span of `record`, which the caller may use again. */
  add(record: ExchangeRecord): void {
    const { seriesId, totalUs, startMs } = record;
    if (seriesId === 0) return;
    const key = spanKey(record);
    const bucket = bucketOf(totalUs);
    const place = placeOf(seriesId, key, bucket);
    // The first one of a batch does: to make ids of every span would cost more than they are worth.
    if (this.#entries.size >= this.#heldMax || this.#entries.has(place)) return;
    this.#entries.set(place, {
      seriesId,
      key,
      bucket,
      traceId:
        hex(record.traceId0) + hex(record.traceId1) + hex(record.traceId2) + hex(record.traceId3),
      spanId: hex(record.spanId0) + hex(record.spanId1),
      us: totalUs,
      epochMs: this.#epochMs + startMs + totalUs / 1_000,
    });
  }

  get entries(): Iterable<readonly [place: number, entry: ExemplarEntry]> {
    return this.#entries;
  }
}

/** Those of spans that were sent. */
export class ExemplarStore {
  readonly #entries = new Map<number, ExemplarEntry>();
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** A collector has taken the batch of these. */
  take(held: HeldExemplars): void {
    for (const [place, entry] of held.entries) {
      this.#entries.delete(place);
      this.#entries.set(place, entry);
    }
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#entriesMax) break;
      this.#entries.delete(oldest);
    }
  }

  entries(): ExemplarEntry[] {
    return [...this.#entries.values()];
  }
}

/** Where a cell's exemplars are found: its series and what spans tell of its key. */
export interface ExemplarSource {
  readonly seriesId: number;
  /** `spanKeyOf` of the cell's key. */
  readonly key: number;
}

export class ExemplarBook {
  readonly #entries = new Map<number, ExemplarEntry[]>();

  constructor(entries: readonly ExemplarEntry[]) {
    for (const entry of entries) {
      const place = placeOf(entry.seriesId, entry.key, 0);
      const known = this.#entries.get(place);
      if (known === undefined) this.#entries.set(place, [entry]);
      else known.push(entry);
    }
  }

  /** By bucket the newest of all `sources`; undefined when there is none at all. */
  find(sources: readonly ExemplarSource[]): (BucketExemplar | undefined)[] | undefined {
    if (this.#entries.size === 0) return undefined;
    let found: (BucketExemplar | undefined)[] | undefined;
    for (const { seriesId, key } of sources) {
      for (const entry of this.#entries.get(placeOf(seriesId, key, 0)) ?? []) {
        found ??= [];
        const known = found[entry.bucket];
        if (known === undefined || known.epochMs < entry.epochMs) found[entry.bucket] = entry;
      }
    }
    return found;
  }
}

/** As OpenMetrics prints it after a bucket's count; the value in units of `usPerUnit`. */
export function exemplarText(exemplar: BucketExemplar, usPerUnit: number): string {
  const { traceId, spanId, us, epochMs } = exemplar;
  const seconds = (epochMs / 1_000).toFixed(3);
  return `# {trace_id="${traceId}",span_id="${spanId}"} ${us / usPerUnit} ${seconds}`;
}

/** One whole number, below 2^48. */
function placeOf(seriesId: number, key: number, bucket: number): number {
  return (seriesId * 2 ** 27 + key) * 32 + bucket;
}

/** 8 lower-case hex digits of a 32-bit pattern. */
function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
