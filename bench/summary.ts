/**
 * From rows to figures: bad rows dropped and counted, medians over rounds, ratios within a round.
 *
 * A ratio is taken between two arms of the same round and only then over rounds, so that what made a
 * round slow cancels out. Where more than 30 % of the rounds had to be dropped, a figure is unproven
 * and has no number. Pure: rows in, figures out.
 */

import { Histogram } from './histogram.ts';
import type { LoadRow, Result, Row, StartRow } from './result.ts';
import { type Spread, spreadOf } from './statistics.ts';

export const figureNames = [
  'cpuUs',
  'addedP50Us',
  'requestsPerSecond',
  'p99Us',
  'rssMb',
  'startMs',
] as const;
export type FigureName = (typeof figureNames)[number];

export type Figure =
  | { readonly state: 'measured'; readonly spread: Spread; readonly dropped: number }
  | { readonly state: 'unproven'; readonly dropped: number; readonly rounds: number }
  /** The arm is missing, or has no such figure (direct has no CPU time of a proxy). */
  | { readonly state: 'absent' };

const droppedMax = 0.3;

/** One value for each round, undefined where its rows were dropped; empty when there is no such row. */
type RoundValues = readonly (number | undefined)[];

export class Summary {
  readonly result: Result;
  readonly #rows = new Map<string, Row>();

  constructor(result: Result) {
    this.result = result;
    for (const row of result.rows) this.#rows.set(keyOf(row.arm, row.leg, row.round), row);
  }

  /** An arm's figure, in the unit of its name. */
  figure(arm: string, name: FigureName): Figure {
    return summarize(this.#values(arm, name));
  }

  /** `arm`'s figure divided by `rival`'s, round by round. */
  ratio(arm: string, rival: string, name: FigureName): Figure {
    const above = this.#values(arm, name);
    const below = this.#values(rival, name);
    if (above.length === 0 || below.length === 0) return { state: 'absent' };
    return summarize(above.map((value, round) => divide(value, below[round])));
  }

  /** How far apart the two direct arms are: the smallest latency that means anything here. */
  noiseP50Us(): Figure {
    const again = this.#loadValues('direct-again', 'single', p50Us);
    const values = this.#loadValues('direct', 'single', p50Us).map((value, round) =>
      value === undefined || again[round] === undefined
        ? undefined
        : Math.abs(value - again[round]),
    );
    return summarize(values);
  }

  /** A percentile (us) over all kept rounds of the arm's open-loop leg; NaN when none was kept. */
  merged(arm: string, leg: 'single' | 'many', share: number): number {
    const merged = new Histogram();
    for (const row of this.#kept(arm, leg)) {
      if (row.leg !== 'start' && row.latency !== undefined) merged.add(row.latency);
    }
    return merged.percentile(share) / 1000;
  }

  /** Share of its core that the proxy used at saturation, median: far below 1, the load was the limit. */
  saturation(arm: string): Figure {
    return summarize(
      this.#loadValues(arm, 'saturation', (row) => row.cpuUs / row.elapsedSeconds / 1e6),
    );
  }

  /** How many rows have a fault at all, and how many have each kind of fault. */
  faults(): { readonly rows: number; readonly kinds: ReadonlyMap<string, number> } {
    const kinds = new Map<string, number>();
    for (const fault of this.result.rows.flatMap((row) => row.faults)) {
      const kind = fault.split(':', 1)[0]!;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    return { rows: this.result.rows.filter((row) => row.faults.length > 0).length, kinds };
  }

  #values(arm: string, name: FigureName): RoundValues {
    switch (name) {
      case 'cpuUs':
        if (arm.startsWith('direct')) return [];
        return this.#loadValues(arm, 'saturation', (row) => row.cpuUs / row.requests);
      case 'requestsPerSecond':
        return this.#loadValues(arm, 'saturation', (row) => row.requestsPerSecond);
      case 'p99Us':
        return this.#loadValues(arm, 'many', (row) => percentileUs(row, 0.99));
      case 'addedP50Us':
        return this.#addedP50(arm);
      case 'rssMb':
        return this.#startValues(arm, (row) => row.rssKb / 1024);
      case 'startMs':
        return this.#startValues(arm, (row) => row.firstAnswerMs);
    }
  }

  /** Against the mean of the round's two direct arms. */
  #addedP50(arm: string): RoundValues {
    if (arm.startsWith('direct')) return [];
    const first = this.#loadValues('direct', 'single', p50Us);
    const again = this.#loadValues('direct-again', 'single', p50Us);
    return this.#loadValues(arm, 'single', p50Us).map((value, round) =>
      value === undefined || first[round] === undefined || again[round] === undefined
        ? undefined
        : value - (first[round] + again[round]) / 2,
    );
  }

  #loadValues(arm: string, leg: LoadRow['leg'], read: (row: LoadRow) => number): RoundValues {
    const values: (number | undefined)[] = [];
    for (let round = 0; round < this.result.options.rounds; round++) {
      const row = this.#rows.get(keyOf(arm, leg, round));
      if (row === undefined || row.leg === 'start') continue;
      values.push(this.#counts(row) ? read(row) : undefined);
    }
    return values;
  }

  #startValues(arm: string, read: (row: StartRow) => number): RoundValues {
    const values: (number | undefined)[] = [];
    for (let round = 0; round < this.result.options.startRounds; round++) {
      const row = this.#rows.get(keyOf(arm, 'start', round));
      if (row?.leg === 'start') values.push(this.#counts(row) ? read(row) : undefined);
    }
    return values;
  }

  #kept(arm: string, leg: Row['leg']): readonly Row[] {
    return this.result.rows.filter(
      (row) => row.arm === arm && row.leg === leg && this.#counts(row),
    );
  }

  /** Wrong answers are never tolerated; noise is, when the run was asked to. */
  #counts(row: Row): boolean {
    if (row.faults.length === 0) return true;
    return this.result.options.tolerateNoise && (row.leg === 'start' || row.errors === 0);
  }
}

function keyOf(arm: string, leg: Row['leg'], round: number): string {
  return `${arm} ${leg} ${round}`;
}

function summarize(values: RoundValues): Figure {
  if (values.length === 0) return { state: 'absent' };
  const kept = values.filter((value) => value !== undefined);
  const dropped = values.length - kept.length;
  if (dropped > droppedMax * values.length) {
    return { state: 'unproven', dropped, rounds: values.length };
  }
  return { state: 'measured', spread: spreadOf(kept), dropped };
}

function divide(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined ? undefined : above / below;
}

function p50Us(row: LoadRow): number {
  return percentileUs(row, 0.5);
}

function percentileUs(row: LoadRow, share: number): number {
  const histogram = new Histogram();
  histogram.add(row.latency ?? []);
  return histogram.percentile(share) / 1000;
}
