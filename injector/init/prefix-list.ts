/**
 * Address prefixes as people write them in flags and annotations: `10.0.0.0/8,fd00::/8`.
 *
 * Text becomes bytes here, bits behind the prefix cleared, or is refused with a reason; what is
 * printed again is made from the bytes (reference/reliability.md W14). IPv4 in IPv6's form is refused:
 * the kernel knows such a connection as one of IPv4, so the rule would never match.
 */

import { isIPv4, isIPv6 } from 'node:net';
import { shown } from '../../src/base/port-list.ts';

export interface Prefix {
  readonly family: 4 | 6;
  /** 4 or 16 bytes; those behind the prefix are 0. */
  readonly bytes: readonly number[];
  /** 0 to 32, or to 128. */
  readonly length: number;
}

export const prefixesMax = 1_024;

export type PrefixListResult =
  | { readonly prefixes: readonly Prefix[] }
  | { readonly problem: string };

/** Reads `text`; empty is no prefix; an address alone is a prefix of its own. */
export function readPrefixList(text: string): PrefixListResult {
  if (text.trim() === '') return { prefixes: [] };
  const parts = text.split(',', prefixesMax + 1);
  if (parts.length > prefixesMax) return { problem: `more than ${prefixesMax} prefixes` };
  const prefixes: Prefix[] = [];
  for (const part of parts) {
    const prefix = readPrefix(part.trim());
    if (prefix === undefined) {
      const example = '10.0.0.0/8 or fd00::/8';
      return { problem: `'${shown(part)}' is no address prefix such as ${example}` };
    }
    if ('mapped' in prefix) {
      const problem = `'${shown(part)}' is an IPv4 address as IPv6 writes it; write ${prefix.mapped}`;
      return { problem: `${problem} with the length that it has in IPv4` };
    }
    prefixes.push(prefix);
  }
  return { prefixes };
}

function readPrefix(text: string): Prefix | { readonly mapped: string } | undefined {
  const match = /^([0-9A-Fa-f:.]{2,45})(?:\/([0-9]{1,3}))?$/.exec(text);
  if (match === null) return undefined;
  const address = match[1]!;
  const family = isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;
  if (family === undefined) return undefined;
  const lengthMax = family === 4 ? 32 : 128;
  const length = match[2] === undefined ? lengthMax : Number(match[2]);
  if (length > lengthMax) return undefined;
  const bytes = bytesOf(address, family);
  if (mappedStart.every((byte, index) => byte === bytes[index])) {
    return { mapped: bytes.slice(mappedStart.length).join('.') };
  }
  return { family, length, bytes: bytes.map((byte, index) => byte & maskByte(length, index)) };
}

/** Of an IPv4-mapped address (RFC 4291 2.5.5.2). */
const mappedStart: readonly number[] = [...new Array<number>(10).fill(0), 0xff, 0xff];

/** The mask's byte `index` for a prefix of `length` bits. */
function maskByte(length: number, index: number): number {
  const bits = Math.min(8, Math.max(0, length - 8 * index));
  return (0xff << (8 - bits)) & 0xff;
}

function bytesOf(address: string, family: 4 | 6): number[] {
  return family === 4 ? address.split('.').map(Number) : bytesOfV6(address);
}

/** `text` is a valid IPv6 address without a zone. */
function bytesOfV6(text: string): number[] {
  const [before = '', after] = text.split('::');
  const head = groupsOf(before);
  if (after === undefined) return head;
  const tail = groupsOf(after);
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** What is left of `prefix` when one address of its family is taken out. */
export function prefixWithout(prefix: Prefix, address: string): readonly Prefix[] {
  const { family, length } = prefix;
  const out = bytesOf(address, family);
  const isIn = prefix.bytes.every(
    (byte, index) => byte === (out[index]! & maskByte(length, index)),
  );
  if (!isIn) return [prefix];
  // One for each bit behind the prefix: the same bits before it, and the other value there.
  return Array.from({ length: 8 * out.length - length }, (_none, more) => {
    const at = length + more;
    const bytes = out.map((byte, index) => byte & maskByte(at + 1, index));
    bytes[at >> 3]! ^= 0x80 >> (at & 7);
    return { family, length: at + 1, bytes };
  });
}

/** `10.0.0.0/8`, `fd00:0:0:0:0:0:0:0/8`: every group written, which nft reads the same. */
export function printPrefix({ family, bytes, length }: Prefix): string {
  if (family === 4) return `${bytes.join('.')}/${length}`;
  const groups = Array.from({ length: 8 }, (_none, index) =>
    ((bytes[2 * index]! << 8) | bytes[2 * index + 1]!).toString(16),
  );
  return `${groups.join(':')}/${length}`;
}
