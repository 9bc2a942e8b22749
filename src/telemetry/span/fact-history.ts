/**
 * Facts by name as the tables of the last while had them: what a span says whose record is recalled many
 * edits later, or waited for its collector, is what was true when its request began.
 *
 *   name        table 7        8        9       10        11
 *   reviews     5 endpoints ──────── 6 ─────── 5 ──────────────▶     three versions
 *   ratings     2 ─────────────────────────────────────────────▶     one
 *
 * A version is kept once, however many tables had it, so that what an edit costs is what it changed.
 * What earlier tables alone had is bounded in bytes; beyond them the oldest table is forgotten, and its
 * spans say less, never wrong things. What the newest one has is always held.
 */

import { telemetryLimits } from '../../model/telemetry-limits.ts';

/** Memory of a version, and of a table that is remembered, beside what they say. An estimate. */
const VERSION_BYTES = 96;
const TABLE_BYTES = 64;

interface Version<Value> {
  /** Turn of the first table that had it. */
  readonly from: number;
  /** Undefined: the name was gone. */
  readonly value: Value | undefined;
}

/** How facts of one kind are compared and weighed. */
export interface FactKind<Value> {
  isSame(one: Value, other: Value): boolean;
  /** Memory that the fact takes up, in bytes, about. */
  bytesOf(value: Value): number;
}

export class FactHistory<Value> {
  readonly #kind: FactKind<Value>;
  readonly #bytesMax: number;
  /** Turns count tables as they come. By generation, oldest first. */
  readonly #turns = new Map<number, number>();
  #turn = 0;
  /** By name, oldest first; never empty. */
  readonly #versions = new Map<string, Version<Value>[]>();
  /** Names whose version before ended at a turn, oldest first. */
  readonly #ended = new Map<number, readonly string[]>();
  #bytes = 0;

  constructor(kind: FactKind<Value>, bytesMax: number = telemetryLimits.tableFactsBytesMax) {
    this.#kind = kind;
    this.#bytesMax = bytesMax;
  }

  /** Of what the newest table does not have any more, in bytes, about; at most the limit. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The newest table. One with a generation that is known already replaces it. */
  add(generation: number, facts: ReadonlyMap<string, Value>): void {
    if (this.#turns.delete(generation)) this.#bytes -= TABLE_BYTES;
    this.#turns.set(generation, ++this.#turn);
    this.#bytes += TABLE_BYTES;
    const ended: string[] = [];
    for (const [name, value] of facts) this.#put(name, value, ended);
    for (const name of this.#versions.keys()) {
      if (!facts.has(name)) this.#put(name, undefined, ended);
    }
    if (ended.length > 0) this.#ended.set(this.#turn, ended);
    this.#forget();
  }

  /** Whether a table of that generation is remembered; undefined: none at all was added. */
  knows(generation: number): boolean | undefined {
    return this.#turn === 0 ? undefined : this.#turns.has(generation);
  }

  /** Undefined when the table is not remembered or had no such name. */
  find(generation: number, name: string): Value | undefined {
    const turn = this.#turns.get(generation);
    if (turn === undefined) return undefined;
    return this.#versions.get(name)?.findLast(({ from }) => from <= turn)?.value;
  }

  #put(name: string, value: Value | undefined, ended: string[]): void {
    const versions = this.#versions.get(name);
    if (versions === undefined) {
      this.#versions.set(name, [{ from: this.#turn, value }]);
      return;
    }
    const last = versions.at(-1)!.value;
    const isSame =
      value === undefined || last === undefined ? value === last : this.#kind.isSame(last, value);
    if (isSame) return;
    versions.push({ from: this.#turn, value });
    this.#bytes += this.#bytesOf(last);
    ended.push(name);
  }

  #bytesOf(value: Value | undefined): number {
    return VERSION_BYTES + (value === undefined ? 0 : this.#kind.bytesOf(value));
  }

  #forget(): void {
    for (const [generation, turn] of this.#turns) {
      if (this.#bytes <= this.#bytesMax || turn === this.#turn) break;
      this.#turns.delete(generation);
      this.#bytes -= TABLE_BYTES;
      const [oldest = this.#turn] = this.#turns.values();
      this.#dropUntil(oldest);
    }
  }

  /** Versions that ended at `turn` or before are nobody's. */
  #dropUntil(turn: number): void {
    for (const [end, names] of this.#ended) {
      if (end > turn) return;
      this.#ended.delete(end);
      for (const name of names) {
        const versions = this.#versions.get(name)!;
        this.#bytes -= this.#bytesOf(versions.shift()!.value);
        if (versions.length === 1 && versions[0]!.value === undefined) this.#versions.delete(name);
      }
    }
  }
}
