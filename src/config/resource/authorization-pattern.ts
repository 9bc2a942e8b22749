/**
 * Authorization patterns: the single values of an AuthorizationPolicy and what they match; paths have a
 * file of their own.
 *
 * Exact, `prefix*`, `*suffix`, or `*` for anything that is not empty. A value that could never match is a
 * mistake and no warning: who denies by it denies nobody.
 */

import { parseRange, printHostAddress } from '../../base/ip-address.ts';
import type { AddressRange, TextPattern } from '../../model/security.ts';
import type { Cursor } from '../syntax/cursor.ts';
import { checkedText, type Reader } from '../syntax/schema.ts';

type Kind = 'exact' | 'prefix' | 'suffix';

/** Why nothing that it is compared with is so, and what to write. */
interface Fault {
  readonly why: string;
  readonly fix: string;
}

/** One pattern of visible ASCII, which is all that the compared texts can hold. */
export function patternOf(written: string, cursor: Cursor): TextPattern | undefined {
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

/** Patterns of which `faultOf` knows those that match nothing; `what` is compared with them. */
function patternsOf(
  what: string,
  faultOf: (kind: Kind, value: string) => Fault | undefined,
): Reader<TextPattern> {
  return checkedText((written, cursor) => {
    const pattern = patternOf(written, cursor);
    if (pattern === undefined || pattern.kind === 'present') return pattern;
    const fault = faultOf(pattern.kind, pattern.value);
    if (fault === undefined) return pattern;
    const message = `No ${what} is like \`${written}\`: ${fault.why}`;
    return cursor.complain('bad-pattern', message, fault.fix);
  });
}

/** The value of a field's line, of which spaces around it are no part (RFC 9110 section 5.5). */
export const fieldValuePattern = patternsOf('field value', (kind, value) => {
  const isOdd =
    (kind !== 'suffix' && value.startsWith(' ')) || (kind !== 'prefix' && value.endsWith(' '));
  if (!isOdd) return undefined;
  return { why: 'it has no space around it', fix: `Write \`${value.trim()}\`.` };
});

/** Methods are compared with case (RFC 9110 section 9.1), and no known one has small letters. */
export const methodPattern = patternsOf('method', (_, value) => {
  if (/^[A-Z0-9!#$%&'+.^_`|~-]+$/.test(value)) return undefined;
  const upper = value.trim().toUpperCase();
  if (!/^[A-Z]+$/.test(upper)) return { why: 'it is one word', fix: 'Write one as `GET`.' };
  return { why: 'methods are one word in upper case', fix: `Write \`${upper}\`.` };
});

/** A namespace: a DNS label. */
export const namespacePattern = patternsOf('namespace', (kind, value) => {
  if (isInLabel(kind, value)) return undefined;
  const why = 'namespaces have small letters, digits and `-`';
  return { why, fix: 'Write a name as `shop`; `principals` are what has slashes.' };
});

function isInLabel(kind: Kind, value: string): boolean {
  const isWhole = /^[a-z0-9-]{1,63}$/.test(value);
  return (
    isWhole &&
    (kind === 'suffix' || value[0] !== '-') &&
    (kind === 'prefix' || value.at(-1) !== '-')
  );
}

export const trustDomainPattern = patternsOf('trust domain', (_, value) => {
  if (isOfTrustDomain(value)) return undefined;
  const why = 'trust domains have small letters, digits, `.`, `_` and `-`';
  return { why, fix: 'Write a name as `cluster.local`.' };
});

function isOfTrustDomain(value: string): boolean {
  return /^[a-z0-9._-]+$/.test(value);
}

/** `cluster.local/ns/default/sa/web`, which is all that an identity can be (identity/spiffe-id.ts). */
export const principalPattern = patternsOf('principal', (kind, value) => {
  if (value.startsWith('spiffe://')) {
    const fix = `Write \`${value.slice('spiffe://'.length)}${kind === 'prefix' ? '*' : ''}\`.`;
    return { why: 'principals are written without `spiffe://`', fix };
  }
  if (isInPrincipal(kind, value)) return undefined;
  const why = 'it is `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`';
  return { why, fix: 'Write one as `cluster.local/ns/default/sa/web`.' };
});

/** Where it begins: the parts of a principal in their order. */
const partsOfPrincipal = [
  isOfTrustDomain,
  (part: string) => part === 'ns',
  (part: string) => isInLabel('exact', part),
  (part: string) => part === 'sa',
  (part: string) => /^[A-Za-z0-9._-]+$/.test(part),
];

/** Of a part that a wildcard cuts, only its characters are looked at. */
function isInPrincipal(kind: Kind, value: string): boolean {
  const parts = value.split('/');
  const { length } = partsOfPrincipal;
  if (kind === 'exact' ? parts.length !== length : parts.length > length) return false;
  const first = kind === 'suffix' ? length - parts.length : 0;
  const cut = kind === 'exact' ? -1 : kind === 'suffix' ? 0 : parts.length - 1;
  return parts.every((part, index) =>
    index === cut ? isCutPart(first + index, kind, part) : partsOfPrincipal[first + index]!(part),
  );
}

function isCutPart(place: number, kind: Kind, part: string): boolean {
  const word = ['', 'ns', '', 'sa'][place] ?? '';
  if (word !== '') return kind === 'prefix' ? word.startsWith(part) : word.endsWith(part);
  return part === '' || (place === 0 ? isOfTrustDomain(part) : /^[A-Za-z0-9._-]+$/.test(part));
}

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
  const value = normalHost(pattern.kind, pattern.value);
  if (isInAuthority(pattern.kind, value)) return { ...pattern, value };
  const fix =
    'Write a host as `shop.example.com`, `shop.example.com:8080`, `*.example.com` or `[::1]`.';
  return cursor.complain('bad-pattern', `No Host is like \`${written}\``, fix);
});

/** A trailing dot names the same host, and zeros before a port the same port. */
function normalHost(kind: Kind, value: string): string {
  if (kind === 'prefix') return value;
  const whole = value.replace(/\.?(?::0*(\d+))?$/, (_, port: string | undefined) =>
    port === undefined ? '' : `:${port}`,
  );
  return kind === 'suffix' ? whole : whole.replace(/^\[[^\]]*\]/, printHostAddress);
}

/** Before the port; an address in brackets is looked at for its characters. */
const hosts: Readonly<Record<Kind, RegExp>> = {
  exact: /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/,
  prefix: /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]*\]?)$/,
  suffix: /^(?:\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:.]*\]|)$/,
};

function isInAuthority(kind: Kind, value: string): boolean {
  const [, host = '', port] = /^(.*?)(?::(\d*))?$/.exec(value) ?? [];
  if (value === '' || !(hosts[kind].test(host) || hosts[kind].test(value))) return false;
  if (port === undefined || hosts[kind].test(value)) return true;
  if (kind === 'prefix' && port === '') return true;
  return /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535;
}

/** The name in a ClientHello, without case: it has no port and is no address (RFC 6066 section 3). */
export const serverNamePattern: Reader<TextPattern> = checkedText((written, cursor) => {
  const pattern = patternOf(written.toLowerCase(), cursor);
  if (pattern === undefined || pattern.kind === 'present') return pattern;
  const value = pattern.kind === 'prefix' ? pattern.value : pattern.value.replace(/\.$/, '');
  if (value !== '' && !/[[\]]/.test(value) && hosts[pattern.kind].test(value)) {
    return { ...pattern, value };
  }
  const fix = 'Write a name as `shop.example.com` or `*.example.com`, without a port.';
  return cursor.complain('bad-pattern', `No ClientHello asks for a name like \`${written}\``, fix);
});

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
