/**
 * Values: the single values of resources and what is right about them.
 *
 * Durations, numbers, names, addresses and labels; each reader returns the value in the form that
 * the mesh uses (milliseconds, lower-case names) or complains with what to write instead.
 */

import { isIP } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import type { Place } from '../syntax/complaints.ts';
import type { Cursor } from '../syntax/cursor.ts';
import type { ComplaintKind } from '../syntax/diagnostic-codes.ts';
import { checkedText, complainOfType, mapping, type Reader } from '../syntax/schema.ts';

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION_MIN_MS = 1;
/** A day: more is a mistake of units, and timers of the platform end at 24.8 days. */
const DURATION_MAX_MS = 24 * 3_600_000;

/** A duration as Go writes it, `1.5s`, `300ms`, `1h30m`; from 1ms to 24h. */
export const duration: Reader<Milliseconds> = (cursor) => {
  const value = cursor.scalar();
  const fix = 'Write a number and a unit, for example `1.5s`, `300ms` or `1h`.';
  if (typeof value === 'number') {
    const message = `The duration ${cursor.written()} has no unit`;
    return cursor.complain('bad-duration', message, `Write \`${cursor.written()}s\` for seconds.`);
  }
  if (typeof value !== 'string') return complainOfType(cursor, 'a duration');
  if (!/^-?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(value)) {
    return cursor.complain('bad-duration', `\`${value}\` is not a duration`, fix);
  }
  let total = 0;
  for (const [, count, unit] of value.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(count) * unitMs[unit!]!;
  }
  if (value.startsWith('-') || !(total >= DURATION_MIN_MS && total <= DURATION_MAX_MS)) {
    const limits = 'Write at least `1ms` and at most `24h`, or leave the field out for none.';
    return cursor.complain('bad-duration', `\`${value}\` is out of range`, limits);
  }
  return total;
};

/** A whole decimal number in a range; other spellings (`0o14`, `1_000`, `6e1`) are refused. */
function wholeNumber(kind: ComplaintKind, what: string, min: number, max: number): Reader<number> {
  const range = `Write a whole number from ${min} to ${max}.`;
  return (cursor) => {
    const value = cursor.scalar();
    const written = cursor.written();
    if (typeof value === 'string' && /^\d+$/.test(value)) {
      return cursor.complain(kind, `${what} must be a number, not text`, `Write ${value}.`);
    }
    if (typeof value !== 'number') return complainOfType(cursor, 'a whole number');
    if (!/^(?:0|[1-9]\d{0,15})$/.test(written) || value < min || value > max) {
      return cursor.complain(kind, `${what} cannot be ${written}`, range);
    }
    return value;
  };
}

export const portNumber = wholeNumber('bad-port', 'A port', 1, 65_535);
/** Relative, as in Istio: they need not sum to 100. */
export const weight = wholeNumber('bad-weight', 'A weight', 0, 2_147_483_647);

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A DNS name of labels, lower-case (RFC 1123). */
export function isDnsName(name: string): boolean {
  return name.length <= 253 && name.split('.').every((part) => label.test(part));
}

/** A DNS label: a namespace, a subset, a port's name. */
export function isDnsLabel(name: string): boolean {
  return label.test(name);
}

/** A hostname as the mesh compares it: lower-case, without a trailing dot. */
function normalName(written: string): string {
  const lower = written.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

const nameFix = 'Write a DNS name: letters, digits and `-`, parts of at most 63 joined by dots.';

/** A DNS name. */
export const hostname: Reader<string> = checkedText((written, cursor) => {
  const name = normalName(written);
  if (isDnsName(name)) return name;
  return cursor.complain('bad-name', `\`${written}\` is not a DNS name`, nameFix);
});

/** A DNS name, `*.suffix` or `*`. */
export const hostPattern: Reader<string> = checkedText((written, cursor) => {
  const name = normalName(written);
  if (isHostPattern(name)) return name;
  const fix = `${nameFix} A wildcard is \`*\` or begins with \`*.\`.`;
  return cursor.complain('bad-name', `\`${written}\` is not a host`, fix);
});

export function isHostPattern(name: string): boolean {
  if (name === '*') return true;
  return name.startsWith('*.') ? isDnsName(name.slice(2)) : isDnsName(name);
}

/** A host of a VirtualService: a DNS name, a wildcard or an IP address. */
export const hostOrAddress: Reader<string> = (cursor) => {
  const value = cursor.scalar();
  return typeof value === 'string' && isIP(value) !== 0 ? value : hostPattern(cursor);
};

/** An IP address to bind. */
export const ipAddress: Reader<string> = checkedText((written, cursor) => {
  if (isIP(written) !== 0) return written;
  const fix = 'Write an IPv4 or IPv6 address, for example `127.0.0.1`.';
  return cursor.complain('bad-address', `\`${written}\` is not an IP address`, fix);
});

/** An IP address, with or without a prefix length: a service's virtual address. */
export const addressRange: Reader<string> = checkedText((written, cursor) => {
  const [address = '', prefix] = written.split('/', 2);
  const version = isIP(address);
  const bitsMax = version === 6 ? 128 : 32;
  const isPrefixGood = prefix === undefined || (/^\d{1,3}$/.test(prefix) && +prefix <= bitsMax);
  if (version !== 0 && isPrefixGood) return written;
  const fix = 'Write an address such as `10.0.0.7` or a range such as `10.0.0.0/24`.';
  return cursor.complain('bad-address', `\`${written}\` is not an IP address or range`, fix);
});

export type Labels = Readonly<Record<string, string>>;

const labelValue = /^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/;
const labelName = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;

/** A Kubernetes label key: `app` or `example.com/app`. */
function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/');
  if (slash === -1) return labelName.test(key);
  return isDnsName(key.slice(0, slash)) && labelName.test(key.slice(slash + 1));
}

function isLabelValue(value: string): boolean {
  return labelValue.test(value);
}

const labelText: Reader<string> = checkedText((value, cursor) => {
  if (isLabelValue(value)) return value;
  const fix = 'Write at most 63 letters, digits, `-`, `_` and `.`.';
  return cursor.complain('bad-label', `\`${value}\` is not a label value`, fix);
});

function checkLabelKey(key: string, at: Place, cursor: Cursor): boolean {
  if (isLabelKey(key)) return true;
  const fix = 'Write a name such as `app` or `example.com/app`.';
  cursor.reading.complaints.add('bad-label', at, `\`${key}\` is not a label name`, fix);
  return false;
}

const labelEntries = mapping(labelText, checkLabelKey);

/** Kubernetes labels. The result has no prototype, so that no key means anything else. */
export const labels: Reader<Labels> = (cursor) => {
  const entries = labelEntries(cursor);
  if (entries === undefined) return undefined;
  const found: Record<string, string> = Object.create(null);
  for (const { key, value } of entries) found[key] = value;
  return Object.freeze(found);
};
