/**
 * What a scenario is: which cells a round has, how one cell is measured, what is said about the result.
 *
 * Types only. The runner (rounds/rounds.ts) owns order, rounds, saving and resuming; a scenario owns
 * no process but what it starts through Bench.
 */

import type { Arm, MissingArm } from '../arms/arm.ts';
import type { Section } from '../draw/section.ts';
import type { Row } from '../result/row.ts';
import type { Summary } from '../result/summary.ts';
import type { Bench } from '../rounds/bench-run.ts';

/** quick: about a minute. full: 5 rounds on reduced ladders. publish: the whole protocol. */
export type Scale = 'quick' | 'full' | 'publish';

/** An arm at one point of a ladder: '' or e.g. 'connections=16', 'rate=1000', 'body=16384'. */
export interface Cell {
  readonly arm: string;
  readonly point: string;
  /** Measured in so many first rounds only; without it, in all. */
  readonly rounds?: number;
}

/** Where a row stands: its round and its place in the round's order, from 0; seconds of load. */
export interface RowPlace {
  readonly round: number;
  readonly place: number;
  readonly seconds: number;
}

export interface Scenario {
  /** 'B1' and so on; hop is 'B0'. */
  readonly id: string;
  /** The file name of its result: 'connections'. */
  readonly name: string;
  /** One line. */
  readonly title: string;
  /** Every arm that a cell names, in the order of tables; direct ones excluded. */
  readonly arms: readonly Arm[];
  /** What this machine lacks for any of its arms, direct ones too; undefined when nothing. */
  lacks?(): MissingArm | undefined;
  /** The scenario starts its arms itself; otherwise all are started and warmed before round 1. */
  readonly startsItsArms?: boolean;
  /**
   * What one round measures. Cells of arms that are missing are left out by the runner. Within a point
   * the arms run in the order of a Latin square; points run in the order in which they first appear.
   */
  cells(scale: Scale): readonly Cell[];
  pace(scale: Scale): { readonly rounds: number; readonly seconds: number };
  /** Seconds that one round takes, where it is not about `seconds` a cell. */
  roundSeconds?(scale: Scale): number;
  /** One cell of one round. What it throws becomes a row with that fault. */
  measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row>;
  report(summary: Summary): Section;
}
