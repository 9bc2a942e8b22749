/**
 * What a target says of itself: a limit, and where the figure comes from that is held against it.
 */

import type { Figure, Summary } from './summary.ts';

export interface Target {
  /** A word that stays when the limit or the words change; reasons.ts speaks of it by this. */
  readonly id: string;
  readonly what: string;
  readonly limit: number;
  readonly unit: string;
  /** Digits of the measured value. */
  readonly digits: number;
  /** The name of the scenario whose result it reads. */
  readonly scenario: string;
  /** The measured value must not be below the limit; else it must not be above. */
  readonly isLeast?: true;
  /** Why a figure within the limit proves nothing in this run; undefined when it does. */
  doubt?(summary: Summary): string | undefined;
  /** What we would like beyond the limit. */
  readonly stretch?: number;
  measure(summary: Summary): Figure;
  /**
   * `measure` is a difference in us, ours less the limit times the rival's, judged against 0; this is the
   * multiple that is printed beside it, undefined where the rival's part is within the noise.
   */
  times?(summary: Summary): number | undefined;
  /** Beside `times`: the second, identical Tracecar less the first, us: the difference must exceed it. */
  identical?(summary: Summary): Figure;
  /** In place of the limit: the ratio must not be above what two identical arms show. */
  band?(summary: Summary): Figure;
  /** One sum over the whole run, not a figure of rounds. */
  readonly isTotal?: true;
  /** Nothing was asked: it stands beside the targets for comparison, without limit and verdict. */
  readonly isInformation?: true;
}
