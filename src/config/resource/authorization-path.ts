/**
 * Authorization paths: the patterns that an AuthorizationPolicy compares with the path of a request.
 *
 * A request's path is judged in one form (wire/http1/judged-path.ts); a pattern that is written in another
 * would never match, so it is a mistake, and its fix says how that path is written.
 */

import { escapeOf, isPlainInPath } from '../../base/path-character.ts';
import type { PathPattern } from '../../model/security.ts';
import type { Cursor } from '../syntax/cursor.ts';
import { checkedText, type Reader } from '../syntax/schema.ts';
import { patternOf } from './authorization-pattern.ts';

/** The path of a request in its normal form, without query. */
export const pathPattern: Reader<PathPattern> = checkedText((written, cursor) => {
  if (/[{}]/.test(written)) return templateOf(written, cursor);
  const pattern = patternOf(written, cursor);
  if (pattern === undefined || pattern.kind === 'present') return pattern;
  const fault = faultOf(pattern.kind, pattern.value);
  if (fault === undefined) return { ...pattern, value: withStars(pattern.value) };
  return cursor.complain('bad-pattern', `No path is like \`${written}\`: ${fault}`, normalFix);
});

const normalFix =
  'Write the path as it is forwarded: from `/`, what a segment may hold as itself, other escapes in upper case (`%C3`), no `//`, no `..`.';

/** A `*` that is no wildcard is written as its escape, and stands as itself in paths. */
function withStars(value: string): string {
  return value.replaceAll(STAR, '*');
}

const STAR = '%2A';

/** Why no normal path is so. */
function faultOf(kind: 'exact' | 'prefix' | 'suffix', value: string): string | undefined {
  if (value.includes('?')) return 'the query is no part of the path';
  if (value.includes('#')) return 'a request has no fragment';
  if (kind !== 'suffix' && !value.startsWith('/')) return 'it does not begin with `/`';
  if (value.includes('//')) return 'empty segments are merged';
  const [first, ...inner] = value.split('/');
  const closed = kind === 'prefix' ? inner.slice(0, -1) : inner;
  const whole = kind === 'suffix' || first === '' ? closed : [first!, ...closed];
  if (whole.some((each) => each === '.' || each === '..')) return 'dot segments are resolved';
  if (value.includes('\\')) return 'a path with a backslash is refused';
  const odd = [...value].find((each) => !isPlainInPath(each) && !'/;%'.includes(each));
  if (odd !== undefined)
    return `${odd === ' ' ? 'a space' : `\`${odd}\``} is written \`${escapeOf(odd)}\``;
  return escapeFault(kind === 'prefix', value);
}

function escapeFault(isPrefix: boolean, value: string): string | undefined {
  const escapes = value.match(/%.{0,2}/g) ?? [];
  for (const [index, triplet] of escapes.entries()) {
    const isCut = isPrefix && index === escapes.length - 1 && value.endsWith(triplet);
    if (isCut && /^%[0-9A-F]?$/.test(triplet)) continue;
    if (!/^%[0-9A-F]{2}$/.test(triplet)) return `\`${triplet}\` is not an escape in upper case`;
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    if (triplet !== STAR && isPlainInPath(character)) {
      return `\`${triplet}\` is written \`${character}\``;
    }
    if (/[/\\\0]/.test(character)) return `a path with \`${triplet}\` is refused`;
  }
  return undefined;
}

/** `/orders/{*}/items/{**}`: whole segments. */
function templateOf(written: string, cursor: Cursor): PathPattern | undefined {
  const segments = written.split('/').slice(1);
  const isOperator = (each: string) => each === '{*}' || each === '{**}';
  const rest = segments.indexOf('{**}');
  const isSound =
    written.startsWith('/') &&
    segments.every((each) => isOperator(each) || !/[{}*]/.test(each)) &&
    (rest < 0 || !segments.slice(rest + 1).some(isOperator));
  if (!isSound) {
    const fix =
      'Write `/`, segments, `{*}` for one whole segment, and as the last of these `{**}` for any number.';
    return cursor.complain('bad-pattern', `\`${written}\` is not a template of paths`, fix);
  }
  const literal = segments.filter((each) => !isOperator(each)).join('/');
  const fault = faultOf('exact', `/${literal}`);
  if (fault === undefined) return { kind: 'template', segments: segments.map(starred) };
  return cursor.complain('bad-pattern', `No path is like \`${written}\`: ${fault}`, normalFix);
}

function starred(segment: string): string {
  return segment.startsWith('{') ? segment : withStars(segment);
}
