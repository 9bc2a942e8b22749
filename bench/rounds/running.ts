/**
 * Bench as scenarios see it, made of a stage and a scenario's arms: starts, warms, watches, stops.
 *
 * An arm that cannot be started says so once and again at every use, without being tried again. One
 * that ended in the middle of a run is started again at its next use; the row that saw it end has the
 * fault.
 */

import { type Arm, directNames } from '../arms/arm.ts';
import type { LoadOrder } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Cell, RowPlace } from '../scenarios/scenario.ts';
import type { CollectorControl } from '../stage/collector-control.ts';
import type { RunningArm, Stage } from '../stage/stage.ts';
import type { Bench, Closeable } from './bench-run.ts';
import { Watch, type Watched } from './conditions.ts';
import { measureLoad } from './measure.ts';

/** About 60 000 requests for the quick arms: then the just-in-time compilers are done (2.1 there). */
const warmUpSeconds = 1.5;

export class RunningBench implements Bench {
  readonly stage: Stage;
  readonly collector: CollectorControl;
  readonly progress: (text: string) => void;
  readonly #arms: readonly Arm[];
  readonly #running = new Map<string, RunningArm>();
  readonly #failed = new Map<string, Error>();
  readonly #fresh = new Set<RunningArm>();
  readonly #kept = new Map<string, Promise<Closeable>>();

  constructor(stage: Stage, arms: readonly Arm[], progress: (text: string) => void) {
    this.stage = stage;
    this.collector = stage.collector;
    this.progress = progress;
    this.#arms = arms;
  }

  async running(name: string): Promise<RunningArm> {
    if (directNames.some((each) => each === name)) return this.stage.direct(name);
    const known = this.#running.get(name);
    if (known?.child !== undefined && !known.child.hasEnded) return known;
    const failure = this.#failed.get(name);
    if (failure !== undefined) throw failure;
    this.progress(`starting and warming ${name}`);
    try {
      const started = await this.stage.startArm(this.#armOf(name));
      this.#running.set(name, started);
      await this.#warm(started);
      return started;
    } catch (error) {
      this.#failed.set(name, error as Error);
      throw error;
    }
  }

  async startFresh(name: string): Promise<RunningArm> {
    const started = await this.stage.startArm(this.#armOf(name));
    this.#fresh.add(started);
    return started;
  }

  async stop(running: RunningArm): Promise<void> {
    this.#fresh.delete(running);
    await this.stage.stopArm(running);
  }

  keep<Thing extends Closeable>(name: string, make: () => Promise<Thing>): Promise<Thing> {
    const known = this.#kept.get(name);
    if (known !== undefined) return known as Promise<Thing>;
    const making = make();
    this.#kept.set(name, making);
    return making;
  }

  load(running: RunningArm, cell: Cell, place: RowPlace, order: LoadOrder): Promise<Row> {
    return measureLoad(this.stage, running, cell, place, order);
  }

  watch(running: Watched | undefined, withEnded?: boolean): Watch {
    return new Watch(this.stage, running, withEnded);
  }

  /** The arms that run now, direct excluded. */
  all(): readonly RunningArm[] {
    return [...this.#running.values()].filter(({ child }) => child?.hasEnded === false);
  }

  /** Ends every arm; the stage stays. */
  async stopAll(): Promise<void> {
    const running = [...this.#running.values(), ...this.#fresh];
    await Promise.all(running.map((each) => this.stage.stopArm(each)));
    this.#running.clear();
    this.#fresh.clear();
    const kept = await Promise.allSettled(this.#kept.values());
    this.#kept.clear();
    for (const each of kept) if (each.status === 'fulfilled') await each.value.close();
  }

  #armOf(name: string): Arm {
    const arm = this.#arms.find((each) => each.name === name);
    if (arm === undefined) throw new Error(`the scenario has no arm "${name}"`);
    return arm;
  }

  async #warm(running: RunningArm): Promise<void> {
    const { name, port } = running;
    const order = { kind: 'closed', port, connections: 16, seconds: warmUpSeconds } as const;
    const { errors, completed } = await this.stage.generator.run(order);
    if (completed === 0 || Object.values(errors).some((count) => count > 0)) {
      throw new Error(`${name}: wrong answers while warming up: ${JSON.stringify(errors)}`);
    }
  }
}
