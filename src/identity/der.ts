/**
 * DER as small building blocks over node-forge's ASN.1 writer (X.690).
 *
 * It only builds: what a peer sends is never parsed here, and node-forge makes no key and no
 * signature. Numbers of tags and bit strings are all the knowledge in this file.
 */

import asn1 from 'node-forge/lib/asn1.js';

/** A value that has not been encoded yet. */
export type DerValue = ReturnType<typeof asn1.create>;

const { Class, Type } = asn1;

export function sequence(...values: readonly DerValue[]): DerValue {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...values]);
}

export function setOf(...values: readonly DerValue[]): DerValue {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [...values]);
}

/** `id` in dotted form: `2.5.29.17`. */
export function objectIdentifier(id: string): DerValue {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(id).getBytes());
}

export function utf8(text: string): DerValue {
  return primitive(Type.UTF8, Buffer.from(text, 'utf8'));
}

/** Only the true value is ever written: DER leaves defaults out. */
export function isTrue(): DerValue {
  return primitive(Type.BOOLEAN, Buffer.from([0xff]));
}

/** NULL, the parameters of some algorithms. */
export function nothing(): DerValue {
  return primitive(Type.NULL, Buffer.alloc(0));
}

/** A non-negative number of any size, most significant byte first. */
export function integer(bytes: Buffer): DerValue {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const digits = bytes.subarray(start);
  const isNegative = (digits[0] ?? 0) >= 0x80;
  return primitive(Type.INTEGER, isNegative ? Buffer.concat([Buffer.of(0), digits]) : digits);
}

export function octets(bytes: Buffer): DerValue {
  return primitive(Type.OCTETSTRING, bytes);
}

/** `unusedBits` of the last byte do not count. */
export function bits(bytes: Buffer, unusedBits = 0): DerValue {
  return primitive(Type.BITSTRING, Buffer.concat([Buffer.of(unusedBits), bytes]));
}

/** A point in time: two-digit years until 2049, as RFC 5280 4.1.2.5 says. */
export function time(epochMs: number): DerValue {
  const date = new Date(epochMs);
  return date.getUTCFullYear() < 2050
    ? asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** `[tag]` around other values: explicit tags, and implicit ones of a SEQUENCE. */
export function tagged(tag: number, ...values: readonly DerValue[]): DerValue {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [...values]);
}

/** `[tag]` in place of a string's own tag. */
export function taggedBytes(tag: number, bytes: Buffer): DerValue {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, false, bytes.toString('latin1'));
}

/** DER of our own making, such as a public key that node:crypto exported, as a value. */
export function ownDer(bytes: Buffer): DerValue {
  return asn1.fromDer(bytes.toString('latin1'));
}

export function encode(value: DerValue): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}

function primitive(type: number, bytes: Buffer): DerValue {
  return asn1.create(Class.UNIVERSAL, type, false, bytes.toString('latin1'));
}
