/**
 * Character set: what one position of a regular expression may be, as 256 yes-or-no answers.
 *
 * Texts that rules compare are Latin-1 (one code unit a byte), so a set is complete; code 255 stands
 * for everything beyond too. Printing gives the shortest plain JavaScript class.
 */

const SIZE = 256;

export class CharacterSet {
  readonly #has: Uint8Array;

  private constructor(has: Uint8Array) {
    this.#has = has;
  }

  static empty(): CharacterSet {
    return new CharacterSet(new Uint8Array(SIZE));
  }

  /** From pairs of first and last character: `'azAZ'` is both alphabets. */
  static ofRanges(pairs: string): CharacterSet {
    const set = CharacterSet.empty();
    for (let index = 0; index < pairs.length; index += 2) {
      set.addRange(pairs.charCodeAt(index), pairs.charCodeAt(index + 1));
    }
    return set;
  }

  addRange(first: number, last: number): void {
    for (let code = first; code <= last; code++) this.#has[code] = 1;
  }

  addAll(other: CharacterSet): void {
    for (let code = 0; code < SIZE; code++) if (other.#has[code] === 1) this.#has[code] = 1;
  }

  negated(): CharacterSet {
    return new CharacterSet(this.#has.map((has) => 1 - has));
  }

  /** With the other case of every ASCII letter in it. */
  foldedCase(): CharacterSet {
    const folded = new CharacterSet(this.#has.slice());
    for (let upper = 0x41; upper <= 0x5a; upper++) {
      const lower = upper + 0x20;
      if (this.#has[upper] === 1 || this.#has[lower] === 1) folded.#has[upper] = 1;
      folded.#has[lower] = folded.#has[upper]!;
    }
    return folded;
  }

  /** As JavaScript: a literal for one character, else a class. */
  print(): string {
    const isOpen = this.#has[SIZE - 1] === 1;
    const shown = isOpen ? this.negated() : this;
    const ranges = shown.#ranges();
    if (!isOpen && ranges.length === 1 && ranges[0]![0] === ranges[0]![1]) {
      return printCode(ranges[0]![0]);
    }
    const body = ranges.map(([first, last]) => {
      if (first === last) return printCode(first);
      return `${printCode(first)}${last === first + 1 ? '' : '-'}${printCode(last)}`;
    });
    return `[${isOpen ? '^' : ''}${body.join('')}]`;
  }

  #ranges(): [number, number][] {
    const ranges: [number, number][] = [];
    for (let code = 0; code < SIZE; code++) {
      if (this.#has[code] === 0) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === code - 1) last[1] = code;
      else ranges.push([code, code]);
    }
    return ranges;
  }
}

/** A code unit so that it stands for itself inside and outside of a class. */
function printCode(code: number): string {
  const character = String.fromCharCode(code);
  if (/^[A-Za-z0-9 _"'#%&,:;<=>@`~!]$/.test(character)) return character;
  if (code > 0x20 && code < 0x7f) return `\\${character}`;
  return `\\x${code.toString(16).padStart(2, '0')}`;
}

/** The named sets of RE2, which are ASCII only: `d`, `w`, `s` and the POSIX classes. */
export const namedSets: ReadonlyMap<string, CharacterSet> = new Map(
  Object.entries({
    d: '09',
    w: '09AZaz__',
    s: '\t\n\f\r  ',
    alnum: '09AZaz',
    alpha: 'AZaz',
    ascii: '\x00\x7f',
    blank: '\t\t  ',
    cntrl: '\x00\x1f\x7f\x7f',
    digit: '09',
    graph: '!~',
    lower: 'az',
    print: ' ~',
    punct: '!/:@[`{~',
    space: '\t\r  ',
    upper: 'AZ',
    word: '09AZaz__',
    xdigit: '09AFaf',
  }).map(([name, pairs]) => [name, CharacterSet.ofRanges(pairs)]),
);
