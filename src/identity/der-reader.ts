/**
 * Reads DER that a peer sent, strictly: one value and nothing after it (X.690, sections 8 and 10).
 *
 *   bytes ──► tag, definite length in its shortest form, content ──► children of constructed values
 *
 * Everything is walked before anything is believed: BER's indefinite and padded lengths, long tags, a
 * value past its parent's end, more than `derBytesMax` bytes or `derDepthMax` levels are refused. Texts
 * are bytes here; who reads a name says which of them it may have.
 */

import { identityLimits } from '../model/authority-limits.ts';

const { derBytesMax, derDepthMax } = identityLimits;

/** One value. `content` and `whole` are views of the bytes that were read. */
export interface DerNode {
  /** Identifier octet: class, constructed bit and number, `0x30` for a SEQUENCE. */
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
  /** Empty for primitive values. */
  readonly children: readonly DerNode[];
}

/** What is wrong with the bytes, for a person; callers of this room turn it into their own result. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** Identifier octets of the values that certificates and requests are made of. */
export const Tag = {
  Boolean: 0x01,
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  Null: 0x05,
  ObjectIdentifier: 0x06,
  Sequence: 0x30,
  Set: 0x31,
} as const;

/** Identifier octet of `[number]`, number 0 to 30. */
export function contextTag(number: number, isConstructed: boolean): number {
  return 0x80 | (isConstructed ? 0x20 : 0) | number;
}

/** Reads exactly one value. Throws DerError. */
export function readDer(bytes: Buffer): DerNode {
  if (bytes.length > derBytesMax) {
    throw new DerError(`${bytes.length} bytes of DER; at most ${derBytesMax} are read`);
  }
  const node = readNode(bytes, 0, 1);
  if (node.whole.length !== bytes.length) {
    throw new DerError(`${bytes.length - node.whole.length} bytes after the end of the value`);
  }
  return node;
}

/** The children of a SEQUENCE (or of whatever `tag` says). Throws DerError for anything else. */
export function childrenOf(
  node: DerNode | undefined,
  what: string,
  tag: number = Tag.Sequence,
): readonly DerNode[] {
  return expectTag(node, tag, what).children;
}

/** `node`, whose identifier octet is `tag`. Throws DerError otherwise. */
export function expectTag(node: DerNode | undefined, tag: number, what: string): DerNode {
  if (node === undefined) throw new DerError(`${what} is missing`);
  if (node.tag === tag) return node;
  throw new DerError(`${what} has tag 0x${node.tag.toString(16)} instead of 0x${tag.toString(16)}`);
}

/** Dotted form: `2.5.29.17`. Throws DerError. */
export function readObjectIdentifier(node: DerNode | undefined, what: string): string {
  const { content } = expectTag(node, Tag.ObjectIdentifier, what);
  const numbers: number[] = [];
  let value = 0;
  for (const [index, byte] of content.entries()) {
    if (value === 0 && byte === 0x80) throw new DerError(`${what}: a padded object identifier`);
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER / 128) throw new DerError(`${what}: a number too large`);
    if (byte >= 0x80) {
      if (index === content.length - 1) throw new DerError(`${what}: an identifier cut short`);
      continue;
    }
    numbers.push(value);
    value = 0;
  }
  const [first, ...rest] = numbers;
  if (first === undefined) throw new DerError(`${what}: an empty object identifier`);
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...rest].join('.');
}

/** The bytes of a BIT STRING and how many bits of the last one do not count. Throws DerError. */
export function readBits(
  node: DerNode | undefined,
  what: string,
): { readonly bytes: Buffer; readonly unused: number } {
  const { content } = expectTag(node, Tag.BitString, what);
  const unused = content[0];
  if (unused === undefined || unused > 7 || (content.length === 1 && unused !== 0)) {
    throw new DerError(`${what}: a bit string without a valid count of unused bits`);
  }
  const bytes = content.subarray(1);
  // X.690 11.2.1: bits that do not count are zero, or one value could be written in several ways.
  if (unused > 0 && (bytes[bytes.length - 1]! & ((1 << unused) - 1)) !== 0) {
    throw new DerError(`${what}: unused bits that are not zero`);
  }
  return { bytes, unused };
}

/** DER knows one true and one false (X.690 11.1). Throws DerError. */
export function readBoolean(node: DerNode, what: string): boolean {
  const { content } = expectTag(node, Tag.Boolean, what);
  if (content.length === 1 && (content[0] === 0 || content[0] === 0xff)) return content[0] !== 0;
  throw new DerError(`${what}: a boolean that is neither 00 nor ff`);
}

function readNode(bytes: Buffer, start: number, depth: number): DerNode {
  if (depth > derDepthMax) throw new DerError(`nested deeper than ${derDepthMax} levels`);
  const tag = bytes[start];
  if (tag === undefined) throw new DerError(`a value is missing at byte ${start}`);
  if (tag === 0) throw new DerError('an end-of-contents mark: BER, not DER');
  if ((tag & 0x1f) === 0x1f) throw new DerError('a tag number above 30');
  const { length, contentStart } = readLength(bytes, start + 1);
  const end = contentStart + length;
  if (end > bytes.length) {
    throw new DerError(`a value of ${length} bytes where ${bytes.length - contentStart} are left`);
  }
  const content = bytes.subarray(contentStart, end);
  const isConstructed = (tag & 0x20) !== 0;
  const children: DerNode[] = [];
  if (isConstructed) {
    for (let at = 0; at < content.length; ) {
      const child = readNode(content, at, depth + 1);
      children.push(child);
      at += child.whole.length;
    }
  }
  return { tag, content, whole: bytes.subarray(start, end), children };
}

/** X.690 10.1: definite, and in as few bytes as can be. */
function readLength(bytes: Buffer, start: number): { length: number; contentStart: number } {
  const first = bytes[start];
  if (first === undefined) throw new DerError('a value ends before its length');
  if (first < 0x80) return { length: first, contentStart: start + 1 };
  if (first === 0x80) throw new DerError('an indefinite length: BER, not DER');
  const count = first & 0x7f;
  if (count > 4) throw new DerError(`a length of ${count} bytes`);
  if (start + 1 + count > bytes.length) throw new DerError('a value ends within its length');
  const length = bytes.readUIntBE(start + 1, count);
  if (length < 0x80 || bytes[start + 1] === 0) throw new DerError('a padded length: BER, not DER');
  return { length, contentStart: start + 1 + count };
}
