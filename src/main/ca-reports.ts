/**
 * The reports of sidecars as they are written down: together, and before those sidecars have their leaves.
 *
 *   add ──► next batch ──► written ──► answers that waited for it are sent
 *                             └─ rest: ten times as long as that took, a second at most
 *
 * An authority that ends in between has promised nothing to anybody that its list does not know. Several
 * may write the same list (replicas): each adds what it heard to what is there. A store that cannot be
 * written is said once and tried again, and nobody waits for it for long.
 */

import type { Clock, Milliseconds, WallTime } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import {
  printReports,
  readReports,
  type SidecarReport,
  SidecarReports,
} from '../identity/sidecar-reports.ts';
import { changeStored, type StateStore } from '../identity/state-store.ts';
import { authorityLimits } from '../model/authority-limits.ts';

export interface ReportsKeeperOptions {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly wallTime: WallTime;
  readonly wakeUps: WakeUps;
  readonly onTrouble: (message: string) => void;
}

/** Of reports that are written together. */
type Batch = PromiseWithResolvers<void>;

const { leafLifeMs, reportsRestMinMs, reportsWaitMs, reportsWriteMs, sidecarsMax } =
  authorityLimits;

export class ReportsKeeper {
  readonly #options: ReportsKeeperOptions;
  readonly #reports = new SidecarReports(sidecarsMax);
  /** Undefined: all have been written, or are being written. */
  #batch: Batch | undefined;
  #writing: Promise<void> | undefined;
  #callOff: (() => void) | undefined;
  #trouble = '';

  constructor(options: ReportsKeeperOptions) {
    this.#options = options;
  }

  /** Sidecars that this process knows; those of others are known after the next writing. */
  get size(): number {
    return this.#reports.size;
  }

  /** Resolves when it has been written or could not be, or at the end of an answer's patience (`reportsWaitMs`). */
  add(report: SidecarReport): Promise<void> {
    this.#reports.add(report);
    this.#batch ??= Promise.withResolvers();
    const { promise } = this.#batch;
    // After the others of this turn; after a rest there is a wake-up already.
    if (this.#writing === undefined) this.#callOff ??= this.#wake(0);
    return new Promise((settle) => {
      const callOff = this.#options.wakeUps.after(reportsWaitMs, settle);
      void promise.then(() => {
        callOff();
        settle();
      });
    });
  }

  /** Writes what has not been written; never rejects. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#callOff?.();
    this.#callOff = undefined;
    if (this.#batch !== undefined) await this.#next();
  }

  #wake(afterMs: Milliseconds): () => void {
    return this.#options.wakeUps.after(afterMs, () => {
      this.#callOff = undefined;
      if (this.#batch !== undefined) void this.#next();
    });
  }

  async #next(): Promise<void> {
    const { clock } = this.#options;
    const batch = this.#batch!;
    this.#batch = undefined;
    const startedMs = clock.now();
    this.#writing = this.#write();
    await this.#writing;
    this.#writing = undefined;
    batch.resolve();
    // What could not be written is written with the next ones.
    if (this.#trouble !== '') this.#batch ??= Promise.withResolvers();
    const restMs = Math.max(reportsRestMinMs, 10 * (clock.now() - startedMs));
    this.#callOff = this.#wake(Math.min(restMs, reportsWriteMs));
  }

  async #write(): Promise<void> {
    const { onTrouble, store, wallTime } = this.#options;
    try {
      await changeStored(store, 'sidecars', (text) => {
        const stored = text === undefined ? undefined : readReports(text);
        const nowMs = wallTime();
        if (stored !== undefined) this.#reports.merge(stored);
        // What it held is lost: until the last of those leaves has ended nobody can say who is left.
        else if (text !== undefined) this.#reports.overfullUntilMs = nowMs + leafLifeMs;
        this.#reports.prune(nowMs);
        const { overfullUntilMs } = this.#reports;
        return printReports({ sidecars: this.#reports.live(nowMs), overfullUntilMs });
      });
      this.#trouble = '';
    } catch (error) {
      const trouble = `reports of sidecars cannot be written: ${messageOf(error)}`;
      if (trouble !== this.#trouble) onTrouble(trouble);
      this.#trouble = trouble;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
