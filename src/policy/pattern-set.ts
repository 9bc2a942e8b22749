/**
 * Pattern sets: many patterns made ready, so that a text is looked up and not compared with each.
 *
 * Prefixes are looked up by their lengths, of which there are few: the text's first 5 letters, its
 * first 12, and so on. The same holds for suffixes and, in bits, for ranges of addresses.
 */

import { isWithin, type AddressRange as Range } from '../base/ip-address.ts';
import type { AddressRange, PathPattern, TextPattern, ValueMatch } from '../model/security.ts';

/** A few texts are compared sooner than cut and looked up. */
const FEW = 4;

export class TextPatterns {
  readonly #exact: ReadonlySet<string>;
  readonly #prefixes: Affixes;
  readonly #suffixes: Affixes;
  readonly #isPresent: boolean;
  readonly #templates: readonly PathTemplate[];

  constructor(patterns: readonly PathPattern[]) {
    const valuesOf = (kind: 'exact' | 'prefix' | 'suffix') =>
      patterns.flatMap((each) => (each.kind === kind ? [each.value] : []));
    this.#exact = new Set(valuesOf('exact'));
    this.#prefixes = affixesOf(valuesOf('prefix'));
    this.#suffixes = affixesOf(valuesOf('suffix'));
    this.#isPresent = patterns.some(({ kind }) => kind === 'present');
    this.#templates = patterns
      .filter((each) => each.kind === 'template')
      .map(({ segments }) => new PathTemplate(segments));
  }

  /** Whether one of them fits the whole text; none fits an empty one. */
  fits(text: string): boolean {
    if (text === '') return false;
    if (this.#isPresent || this.#exact.has(text)) return true;
    const { list, lengths, all } = this.#prefixes;
    if (lengths === undefined) {
      for (let index = 0; index < list.length; index++) {
        if (text.startsWith(list[index]!)) return true;
      }
    } else {
      for (let index = 0; index < lengths.length; index++) {
        if (all.has(text.slice(0, lengths[index]))) return true;
      }
    }
    return this.#fitsSuffix(text) || this.#fitsTemplate(text);
  }

  #fitsSuffix(text: string): boolean {
    const { list, lengths, all } = this.#suffixes;
    if (lengths === undefined) {
      for (let index = 0; index < list.length; index++) {
        if (text.endsWith(list[index]!)) return true;
      }
      return false;
    }
    for (let index = 0; index < lengths.length; index++) {
      if (all.has(text.slice(-lengths[index]!))) return true;
    }
    return false;
  }

  #fitsTemplate(text: string): boolean {
    for (let index = 0; index < this.#templates.length; index++) {
      if (this.#templates[index]!.fits(text)) return true;
    }
    return false;
  }
}

interface Affixes {
  readonly list: readonly string[];
  readonly all: ReadonlySet<string>;
  /** Of the different ones; undefined: there are few, and `list` is gone through. */
  readonly lengths: readonly number[] | undefined;
}

function affixesOf(list: readonly string[]): Affixes {
  const lengths = [...new Set(list.map(({ length }) => length))];
  const all = new Set(list);
  return { list, all, lengths: list.length <= FEW ? undefined : lengths };
}

/** `/orders/{*}/items/{**}`, gone through once from left to right. */
export class PathTemplate {
  /** Before `{**}`, or all. */
  readonly #segments: readonly string[];
  /** Behind `{**}`, `/` first; undefined: there is no `{**}`. */
  readonly #end: string | undefined;

  constructor(segments: readonly string[]) {
    const rest = segments.indexOf('{**}');
    this.#segments = rest < 0 ? segments : segments.slice(0, rest);
    const end = segments.slice(rest + 1).map((each) => `/${each}`);
    this.#end = rest < 0 ? undefined : end.join('');
  }

  /** Whether it fits the whole path; `{*}` is never empty. */
  fits(path: string): boolean {
    const segments = this.#segments;
    let at = 0;
    for (let index = 0; index < segments.length; index++) {
      if (path[at] !== '/') return false;
      const next = path.indexOf('/', at + 1);
      const end = next < 0 ? path.length : next;
      const segment = segments[index]!;
      if (segment === '{*}') {
        if (end === at + 1) return false;
      } else if (end - at - 1 !== segment.length || !path.startsWith(segment, at + 1)) return false;
      at = end;
    }
    if (this.#end === undefined) return at === path.length;
    return path[at] === '/' && path.length - this.#end.length > at && path.endsWith(this.#end);
  }
}

/** The four bytes of an IPv4 address as a whole number below 2^32. */
export function ipv4Number(bytes: ArrayLike<number>): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
}

