/**
 * From rows to figures: bad rows dropped and counted, medians over rounds, ratios within a round.
 *
 * A ratio or a difference is taken between two arms of the same round and only then over rounds, so
 * that what made a round slow cancels out. Where more than 30 % of the rounds had to be dropped, a
 * figure is unproven and has no number. Pure: a result in, figures out.
 */

import { Histogram } from '../load/histogram.ts';
import { percentile, type Reader, read } from './read.ts';
import type { Result, Row } from './row.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { judgeRatio, type Verdict } from './verdict.ts';

// What a figure is read with belongs to every use of a summary.
export { type Reader, read } from './read.ts';

export type Figure =
  | {
      readonly state: 'measured';
      readonly spread: Spread;
      readonly dropped: number;
      /** All rounds, the dropped ones too. */
      readonly rounds: number;
      /** The run tolerated noise: no verdict rests on it. */
      readonly isSmokeTest?: true;
    }
  | { readonly state: 'unproven'; readonly dropped: number; readonly rounds: number }
  /** The arm is missing or was not measured there, or has no such value. */
  | { readonly state: 'absent' };

/** A figure of which more rounds, as a share, had to be dropped is unproven. */
export const droppedMax = 0.3;

/** How faults begin that are of the load and its core alone (rounds/measure.ts, rounds/conditions.ts). */
const loadFaults: readonly string[] = [
  'generator late',
  'load core busy',
  "time stolen from the load's core",
  "others on the load's core",
];

/** One value for each round, undefined where a row was dropped; empty when there is none at all. */
type RoundValues = readonly (number | undefined)[];

export class Summary {
  readonly result: Result;
  readonly #rows = new Map<string, Row>();
  /** Arms whose rows were read since `reading` began. */
  readonly #armsRead = new Set<string>();

  constructor(result: Result) {
    this.result = result;
    for (const row of result.rows) this.#rows.set(keyOf(row.arm, row.point, row.round), row);
  }

  /** The points of the arm's cells, in the order of the run. */
  points(arm: string): readonly string[] {
    return this.result.cells.filter((cell) => cell.arm === arm).map((cell) => cell.point);
  }

  /** The arm's name in tables. */
  label(arm: string): string {
    return this.result.arms.find((each) => each.name === arm)?.label ?? arm;
  }

  /** What `measure` finds, and the arms whose rows it looked at to find it. */
  reading(measure: (summary: Summary) => Figure): {
    readonly figure: Figure;
    readonly arms: ReadonlySet<string>;
  } {
    this.#armsRead.clear();
    const figure = measure(this);
    return { figure, arms: new Set(this.#armsRead) };
  }

  /**
   * Arms that answered wrongly or failed, and in how many rows. Such a row is dropped like noise and is
   * none: the arm is at fault, in whatever few rounds.
   */
  wrongArms(): ReadonlyMap<string, number> {
    const wrong = new Map<string, number>();
    for (const row of this.result.rows.filter(isWrong)) {
      wrong.set(row.arm, (wrong.get(row.arm) ?? 0) + 1);
    }
    return wrong;
  }

  /** The median over rounds of what `read` finds in the arm's rows. */
  figure(arm: string, point: string, read: Reader): Figure {
    return this.#summarize(this.#values(arm, point, read));
  }

  /** The same of what is counted and not timed: in place of the interval the range of the rounds. */
  count(arm: string, point: string, read: Reader): Figure {
    return rangeOf(this.figure(arm, point, read));
  }

  /** `arm`'s value divided by `rival`'s, round by round. */
  ratio(arm: string, rival: string, point: string, read: Reader): Figure {
    return this.#pairs(this.#values(arm, point, read), this.#values(rival, point, read), divide);
  }

  /** The arm's value at `point` divided by its own at another point of the same round. */
  pointRatio(arm: string, point: string, other: string, read: Reader): Figure {
    return this.#pairs(this.#values(arm, point, read), this.#values(arm, other, read), divide);
  }

  /** The arm's value at `point` less its own at another point of the same round. */
  pointDifference(arm: string, point: string, other: string, read: Reader): Figure {
    return this.#pairs(this.#values(arm, point, read), this.#values(arm, other, read), subtract);
  }

  /** `arm`'s value less `rival`'s, round by round. */
  difference(arm: string, rival: string, point: string, read: Reader): Figure {
    return this.#pairs(this.#values(arm, point, read), this.#values(rival, point, read), subtract);
  }

  /** What `arm` adds to a latency percentile (us): over the mean of the round's direct arms. */
  added(arm: string, point: string, share: number): Figure {
    return this.#summarize(this.#added(arm, point, share));
  }

  /**
   * What `arm` adds less `limit` times what `rival` adds (us), round by round: below 0, the arm is within
   * that limit. Unlike a ratio it means the same where the rival adds next to nothing, or less.
   */
  addedOver(arm: string, rival: string, point: string, share: number, limit = 1): Figure {
    return this.#pairs(
      this.#added(arm, point, share),
      this.#added(rival, point, share),
      (left, right) => left - limit * right,
    );
  }

  /**
   * The median of what `arm` adds divided by that of `rival`; undefined where the rival adds no more than
   * the two direct arms differ by, or where that is not known: a multiple of noise says nothing.
   */
  addedTimes(arm: string, rival: string, point: string, share: number): number | undefined {
    const above = this.added(arm, point, share);
    const below = this.added(rival, point, share);
    const noise = this.directNoise(point, share);
    if (above.state !== 'measured' || below.state !== 'measured') return undefined;
    if (noise.state !== 'measured') return undefined;
    const { median } = below.spread;
    const isMore = median > 0 && median > noise.spread.median;
    return isMore ? above.spread.median / median : undefined;
  }

  /** The noise floor: what an identical second Tracecar has against the first, as a ratio. */
  band(point: string, read: Reader): Figure {
    return this.ratio('tracecar-aa', 'tracecar', point, read);
  }

  /** How far apart the two direct arms are (us): less than that means nothing. */
  directNoise(point: string, share: number): Figure {
    const read = percentile(share);
    return this.#pairs(
      this.#values('direct', point, read),
      this.#values('direct-again', point, read),
      (left, right) => Math.abs(left - right),
    );
  }

