/**
 * Cursor: one value of a YAML document together with its path; what schemas read from.
 *
 * Aliases are followed here, within a budget for the whole document: neither their number nor what
 * lies behind them can grow beyond it, so an alias bomb costs no more than its own size.
 */

import { type Alias, isAlias, isMap, isScalar, isSeq, type Node } from 'yaml';
import type { ResourceName } from '../../model/diagnostic.ts';
import { configLimits } from '../../model/limits.ts';
import type { Complaints, Place, SourceFile } from './complaints.ts';
import type { ComplaintKind } from './diagnostic-codes.ts';
import { complainOfAliases, keyText, type YamlDocument } from './yaml-file.ts';

/** Values that may be read through aliases in one document. */
const ALIASED_VALUES_MAX = 10_000;

/** What the cursors of one document share. */
export class DocumentReading {
  readonly source: SourceFile;
  readonly complaints: Complaints;
  resource: ResourceName;
  readonly #targets: ReadonlyMap<Alias, Node>;
  #aliasesFollowed = 0;
  #aliasedValues = 0;

  constructor(document: YamlDocument, resource: ResourceName, complaints: Complaints) {
    this.source = document.source;
    this.complaints = complaints;
    this.resource = resource;
    this.#targets = document.aliasTargets;
  }

  /** The node behind an alias; null once the budget is spent, which is complained of. */
  follow(alias: Alias, place: Place): Node | null {
    this.#aliasesFollowed += 1;
    if (this.#aliasesFollowed > configLimits.aliasesMax) {
      complainOfAliases(this.complaints, place);
      return null;
    }
    return this.#targets.get(alias) ?? null;
  }

  /** Counts a value that is read through an alias; false when there were too many. */
  spendAliased(place: Place): boolean {
    this.#aliasedValues += 1;
    if (this.#aliasedValues <= ALIASED_VALUES_MAX) return true;
    complainOfAliases(this.complaints, place);
    return false;
  }
}

/** One entry of a mapping. */
export interface CursorEntry {
  readonly key: string;
  /** Where the key stands: for complaints about the key itself. */
  readonly keyAt: Place;
  readonly value: Cursor;
}

export class Cursor {
  readonly reading: DocumentReading;
  readonly path: string;
  readonly offset: number;
  readonly node: Node | null;
  readonly #isAliased: boolean;

  constructor(
    reading: DocumentReading,
    raw: unknown,
    path: string,
    parentOffset: number,
    isAliased = false,
  ) {
    this.reading = reading;
    this.path = path;
    const node = isNode(raw) ? raw : null;
    this.offset = isAliased ? parentOffset : (node?.range?.[0] ?? parentOffset);
    let target = node;
    let aliased = isAliased;
    // An anchor on an alias is not YAML, so one step suffices; the loop is for hostile cycles.
    while (isAlias(target)) {
      aliased = true;
      target = reading.follow(target, this.at);
    }
    if (aliased && !reading.spendAliased(this.at)) target = null;
    this.node = target;
    this.#isAliased = aliased;
  }

  get at(): Place {
    const { source, resource } = this.reading;
    return { source, resource, path: this.path, offset: this.offset };
  }

  /** Nothing, `null` and `~`: the same as an absent field, as in Kubernetes. */
  get isNull(): boolean {
    return this.node === null || (isScalar(this.node) && this.node.value === null);
  }

  complain(kind: ComplaintKind, message: string, fix: string): undefined {
    this.reading.complaints.add(kind, this.at, message, fix);
    return undefined;
  }

  /** The entries of a mapping; undefined when it is none. */
  entries(): readonly CursorEntry[] | undefined {
    if (!isMap(this.node)) return undefined;
    return this.node.items.map((pair) => {
      const key = keyText(pair.key) ?? '';
      const path = joinPath(this.path, key);
      const keyOffset = isScalar(pair.key) ? (pair.key.range?.[0] ?? this.offset) : this.offset;
      const offset = this.#isAliased ? this.offset : keyOffset;
      const { source, resource } = this.reading;
      return {
        key,
        keyAt: { source, resource, path, offset },
        value: new Cursor(this.reading, pair.value, path, offset, this.#isAliased),
      };
    });
  }

  /** The items of a list; undefined when it is none. */
  items(): readonly Cursor[] | undefined {
    if (!isSeq(this.node)) return undefined;
    return this.node.items.map(
      (item, index) =>
        new Cursor(this.reading, item, `${this.path}[${index}]`, this.offset, this.#isAliased),
    );
  }

  /** The value of a scalar: text, number, boolean or null; undefined for lists and mappings. */
  scalar(): unknown {
    return isScalar(this.node) ? this.node.value : undefined;
  }

  /** A scalar as it was written, without quotes: `0o14`, `1_000`, `60`. */
  written(): string {
    if (!isScalar(this.node)) return '';
    return this.node.source ?? String(this.node.value);
  }

  /** What stands here, in a few words: `a list`, `the number 60`. */
  describe(): string {
    if (isMap(this.node)) return 'a mapping';
    if (isSeq(this.node)) return 'a list';
    const value = this.scalar();
    if (value === null || value === undefined) return 'nothing';
    if (typeof value === 'string') return `the text ${JSON.stringify(cut(value))}`;
    return `the ${typeof value} ${cut(this.written())}`;
  }
}

/** `spec` and `http` to `spec.http`; keys that are no plain word are quoted. */
function joinPath(path: string, key: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(key)) return `${path}[${JSON.stringify(cut(key))}]`;
  return path === '' ? key : `${path}.${key}`;
}

function cut(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function isNode(value: unknown): value is Node {
  return isAlias(value) || isMap(value) || isSeq(value) || isScalar(value);
}
