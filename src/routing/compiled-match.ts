/**
 * Compiled match: one `match` entry of a rule, as small integers and plain fields.
 *
 * All of its conditions must hold. Header values arrive with repeated fields joined by a comma;
 * query parameters are compared after decoding, the first occurrence counts. Regexes were made to
 * cover the whole text when the configuration was admitted; nothing here is compiled per request.
 */

import type { RequestView } from '../model/request-view.ts';
import type { Match, NamedMatch, StringMatch } from '../model/routing-table.ts';
import { queryParameter } from './query-parameter.ts';

const Compare = { Anything: 0, Exact: 1, Prefix: 2, Regex: 3, Present: 4 } as const;

const neverRegex = /(?!)/;

export class CompiledMatch {
  readonly #path: TextTest;
  readonly #method: TextTest;
  readonly #authority: TextTest;
  readonly #headers: readonly NamedTest[];
  readonly #query: readonly NamedTest[];

  constructor(match: Match) {
    this.#path = new TextTest(match.path);
    this.#method = new TextTest(match.method);
    this.#authority = new TextTest(match.authority);
    this.#headers = match.headers.map((named) => new NamedTest(named));
    this.#query = match.query.map((named) => new NamedTest(named));
  }

  holds(request: RequestView): boolean {
    if (this.#path.kind !== Compare.Anything && !this.#path.holds(request.path)) return false;
    if (this.#method.kind !== Compare.Anything && !this.#method.holds(request.method)) return false;
    if (this.#authority.kind !== Compare.Anything && !this.#authority.holds(request.hostname)) {
      return false;
    }
    for (let index = 0; index < this.#headers.length; index++) {
      const header = this.#headers[index]!;
      const value = request.field(header.name);
      if (value === undefined || !header.test.holds(value)) return false;
    }
    if (this.#query.length === 0) return true;
    const query = request.query;
    if (query === undefined) return false;
    for (let index = 0; index < this.#query.length; index++) {
      const parameter = this.#query[index]!;
      const value = queryParameter(query, parameter.name);
      if (value === undefined || !parameter.test.holds(value)) return false;
    }
    return true;
  }
}

class NamedTest {
  readonly name: string;
  readonly test: TextTest;

  constructor(named: NamedMatch) {
    this.name = named.name;
    this.test = new TextTest(named.value);
  }
}

class TextTest {
  readonly kind: number;
  readonly #text: string;
  readonly #regex: RegExp;

  constructor(match: StringMatch | undefined) {
    this.kind = compareKind(match);
    this.#text = match?.kind === 'exact' || match?.kind === 'prefix' ? match.value : '';
    this.#regex = match?.kind === 'regex' ? match.regex : neverRegex;
  }

  holds(value: string): boolean {
    switch (this.kind) {
      case Compare.Exact:
        return value === this.#text;
      case Compare.Prefix:
        return value.startsWith(this.#text);
      case Compare.Regex:
        return this.#regex.test(value);
      default:
        return true;
    }
  }
}

function compareKind(match: StringMatch | undefined): number {
  if (match === undefined) return Compare.Anything;
  if (match.kind === 'exact') return Compare.Exact;
  if (match.kind === 'prefix') return Compare.Prefix;
  return match.kind === 'regex' ? Compare.Regex : Compare.Present;
}
