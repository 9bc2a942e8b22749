/**
 * Regex: RE2 syntax, over the whole text, to a JavaScript RegExp that runs in linear time.
 *
 * Translated construct by construct, never passed through: what JavaScript reads differently (`\z`,
 * `\s`, `[]a]`, `.`) is rewritten, what RE2 lacks (look-around, back-references) is refused, counts are
 * written out, `(?i)` becomes classes. So every accepted pattern is one that V8's linear engine can
 * run; it is the engine for patterns with many branches and the fallback for the others.
 */

import { setFlagsFromString } from 'node:v8';
import { configLimits } from '../../model/limits.ts';
import { CharacterSet, namedSets } from './character-set.ts';
import type { ComplaintKind } from './diagnostic-codes.ts';

let hasLinearEngine = false;

/**
 * Experimental flags of V8 (test/config/regex.test.ts guards them). The first allows the flag `l`; with
 * the second the ordinary engine hands over to the linear one after 50,000 steps back. Only for who
 * has a pattern: once a flag differs V8 takes no code from a cache, neither the bundle's own nor that
 * of Node.js for its modules (docs/decisions/start.md has what that costs a start).
 */
function allowLinearEngine(): void {
  if (hasLinearEngine) return;
  hasLinearEngine = true;
  setFlagsFromString('--enable-experimental-regexp-engine');
  setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
}

export interface RegexProblem {
  readonly kind: ComplaintKind;
  readonly message: string;
  readonly fix: string;
}

/** Written-out counts may make a pattern longer; more than this is refused. */
const TRANSLATED_LENGTH_MAX = 16_384;
const REPEAT_MAX = 1_000;
const NESTING_MAX = 100;
/**
 * Quantifiers and alternatives up to which the ordinary engine is used: it takes 44 ns for a short path
 * where the linear one takes 1.4 us, but compiling 50 optional parts took it 290 ms (Node 26.10, 2026-11).
 */
const FAST_BRANCHES_MAX = 12;

/** A RegExp that tests whole texts, or what is wrong with the pattern. */
export function compileRegex(pattern: string): RegExp | RegexProblem {
  if (Buffer.byteLength(pattern) > configLimits.regexBytesMax) {
    const message = `The pattern is longer than ${configLimits.regexBytesMax} bytes`;
    return { kind: 'regex-too-long', message, fix: 'Split the rule or match by prefix.' };
  }
  try {
    const translator = new Translator(pattern);
    const source = `^(?:${translator.translate()})$`;
    allowLinearEngine();
    const linear = new RegExp(source, 'l');
    return translator.branches > FAST_BRANCHES_MAX ? linear : new RegExp(source);
  } catch (error) {
    if (error instanceof Refusal) return error.problem;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `The pattern cannot run in linear time: ${reason.slice(-80)}`;
    return { kind: 'regex-not-linear', message, fix: 'Write a simpler pattern.' };
  }
}

/** Leaves the recursion of the translator; never leaves this file. */
class Refusal extends Error {
  readonly problem: RegexProblem;

  constructor(kind: ComplaintKind, message: string, fix: string) {
    super(message);
    this.problem = { kind, message, fix };
  }
}

const anyButNewline = CharacterSet.ofRanges('\n\n').negated();
const anything = CharacterSet.ofRanges('\x00\xff');

class Translator {
  branches = 0;
  readonly #pattern: string;
  #at = 0;
  #depth = 0;
  #foldsCase = false;
  #dot = anyButNewline;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  translate(): string {
    const flags = /^\(\?([is]+)\)/.exec(this.#pattern);
    if (flags !== null) {
      this.#at = flags[0].length;
      this.#foldsCase = flags[1]!.includes('i');
      if (flags[1]!.includes('s')) this.#dot = anything;
    }
    const translated = this.#alternatives();
    if (this.#at < this.#pattern.length) this.#fail('`)` without `(`', 'Write `\\)` for itself.');
    return translated;
  }

  #alternatives(): string {
    let text = this.#sequence();
    while (this.#peek() === '|') {
      this.#at += 1;
      this.branches += 1;
      text += `|${this.#sequence()}`;
    }
    return text;
  }