  /** Whether `arm` is lower or higher than `rival`, beside the noise of the same point: see judgeRatio. */
  verdict(arm: string, rival: string, point: string, read: Reader): Verdict {
    return judgeRatio(this.ratio(arm, rival, point, read), this.band(point, read));
  }

  /** A percentile (us) over all kept rounds of the arm at the point; NaN when none was kept. */
  merged(arm: string, point: string, share: number): number {
    const merged = new Histogram();
    for (const row of this.result.rows) {
      if (row.arm !== arm || row.point !== point || !this.#counts(row, read.p50Us)) continue;
      merged.add(row.histograms?.latency ?? []);
    }
    return merged.percentile(share) / 1000;
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

  #values(arm: string, point: string, read: Reader): RoundValues {
    this.#armsRead.add(arm);
    const values: (number | undefined)[] = [];
    let hasValue = false;
    for (let round = 0; round < this.result.rounds; round++) {
      const row = this.#rows.get(keyOf(arm, point, round));
      if (row === undefined) continue;
      const value = read(row);
      hasValue ||= value !== undefined;
      values[round] = this.#counts(row, read) ? value : undefined;
    }
    // All rows of a failed arm are without values too, and that is unproven rather than absent.
    const hasFaults = values.some((_, round) => !this.#countsAt(arm, point, round, read));
    return hasValue || hasFaults ? Array.from(values) : [];
  }

  #countsAt(arm: string, point: string, round: number, read: Reader): boolean {
    const row = this.#rows.get(keyOf(arm, point, round));
    return row !== undefined && this.#counts(row, read);
  }

  #added(arm: string, point: string, share: number): RoundValues {
    if (arm.startsWith('direct')) return [];
    const read = percentile(share);
    const first = this.#values('direct', point, read);
    const again = this.#values('direct-again', point, read);
    if (first.length === 0 && again.length === 0) return [];
    return this.#values(arm, point, read).map((value, round) => {
      const direct = [first[round], again[round]].filter((each) => each !== undefined);
      if (value === undefined || direct.length === 0) return undefined;
      return value - direct.reduce((sum, each) => sum + each, 0) / direct.length;
    });
  }

  #pairs(
    left: RoundValues,
    right: RoundValues,
    join: (left: number, right: number) => number,
  ): Figure {
    if (left.length === 0 || right.length === 0) return { state: 'absent' };
    return this.#summarize(
      left.map((value, round) => {
        const other = right[round];
        return value === undefined || other === undefined ? undefined : join(value, other);
      }),
    );
  }

  #summarize(values: RoundValues): Figure {
    if (values.length === 0) return { state: 'absent' };
    const kept = values.filter((value) => value !== undefined);
    const rounds = values.length;
    const dropped = rounds - kept.length;
    if (dropped > droppedMax * rounds) return { state: 'unproven', dropped, rounds };
    const about = this.result.tolerateNoise ? ({ isSmokeTest: true } as const) : {};
    return { state: 'measured', spread: spreadOf(kept), dropped, rounds, ...about };
  }

  /** Wrong answers and failures are never tolerated; noise is, when the run was asked to. */
  #counts(row: Row, read: Reader): boolean {
    const faults = read.readsLatency ? row.faults : row.faults.filter(isOfProxy);
    if (faults.length === 0) return true;
    const isNoise = (row.values.errors ?? 0) === 0 && Object.keys(row.values).length > 0;
    return this.result.tolerateNoise && isNoise;
  }
}

/** Of a count, or a difference of counts: the range of the rounds in place of the interval. */
export function rangeOf(figure: Figure): Figure {
  if (figure.state !== 'measured') return figure;
  const { least: low, most: high } = figure.spread;
  return { ...figure, spread: { ...figure.spread, low, high } };
}

/** Its answers were wrong, or it broke: not what others did to it. */
export function isWrong({ faults, values }: Row): boolean {
  const isOfArm = (fault: string) => /^(wrong answers|failed)\b/.test(fault);
  return (values.errors ?? 0) > 0 || faults.some(isOfArm);
}

/** What spoils the load leaves the proxy's CPU for a request, memory and counters as they are. */
function isOfProxy(fault: string): boolean {
  return !loadFaults.some((kind) => fault.startsWith(kind));
}

function keyOf(arm: string, point: string, round: number): string {
  return `${arm} ${point} ${round}`;
}

function divide(above: number, below: number): number {
  return above / below;
}

function subtract(left: number, right: number): number {
  return left - right;
}
