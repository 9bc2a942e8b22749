/**
 * The reports of sidecars as they are written down: at most once a second, together.
 *
 * Several authorities may write the same list (replicas): each adds what it heard to what is there. A
 * store that cannot be written is said once and tried again; signing does not wait for it.
 */

import type { WallTime } from '../base/clock.ts';
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
  readonly wallTime: WallTime;
  readonly wakeUps: WakeUps;
  readonly onTrouble: (message: string) => void;
}

const { leafLifeMs, reportsWriteMs, sidecarsMax } = authorityLimits;

export class ReportsKeeper {
  readonly #options: ReportsKeeperOptions;
  readonly #reports = new SidecarReports(sidecarsMax);
  #isDirty = false;
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

  add(report: SidecarReport): void {
    this.#reports.add(report);
    this.#isDirty = true;
    this.#callOff ??= this.#options.wakeUps.after(reportsWriteMs, () => {
      this.#callOff = undefined;
      void this.flush();
    });
  }

  /** Writes what has not been written; never rejects. */
  async flush(): Promise<void> {
    while (this.#isDirty || this.#writing !== undefined) {
      if (this.#writing === undefined) {
        this.#isDirty = false;
        this.#writing = this.#write();
      }
      await this.#writing;
      this.#writing = undefined;
      if (this.#trouble !== '') return;
    }
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
      this.#isDirty = true;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
