/**
 * String match: `exact`, `prefix` or `regex` of a match, to the model's form.
 *
 * An empty match (`{}` or nothing) asks for presence and is allowed only where that means something:
 * headers and query parameters. Texts are compared as bytes of the request, so they are ASCII.
 */

import type { StringMatch } from '../../model/routing-table.ts';
import type { Cursor } from '../syntax/cursor.ts';
import { compileRegex } from '../syntax/regex.ts';
import { checkedText, optional, type Reader, record } from '../syntax/schema.ts';

const asciiText: Reader<string> = checkedText((value, cursor) => {
  if (/^[\t\x20-\x7e]*$/.test(value)) return value;
  const fix = 'Write visible ASCII; in paths write other characters percent-encoded (`%C3%A9`).';
  return cursor.complain('bad-text', 'The text has characters that no request has', fix);
});

/** Query parameters are compared after decoding, so any text can occur. */
const anyText: Reader<string> = checkedText((value) => value);

const regexMatch: Reader<StringMatch> = checkedText((source, cursor) => {
  if (source === '') return cursor.complain('bad-text', 'The pattern is empty', 'Write a pattern.');
  const regex = compileRegex(source);
  if (!(regex instanceof RegExp)) return cursor.complain(regex.kind, regex.message, regex.fix);
  return { kind: 'regex', source, regex };
});

const asciiMatch = matchRecord(asciiText);
const anyMatch = matchRecord(anyText);

function matchRecord(value: Reader<string>) {
  return record({ exact: optional(value), prefix: optional(value), regex: optional(regexMatch) });
}

/** For `uri`, `method`, `authority`: one of the three, and not empty. */
export const stringMatch: Reader<StringMatch> = (cursor) => {
  const match = oneOf(cursor, asciiMatch);
  if (match?.kind === 'present') return complainOfNone(cursor);
  if (match?.kind === 'exact' && match.value === '') {
    return cursor.complain('bad-text', 'The text to match is empty', 'Write what to compare with.');
  }
  return match;
};

/** For `headers`: presence is allowed. */
export const headerMatch: Reader<StringMatch> = (cursor) =>
  cursor.isNull ? { kind: 'present' } : oneOf(cursor, asciiMatch);

/** For `queryParams`: presence is allowed, and any text. */
export const parameterMatch: Reader<StringMatch> = (cursor) =>
  cursor.isNull ? { kind: 'present' } : oneOf(cursor, anyMatch);

function oneOf(cursor: Cursor, read: typeof asciiMatch): StringMatch | undefined {
  const scalar = cursor.scalar();
  if (typeof scalar === 'string') {
    const fix = `Write \`exact: ${scalar}\` on a line below, indented.`;
    return cursor.complain('wrong-type', 'Expected exact, prefix or regex, found text', fix);
  }
  const value = read(cursor);
  if (value === undefined) return undefined;
  const present = Object.keys(value.offsets);
  if (present.some((name) => !['exact', 'prefix', 'regex'].includes(name))) return undefined;
  if (present.length > 1) {
    const names = present.map((name) => `\`${name}\``).join(' and ');
    const fix = 'Keep one; write the other as a further item of `match`.';
    return cursor.complain('one-of', `${names} exclude each other`, fix);
  }
  if (present.length === 0) return { kind: 'present' };
  if (value.exact !== undefined) return { kind: 'exact', value: value.exact };
  if (value.prefix === '') {
    return cursor.complain('bad-text', 'The prefix is empty', 'Leave the condition out for any.');
  }
  if (value.prefix !== undefined) return { kind: 'prefix', value: value.prefix };
  return value.regex;
}

function complainOfNone(cursor: Cursor): undefined {
  const fix = 'Write `exact:`, `prefix:` or `regex:`.';
  return cursor.complain('one-of', 'Nothing to compare with', fix);
}
