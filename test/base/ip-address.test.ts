/** Addresses: one form for many spellings, and ranges. */

import assert from 'node:assert/strict';
import { SocketAddress } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWithin, parseAddress, parseRange, printBytes } from '../../src/base/ip-address.ts';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test('an address is printed as the platform prints it, however it was written', () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  });
  const property = fc.property(groups, fc.boolean(), (list, isUpper) => {
    // The platform prints ::a.b.c.d for what RFC 4291 has deprecated.
    fc.pre(list.slice(0, 5).some((group) => group !== 0));
    const written = list
      .map((group) => group.toString(16).padStart(isUpper ? 4 : 1, '0'))
      .join(':');
    const text = isUpper ? written.toUpperCase() : written;
    const { address } = new SocketAddress({ address: text, family: 'ipv6' });
    assert.equal(printBytes(parseAddress(text)!), address);
  });
  fc.assert(property);
  const spellings = [
    ['::', '::'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::ffff:10.0.0.7', '10.0.0.7'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['10.0.0.7', '10.0.0.7'],
  ] as const;
  for (const [written, printed] of spellings) {
    assert.equal(printBytes(parseAddress(written)!), printed);
  }
});

test('what is no address has no bytes', () => {
  for (const text of ['', 'x', '10.0.0', '10.0.0.256', '::1::', 'fe80::1%eth0', '1.2.3.4/8']) {
    assert.equal(parseAddress(text), undefined, text);
  }
  for (const text of ['10.0.0.0/33', '10.0.0.0/', '::/129', '10.0.0.0/8/8', '/8', '10.0.0.0/-1']) {
    assert.equal(parseRange(text), undefined, text);
  }
});

test('an address is in a range when the bits of the prefix are the same', () => {
  const cases = fc.oneof(
    fc.tuple(bytesOf(4), bytesOf(4), fc.integer({ min: 0, max: 32 })),
    fc.tuple(bytesOf(16), bytesOf(16), fc.integer({ min: 0, max: 128 })),
  );
  const bitsOf = (bytes: Uint8Array) =>
    [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const property = fc.property(cases, fc.nat(), ([first, second, prefix], shared) => {
    // Random addresses share few bits: some of the second are the first's.
    const address = second.map((byte, index) => (index < shared % 17 ? first[index]! : byte));
    const range = parseRange(`${printBytes(first)}/${prefix}`)!;
    fc.pre(range.bytes.length === first.length);
    const expected = bitsOf(address).slice(0, prefix) === bitsOf(first).slice(0, prefix);
    assert.equal(isWithin(address, range), expected);
  });
  fc.assert(property);
  assert.ok(!isWithin(parseAddress('10.0.0.1')!, parseRange('::/0')!));
  assert.equal(printBytes(parseRange('10.1.2.3/20')!.bytes), '10.1.0.0');
  assert.equal(parseRange('::ffff:10.0.0.0/104')!.prefix, 8);
});
