/**
 * The text of a page of metrics: Prometheus' format 0.0.4 or OpenMetrics 1.0, line by line.
 *
 * Both have the same families with the same values. Only OpenMetrics names a counter's family without
 * `_total`, tells units, ends in `# EOF` and takes exemplars. Bounds of buckets are printed the same
 * way in both, so that a scraper may change its mind.
 */

import { type BucketExemplar, exemplarText } from './exemplars.ts';
import { latencyBoundsUs } from './latency-histogram.ts';

export type TextFormat = 'prometheus' | 'openmetrics';

/** By `TextFormat`: what a page of it says it is. */
export const contentTypes: Readonly<Record<TextFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

export type LabelPair = readonly [name: string, value: string | number];

/** What adds lines, a few at a time: between two steps the page may be sent so far. */
export type Steps = Generator<void, void>;

type FamilyType = 'counter' | 'gauge' | 'histogram';

/** Counts a bucket of `latencyBoundsUs`, not cumulative, and the sum of what they count. */
export interface DurationCounts {
  readonly counts: Float64Array;
  readonly sumUs: number;
}

export class MetricText {
  readonly format: TextFormat;
  /** Characters that `take` would give, about. */
  length = 0;
  #lines: string[] = [];

  constructor(format: TextFormat) {
    this.format = format;
  }

  /** `name`: as samples have it, a counter's with `_total`. Samples of a family follow it at once. */
  family(name: string, type: FamilyType, help: string, unit: '' | 'seconds' | 'bytes' = ''): void {
    const isOpen = this.format === 'openmetrics';
    const family = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name;
    this.#put(`# HELP ${family} ${help}`);
    this.#put(`# TYPE ${family} ${type}`);
    if (isOpen && unit !== '' && family.endsWith(`_${unit}`)) this.#put(`# UNIT ${family} ${unit}`);
  }

  /** `labels`: as `printLabels` prints them, or empty. */
  sample(name: string, labels: string, value: number): void {
    this.#put(labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`);
  }

  /**
   * All lines of one histogram; `usPerUnit`: 1e6 for seconds, 1e3 for milliseconds. `exemplars` by
   * bucket.
   */
  duration(
    name: string,
    labels: string,
    { counts, sumUs }: DurationCounts,
    usPerUnit: number,
    exemplars?: readonly (BucketExemplar | undefined)[],
  ): void {
    const before = `${name}_bucket{${labels}${labels === '' ? '' : ','}le="`;
    const bounds = boundTexts(usPerUnit);
    let below = 0;
    for (const [bucket, bound] of bounds.entries()) {
      below += counts[bucket]!;
      const line = `${before}${bound}"} ${below}`;
      const exemplar = this.format === 'openmetrics' ? exemplars?.[bucket] : undefined;
      this.#put(exemplar ? `${line} ${exemplarText(exemplar, usPerUnit)}` : line);
    }
    this.sample(`${name}_sum`, labels, sumUs / usPerUnit);
    this.sample(`${name}_count`, labels, below);
  }

  /** Nothing comes after it. */
  end(): void {
    if (this.format === 'openmetrics') this.#put('# EOF');
  }

  /** The lines since the last time, each with its end. */
  take(): string {
    const text = this.#lines.join('\n');
    this.#lines = [];
    this.length = 0;
    return text === '' ? '' : `${text}\n`;
  }

  #put(line: string): void {
    this.#lines.push(line);
    this.length += line.length + 1;
  }
}

/** `a="b",c="d"` with the three escapes of the format. */
export function printLabels(pairs: readonly LabelPair[]): string {
  return pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',');
}

function escapeLabel(value: string | number): string {
  if (typeof value === 'number') return String(value);
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

const texts = new Map<number, readonly string[]>();

/** Canonical numbers of OpenMetrics: `1.0`, never `1`. */
function boundTexts(usPerUnit: number): readonly string[] {
  let bounds = texts.get(usPerUnit);
  if (bounds === undefined) {
    const values = latencyBoundsUs.map((us) => String(us / usPerUnit));
    bounds = [...values.map((text) => (text.includes('.') ? text : `${text}.0`)), '+Inf'];
    texts.set(usPerUnit, bounds);
  }
  return bounds;
}