  #sequence(): string {
    let text = '';
    for (
      let next = this.#peek();
      next !== '' && next !== '|' && next !== ')';
      next = this.#peek()
    ) {
      const isAssertion = '^$'.includes(next) || /^\\[bBAz]/.test(this.#rest());
      text += isAssertion ? this.#assertion() : this.#repeated(this.#atom());
      if (text.length > TRANSLATED_LENGTH_MAX) {
        const fix = 'Write smaller counts, or `*` and `+`.';
        throw new Refusal('regex-too-long', 'The counts of the pattern multiply to too much', fix);
      }
    }
    return text;
  }

  #assertion(): string {
    const character = this.#take();
    const escaped = character === '\\' ? this.#take() : '';
    if (/^(?:[*+?]|\{\d)/.test(this.#rest())) {
      this.#fail('An anchor cannot be repeated', 'Remove the `*`, `+`, `?` or count after it.');
    }
    if (escaped === 'A') return '^';
    return escaped === 'z' ? '$' : character + escaped;
  }

  #atom(): string {
    const character = this.#take();
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return this.#set(this.#class());
      case '.':
        return this.#dot.print();
      case '*':
      case '+':
      case '?':
        return this.#fail(`\`${character}\` has nothing to repeat`, `Write \`\\${character}\`.`);
      case '\\':
        return this.#escape();
      default:
        return this.#literal(character);
    }
  }

  #literal(character: string): string {
    const code = character.charCodeAt(0);
    if (code < 0x20 || code > 0x7e) {
      this.#fail('The pattern has a character that is not ASCII', 'Write it percent-encoded.');
    }
    return this.#set(CharacterSet.ofRanges(character + character));
  }

  #set(set: CharacterSet): string {
    return (this.#foldsCase ? set.foldedCase() : set).print();
  }

  #group(): string {
    const rest = this.#rest();
    const opening = /^\?(?::|P?<([A-Za-z_][A-Za-z0-9_]*)>)/.exec(rest);
    if (opening !== null) this.#at += opening[0].length;
    else if (/^\?<?[=!]/.test(rest)) {
      const fix = 'RE2 has no look-around: write two rules, or match the text itself.';
      throw new Refusal('regex-not-linear', 'Look-around is not RE2 syntax', fix);
    } else if (/^\?[a-zA-Z-]/.test(rest)) {
      this.#fail(
        'Flags stand only at the start',
        'Begin the pattern with `(?i)`; no other flag but `s`.',
      );
    } else if (rest.startsWith('?')) this.#fail('Unknown group', 'Write `(...)` or `(?:...)`.');
    this.#depth += 1;
    if (this.#depth > NESTING_MAX) this.#fail('Groups are nested too deep', 'Write fewer groups.');
    const body = this.#alternatives();
    this.#depth -= 1;
    if (this.#take() !== ')') this.#fail('`(` without `)`', 'Close the group, or write `\\(`.');
    return `(?:${body})`;
  }

  #repeated(atom: string): string {
    const bounds = this.#quantifier();
    if (bounds === undefined) return atom;
    const [min, max] = bounds;
    const lazy = this.#peek() === '?' ? this.#take() : '';
    if (/^(?:[*+?]|\{\d)/.test(this.#rest())) {
      this.#fail('Two repetitions in a row', 'Put the repeated part into `(?:...)`.');
    }
    const copies = max === Number.POSITIVE_INFINITY ? min + 1 : max;
    if (atom.length * copies > TRANSLATED_LENGTH_MAX) {
      const fix = 'Write smaller counts, or `*` and `+`.';
      throw new Refusal('regex-too-long', 'The counts of the pattern multiply to too much', fix);
    }
    const fixed = atom.repeat(min);
    if (max === Number.POSITIVE_INFINITY) {
      this.branches += 1;
      return min === 0 ? `${atom}*${lazy}` : `${atom.repeat(min - 1)}${atom}+${lazy}`;
    }
    this.branches += max - min;
    return fixed + `${atom}?${lazy}`.repeat(max - min);
  }

  #quantifier(): [number, number] | undefined {
    const next = this.#peek();
    if (next === '*' || next === '+' || next === '?') {
      this.#at += 1;
      return [next === '+' ? 1 : 0, next === '?' ? 1 : Number.POSITIVE_INFINITY];
    }
    const counts = /^\{(\d+)(,(\d*))?\}/.exec(this.#rest());
    if (counts === null) return undefined;
    this.#at += counts[0].length;
    const min = Number(counts[1]);
    const open = counts[3] === '' ? Number.POSITIVE_INFINITY : Number(counts[3]);
    const max = counts[2] === undefined ? min : open;
    if (min > REPEAT_MAX || max < min || (max > REPEAT_MAX && counts[3] !== '')) {
      this.#fail(`The count ${counts[0]} is not possible`, `Write counts up to ${REPEAT_MAX}.`);
    }
    return [min, max];
  }

  /** After `[`: the whole class, its bracket included. */
  #class(): CharacterSet {
    const isNegated = this.#peek() === '^';
    if (isNegated) this.#at += 1;
    const set = CharacterSet.empty();
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      if (this.#peek() === '') this.#fail('`[` without `]`', 'Close the class, or write `\\[`.');
      this.#classItem(set);
    }
    this.#at += 1;
    const folded = this.#foldsCase ? set.foldedCase() : set;
    return isNegated ? folded.negated() : folded;
  }

  #classItem(set: CharacterSet): void {
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#rest());
    if (posix !== null) {
      this.#at += posix[0].length;
      const named = posix[2]!.length > 1 ? namedSets.get(posix[2]!) : undefined;
      if (named === undefined) this.#fail(`No class \`${posix[0]}\``, 'Write `[:alnum:]` or so.');
      else set.addAll(posix[1] === '' ? named : named.negated());
      return;
    }
    const first = this.#classCode();
    if (typeof first !== 'number') {
      set.addAll(first);
      return;
    }
    if (!/^-[^\]]/.test(this.#rest())) {
      set.addRange(first, first);
      return;
    }
    this.#at += 1;
    const last = this.#classCode();
    if (typeof last !== 'number' || last < first) {
      this.#fail('A range of a class is upside down', 'Write the lower end first: `a-z`.');
    } else set.addRange(first, last);
  }

  #classCode(): number | CharacterSet {
    const character = this.#take();
    if (character !== '\\') {
      this.#literal(character);
      return character.charCodeAt(0);
    }
    return this.#escaped();
  }

  #escape(): string {
    const escaped = this.#escaped();
    if (typeof escaped !== 'number') return escaped.print();
    return this.#set(CharacterSet.ofRanges(String.fromCharCode(escaped, escaped)));
  }

  /** After a backslash: the code unit or the named set that it stands for. */
  #escaped(): number | CharacterSet {
    const hex = /^x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(this.#rest());
    if (hex !== null) {
      this.#at += hex[0].length;
      const code = Number.parseInt(hex[1] ?? hex[2]!, 16);
      if (code > 0x7e) this.#fail(`\`\\${hex[0]}\` is not ASCII`, 'Write it percent-encoded.');
      return code;
    }
    const character = this.#take();
    const set = namedSets.get(character.toLowerCase());
    if (set !== undefined && 'dDsSwW'.includes(character)) {
      return character === character.toLowerCase() ? set : set.negated();
    }
    const control = 'tnfrva'.indexOf(character);
    if (character !== '' && control !== -1) return [9, 10, 12, 13, 11, 7][control]!;
    if (/^[1-9]$/.test(character) || character === 'k') {
      const fix = 'RE2 has no back-references: write the text out.';
      throw new Refusal('regex-not-linear', 'A back-reference is not RE2 syntax', fix);
    }
    if (!/^[!-/:-@[-`{-~ ]$/.test(character)) {
      const shown = character === '' ? 'at the end' : `before \`${character}\``;
      this.#fail(`A backslash ${shown} means nothing`, 'Remove it, or write `\\\\` for itself.');
    }
    return character.charCodeAt(0);
  }

  #peek(): string {
    return this.#pattern.charAt(this.#at);
  }

  #take(): string {
    return this.#pattern.charAt(this.#at++);
  }

  #rest(): string {
    return this.#pattern.slice(this.#at);
  }

  #fail(message: string, fix: string): never {
    throw new Refusal('bad-regex', `${message} (at character ${this.#at} of the pattern)`, fix);
  }
}
