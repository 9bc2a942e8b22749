/**
 * IP addresses as bytes: parsed, printed again in one form, and compared by prefix.
 *
 * Text that comes from people has many spellings of one address; what looks addresses up needs the one
 * that `node:net` prints (RFC 5952, IPv4-mapped ones as IPv4). Zones are refused: they mean nothing
 * outside the machine.
 */

import { isIPv4, isIPv6 } from 'node:net';

/** A range of addresses; of a single one `prefix` is all of its bits. */
export interface AddressRange {
  /** 4 or 16; bits behind the prefix are 0. */
  readonly bytes: Uint8Array;
  /** 0 to 32 or 128. */
  readonly prefix: number;
}

/** 4 or 16 bytes, IPv4-mapped addresses as IPv4; undefined when `text` is no address. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const bytes = bytesOfV6(text);
  const isMapped =
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return isMapped ? bytes.slice(12) : bytes;
}

/** `10.0.0.7` or `10.0.0.0/24`; undefined when `text` is neither. */
export function parseRange(text: string): AddressRange | undefined {
  const [address = '', written, ...more] = text.split('/');
  const bytes = parseAddress(address);
  if (bytes === undefined || more.length > 0) return undefined;
  const bits = bytes.length * 8;
  if (written === undefined) return { bytes, prefix: bits };
  // The prefix of an IPv4-mapped range counts from the 128 bits.
  const isMapped = bytes.length === 4 && address.includes(':');
  const prefix = /^\d{1,3}$/.test(written) ? Number(written) - (isMapped ? 96 : 0) : -1;
  if (prefix < 0 || prefix > bits) return undefined;
  return { bytes: bytes.map((byte, index) => byte & maskOf(prefix - index * 8)), prefix };
}

/** Whether an address is in a range; ranges of the other family hold none. */
export function isWithin(address: Uint8Array, { bytes, prefix }: AddressRange): boolean {
  if (address.length !== bytes.length) return false;
  for (let index = 0; index * 8 < prefix; index++) {
    if ((address[index]! & maskOf(prefix - index * 8)) !== bytes[index]) return false;
  }
  return true;
}

/** As `node:net` prints it; 4 or 16 bytes. */
export function printBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_none, index) =>
    ((bytes[2 * index]! << 8) | bytes[2 * index + 1]!).toString(16),
  );
  let [start, length] = [0, 1];
  for (let from = 0; from < 8; from++) {
    let end = from;
    while (end < 8 && groups[end] === '0') end++;
    if (end - from > length) [start, length] = [from, end - from];
  }
  if (length === 1) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

/** The host `[0:0::1]` of an authority in one spelling, `[::1]`; what is no address in brackets as it is. */
export function printHostAddress(host: string): string {
  const bytes = parseAddress(host.slice(1, -1));
  return bytes === undefined ? host : `[${printBytes(bytes)}]`;
}

/** The byte of a mask of which `bits` are left, which may be below 0 or above 8. */
function maskOf(bits: number): number {
  if (bits >= 8) return 255;
  return bits <= 0 ? 0 : (255 << (8 - bits)) & 255;
}

function bytesOfV6(text: string): Uint8Array {
  const [before = '', after] = text.split('::');
  const head = groupsOf(before);
  const tail = after === undefined ? [] : groupsOf(after);
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}
