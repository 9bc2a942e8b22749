/**
 * Authorization patterns: the single values of an AuthorizationPolicy and what they match.
 *
 * Exact, `prefix*`, `*suffix`, or `*` for anything that is not empty; in paths also `{*}` and `{**}` as
 * whole segments. A value that could never match is a mistake and no warning: who denies by it denies
 * nobody.
 */

import { parseRange } from '../../base/ip-address.ts';
import type { AddressRange, PathPattern, TextPattern } from '../../model/security.ts';
import type { Cursor } from '../syntax/cursor.ts';
import { checkedText, type Reader } from '../syntax/schema.ts';

/** One pattern of visible ASCII, which is all that the compared texts can hold. */
export const textPattern: Reader<TextPattern> = checkedText(patternOf);

function patternOf(written: string, cursor: Cursor): TextPattern | undefined {
  if (!/^[\x20-\x7e]+$/.test(written)) {
    const fix = 'Write visible ASCII, or `*` for anything that is not empty.';
    return cursor.complain('bad-text', 'The value is empty or has forbidden characters', fix);
  }
  if (written === '*') return { kind: 'present' };
  const isSuffix = written.startsWith('*');
  const isPrefix = !isSuffix && written.endsWith('*');
  const value = isSuffix ? written.slice(1) : isPrefix ? written.slice(0, -1) : written;
  if (value.includes('*')) {
    const fix = 'Write one `*`, first (`*suffix`) or last (`prefix*`).';
    return cursor.complain('bad-pattern', `\`${written}\` has a \`*\` that means nothing`, fix);
  }
  return { kind: isSuffix ? 'suffix' : isPrefix ? 'prefix' : 'exact', value };
}

/** `cluster.local/ns/default/sa/web`. */
export const principalPattern: Reader<TextPattern> = checkedText((written, cursor) => {
  if (!written.startsWith('spiffe://')) return patternOf(written, cursor);
  const fix = `Write \`${written.slice('spiffe://'.length)}\`.`;
  return cursor.complain('bad-pattern', 'Principals are written without `spiffe://`', fix);
});

/** A service account, `name` of the policy's namespace or `namespace/name`: to the latter. */
export const serviceAccountPattern: Reader<TextPattern> = checkedText((written, cursor) => {
  const name = '[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?';
  if (new RegExp(`^(?:${name}/)?${name}$`).test(written)) {
    const { namespace } = cursor.reading.resource;
    return { kind: 'exact', value: written.includes('/') ? written : `${namespace}/${written}` };
  }
  const fix = 'Write `name` or `namespace/name`; `principals` and `namespaces` take a `*`.';
  return cursor.complain('bad-pattern', `\`${written}\` is not a service account`, fix);
});

/**
 * A host, without case. One without a port is the host at any port (`host:*` says the same), for a
 * Host field has one or not, as its sender likes.
 */
export const authorityPattern: Reader<TextPattern> = checkedText((written, cursor) => {
  const lower = written.toLowerCase();
  const isAnyPort = /^[^*].*:\*$/.test(lower);
  const pattern = patternOf(isAnyPort ? lower.slice(0, -2) : lower, cursor);
  if (pattern === undefined || pattern.kind === 'present') return pattern;
  if (pattern.kind === 'prefix') return pattern;
  // A trailing dot names the same host, and zeros before a port the same port.
  return { ...pattern, value: pattern.value.replace(/\.?(?::0*(\d+))?$/, normalPort) };
});

function normalPort(_: string, port: string | undefined): string {
  return port === undefined ? '' : `:${port}`;
}

/** The path of a request in its normal form, without query. */
export const pathPattern: Reader<PathPattern> = checkedText((written, cursor) => {
  if (/[{}]/.test(written)) return templateOf(written, cursor);
  const pattern = patternOf(written, cursor);
  if (pattern === undefined || pattern.kind === 'present') return pattern;
  const fault = faultOf(pattern.kind, pattern.value);
  if (fault === undefined) return pattern;
  return cursor.complain('bad-pattern', `No path is like \`${written}\`: ${fault}`, normalFix);
});

const normalFix =
  'Write the path as it is forwarded: from `/`, escapes resolved or in upper case (`%C3`), no `//`, no `..`.';

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
  const escapes = value.match(/%.{0,2}/g) ?? [];
  for (const [index, triplet] of escapes.entries()) {
    const isCut = kind === 'prefix' && index === escapes.length - 1 && value.endsWith(triplet);
    if (isCut && /^%[0-9A-F]?$/.test(triplet)) continue;
    if (!/^%[0-9A-F]{2}$/.test(triplet)) return `\`${triplet}\` is not an escape in upper case`;
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    if (/[A-Za-z0-9._~-]/.test(character)) return `\`${triplet}\` is written \`${character}\``;
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
  if (fault === undefined) return { kind: 'template', segments };
  return cursor.complain('bad-pattern', `No path is like \`${written}\`: ${fault}`, normalFix);
}

/** An address, or a range such as `10.0.0.0/8`. */
export const rangePattern: Reader<AddressRange> = checkedText((written, cursor) => {
  const range = parseRange(written);
  if (range !== undefined) return { bytes: [...range.bytes], prefix: range.prefix };
  const fix = 'Write an address such as `10.0.0.7` or a range such as `10.0.0.0/24`.';
  return cursor.complain('bad-address', `\`${written}\` is not an IP address or range`, fix);
});

/** Text, as Istio asks: `"8080"`. */
export const portPattern: Reader<number> = checkedText((written, cursor) => {
  if (/^[1-9]\d{0,4}$/.test(written) && Number(written) <= 65_535) return Number(written);
  const fix = 'Write a number from 1 to 65535 in quotes.';
  return cursor.complain('bad-port', `\`${written}\` is not a port`, fix);
});