/** Values by ranges of IPv4 addresses; of one address there may be as many as there are prefix lengths. */
export class Ipv4Index<T> {
  readonly #masks: number[] = [];
  readonly #byMask: Map<number, T>[] = [];

  /** Of different prefix lengths. */
  get size(): number {
    return this.#masks.length;
  }

  /** `range` has four bytes. */
  set({ bytes, prefix }: AddressRange, value: T): void {
    const mask = prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
    let place = this.#masks.indexOf(mask);
    if (place < 0) {
      place = this.#masks.push(mask) - 1;
      this.#byMask.push(new Map());
    }
    this.#byMask[place]!.set(ipv4Number(bytes), value);
  }

  /** The value of the range that holds the address `number`, among those of one prefix length. */
  get(place: number, number: number): T | undefined {
    return this.#byMask[place]!.get((number & this.#masks[place]!) >>> 0);
  }
}

export class AddressRanges {
  /** Those of IPv4, where there are many. */
  readonly #many: Ipv4Index<true> | undefined;
  readonly #ranges: readonly Range[];

  constructor(ranges: readonly AddressRange[]) {
    const ofFour = ranges.filter(({ bytes }) => bytes.length === 4);
    const isMany = ofFour.length > FEW;
    if (isMany) {
      this.#many = new Ipv4Index();
      for (const range of ofFour) this.#many.set(range, true);
    }
    this.#ranges = (isMany ? ranges.filter(({ bytes }) => bytes.length !== 4) : ranges).map(
      ({ bytes, prefix }) => ({ bytes: Uint8Array.from(bytes), prefix }),
    );
  }

  /** Whether one of them holds the address; none holds an unknown one, which has no bytes. */
  fits(address: Uint8Array): boolean {
    if (this.#many !== undefined && address.length === 4) {
      const number = ipv4Number(address);
      for (let place = 0; place < this.#many.size; place++) {
        if (this.#many.get(place, number) === true) return true;
      }
    }
    for (let index = 0; index < this.#ranges.length; index++) {
      if (isWithin(address, this.#ranges[index]!)) return true;
    }
    return false;
  }
}

/** What must fit and what must not; undefined: nothing is asked. */
export interface CompiledMatch<Set> {
  readonly values: Set | undefined;
  readonly notValues: Set | undefined;
}

type Fitting<T> = { fits(value: T): boolean };

/** undefined: nothing is asked. */
export function compileMatch<T, Set extends Fitting<never>>(
  { values, notValues }: ValueMatch<T>,
  make: (list: readonly T[]) => Set,
): CompiledMatch<Set> | undefined {
  if (values.length + notValues.length === 0) return undefined;
  return {
    values: values.length === 0 ? undefined : make(values),
    notValues: notValues.length === 0 ? undefined : make(notValues),
  };
}

export function holds<T>(match: CompiledMatch<Fitting<T>> | undefined, value: T): boolean {
  if (match === undefined) return true;
  if (match.values !== undefined && !match.values.fits(value)) return false;
  return match.notValues === undefined || !match.notValues.fits(value);
}

export function textPatterns(list: readonly PathPattern[]): TextPatterns {
  return new TextPatterns(list);
}

export function addressRanges(list: readonly AddressRange[]): AddressRanges {
  return new AddressRanges(list);
}

/** Numbers that are equal or not. */
export class Ports {
  readonly #ports: ReadonlySet<number>;

  constructor(ports: readonly number[]) {
    this.#ports = new Set(ports);
  }

  fits(port: number): boolean {
    return this.#ports.has(port);
  }
}

export function ports(list: readonly number[]): Ports {
  return new Ports(list);
}

/** The texts of those that are exact; undefined where others are among them, or none. */
export function exactTexts(
  patterns: readonly (TextPattern | PathPattern)[],
): readonly string[] | undefined {
  if (patterns.length === 0) return undefined;
  const texts: string[] = [];
  for (const each of patterns) {
    if (each.kind !== 'exact') return undefined;
    texts.push(each.value);
  }
  return texts;
}
