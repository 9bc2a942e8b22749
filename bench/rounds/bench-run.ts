/**
 * What a scenario may use while it measures: running arms, loads, the collector, what /proc says.
 *
 * Types only; running.ts implements it.
 */

import type { LoadOrder } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Cell, RowPlace } from '../scenarios/scenario.ts';
import type { CollectorControl } from '../stage/collector-control.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';
import type { Watch, Watched } from './conditions.ts';

export interface Closeable {
  close(): Promise<void>;
}

export interface Bench {
  readonly stage: Stage;
  /** Started and warmed at first use, then up to the scenario's end; 'direct' works too. */
  running(arm: string): Promise<RunningArm>;
  /** One more copy, not warmed; resolves after its first right answer (firstAnswerMs). */
  startFresh(arm: string): Promise<RunningArm>;
  stop(running: RunningArm): Promise<void>;
  /**
   * What a scenario needs besides arms: made at first use, closed at the scenario's end, also where the
   * run is stopped. What could not be made says so at every use, without being tried again.
   */
  keep<Thing extends Closeable>(name: string, make: () => Promise<Thing>): Promise<Thing>;
  /** A load, and what it cost: conditions before and after, CPU, memory after it, faults. */
  load(running: RunningArm, cell: Cell, place: RowPlace, order: LoadOrder): Promise<Row>;
  /** The same watching for what is not a load: `const { values, faults } = watch.end()`; see Watch. */
  watch(running: Watched | undefined, withEnded?: boolean): Watch;
  readonly collector: CollectorControl;
  /** One line for whoever watches the run. */
  progress(text: string): void;
}
