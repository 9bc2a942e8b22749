/**
 * Values of annotations: one strict reader for each kind of value, text in, checked value out.
 *
 * A problem completes the sentence "annotation KEY of the pod ..." and shows at most 40 characters
 * of what was written. Ports and prefixes are read by the readers that `tracecar init` uses.
 */

import { readPortList, shown } from '../src/base/port-list.ts';
import { printPrefix, readPrefixList } from './init/prefix-list.ts';

export type ValueResult<T> = { readonly value: T } | { readonly problem: string };

/** As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG take it; the argument may be empty. */
export interface Sampler {
  readonly name: string;
  readonly argument: string;
}

/** One of `words`, exactly as written there. */
export function readWord<T extends string>(words: readonly T[]): (text: string) => ValueResult<T> {
  return (text) => {
    const value = words.find((word) => word === text);
    if (value !== undefined) return { value };
    return { problem: `is ${words.join(' or ')}, not '${shown(text)}'` };
  };
}

const secretsMax = 8;

/** A name of a Kubernetes object (RFC 1123 subdomain). */
export function readName(text: string): ValueResult<string> {
  const isName =
    text.length <= 253 &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text);
  return isName ? { value: text } : { problem: `is no name of an object: '${shown(text)}'` };
}

/** One to eight different names, separated by commas. */
export function readNames(text: string): ValueResult<readonly string[]> {
  const names = new Set(text.split(',', secretsMax + 1).map((each) => each.trim()));
  if (names.size > secretsMax) return { problem: `names more than ${secretsMax} objects` };
  for (const each of names) {
    const result = readName(each);
    if ('problem' in result) return result;
  }
  return { value: [...names] };
}

export function readPorts(text: string): ValueResult<string> {
  const result = readPortList(text);
  if ('problem' in result) return { problem: `is wrong: ${result.problem}` };
  const printed = result.ranges.map(({ first, last }) =>
    first === last ? String(first) : `${first}-${last}`,
  );
  return { value: printed.join(',') };
}

export function readPrefixes(text: string): ValueResult<string> {
  const result = readPrefixList(text);
  if ('problem' in result) return { problem: `is wrong: ${result.problem}` };
  return { value: result.prefixes.map(printPrefix).join(',') };
}

const samplers = ['always_on', 'always_off', 'parentbased_always_on', 'parentbased_always_off'];

/** A share, an OpenTelemetry sampler, or `traceidratio=SHARE` with or without `parentbased_`. */
export function readSampler(text: string): ValueResult<Sampler> {
  if (samplers.includes(text)) return { value: { name: text, argument: '' } };
  const match = /^(?:((?:parentbased_)?traceidratio)=)?(0|1|0?\.\d{1,12}|0\.0|1\.0)$/.exec(text);
  if (match === null) {
    return {
      problem: `is a share from 0 to 1 or a sampler such as always_on, not '${shown(text)}'`,
    };
  }
  return { value: { name: match[1] ?? 'parentbased_traceidratio', argument: match[2]! } };
}

/** An http or https URL without a user, query or fragment. */
export function readUrl(text: string): ValueResult<string> {
  const problem = `is no http or https URL: '${shown(text)}'`;
  if (text.length > 2048 || !/^[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return { problem };
  const url = new URL(text);
  const isPlain =
    url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!/^https?:$/.test(url.protocol) || !isPlain) return { problem };
  return { value: text };
}

/** 1m to 64 processors; the value as Kubernetes prints it. */
export function readCpu(text: string): ValueResult<string> {
  const match = /^(?:(\d{1,5})m|(\d{1,2}(?:\.\d{1,3})?))$/.exec(text);
  const milli = match === null ? 0 : Math.round(Number(match[1] ?? Number(match[2]) * 1000));
  if (milli < 1 || milli > 64_000) {
    return { problem: `is a number of processors such as 250m or 1.5, not '${shown(text)}'` };
  }
  return { value: milli % 1000 === 0 ? String(milli / 1000) : `${milli}m` };
}

/** Of two quantities as `readCpu` and `readMemory` give them the smaller, whatever its unit. */
export function smallerQuantity(left: string, right: string): string {
  return amountOf(right) < amountOf(left) ? right : left;
}

/** Cores, or bytes. */
export function amountOf(quantity: string): number {
  const [, digits, unit] = /^(\d+)(\D*)$/.exec(quantity)!;
  if (unit === 'm') return Number(digits) / 1000;
  return Number(digits) * (memoryUnits[unit!] ?? 1);
}

const memoryUnits: Readonly<Record<string, number>> = {
  M: 1e6,
  G: 1e9,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};
const memoryBytesMin = 64 * 2 ** 20;
const memoryBytesMax = 64 * 2 ** 30;
const memoryRequestBytes = 96 * 2 ** 20;

/** 64Mi to 64Gi as the limit; the request is the same but at most 96Mi. */
export function readMemory(text: string): ValueResult<{ limit: string; request: string }> {
  const match = /^([1-9]\d{0,5})(Mi|Gi|M|G)$/.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * memoryUnits[match[2]!]!;
  if (bytes < memoryBytesMin || bytes > memoryBytesMax) {
    return { problem: `is a size from 64Mi to 64Gi such as 256Mi, not '${shown(text)}'` };
  }
  const limit = canonicalMemory(match![1]!, match![2]!);
  return { value: { limit, request: bytes < memoryRequestBytes ? limit : '96Mi' } };
}

/** Kubernetes prints the largest unit that fits a whole number: 1024Mi is 1Gi. */
function canonicalMemory(digits: string, unit: string): string {
  const step = unit === 'Mi' ? 1024 : 1000;
  const count = Number(digits);
  if (unit.startsWith('M') && count % step === 0) return `${count / step}${unit.replace('M', 'G')}`;
  return `${count}${unit}`;
}

/** `0`, or 256Ki to 64Mi; as the flag of the sidecar has it, and in bytes. */
export function readHistory(text: string): ValueResult<{ flag: string; bytes: number }> {
  if (text === '0') return { value: { flag: '0', bytes: 0 } };
  const match = /^([1-9]\d{0,5})(Ki|Mi)$/.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * (match[2] === 'Mi' ? 2 ** 20 : 2 ** 10);
  if (bytes < 256 * 2 ** 10 || bytes > 64 * 2 ** 20) {
    return { problem: `is 0 or a size from 256Ki to 64Mi such as 8Mi, not '${shown(text)}'` };
  }
  return { value: { flag: `${match![1]}${match![2] === 'Mi' ? 'm' : 'k'}`, bytes } };
}

export function readDrainSeconds(text: string): ValueResult<number> {
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (seconds > 3600) return { problem: `is 0 to 3600 seconds, not '${shown(text)}'` };
  return { value: seconds };
}
