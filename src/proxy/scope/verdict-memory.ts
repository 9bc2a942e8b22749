/**
 * What the last connections to a destination turned out to speak, so that the next one waits or dials
 * less than detection alone would make it. It only saves time: a verdict is never taken from here.
 *
 *   `sameMin` times the same in a row: expected; once another one: nothing is expected again
 *
 * Bounded: the destination that was added first is forgotten first.
 */

import { Detected } from '../../telemetry/record/detection.ts';

/** How many in a row make an expectation: two may be chance, a fourth would cost another silence. */
const sameMin = 3;

/** Of one destination; a connection holds it from its beginning to its verdict. */
export interface VerdictEntry {
  /** `Detected`. */
  last: number;
  inRow: number;
}

export class VerdictMemory {
  readonly #entriesMax: number;
  readonly #entries = new Map<string, VerdictEntry>();

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  entryOf(address: string, port: number): VerdictEntry {
    const key = `${address} ${port}`;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= this.#entriesMax) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    const entry = { last: Detected.Unknown, inRow: 0 };
    this.#entries.set(key, entry);
    return entry;
  }
}

/** The verdict that the last connections had in common; `Detected.Unknown`: none. */
export function expectedOf({ last, inRow }: VerdictEntry): number {
  return inRow >= sameMin ? last : Detected.Unknown;
}

/** Adds the verdict of one more connection. Silence says nothing about who would have spoken. */
export function noteVerdict(entry: VerdictEntry, detected: number): void {
  if (detected === Detected.Silent) return;
  entry.inRow = entry.last === detected ? Math.min(entry.inRow + 1, sameMin) : 1;
  entry.last = detected;
}
