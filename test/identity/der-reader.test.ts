import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBits, readDer, readObjectIdentifier, Tag } from '../../src/identity/der-reader.ts';
import { identityLimits } from '../../src/model/authority-limits.ts';

const hex = (text: string) => Buffer.from(text.replace(/ /g, ''), 'hex');

test('a value is read with its children, as views of the bytes', () => {
  const node = readDer(hex('30 06 02 01 05 04 01 ff'));
  assert.equal(node.tag, Tag.Sequence);
  assert.deepEqual(
    node.children.map(({ tag, content }) => [tag, content.toString('hex')]),
    [
      [Tag.Integer, '05'],
      [Tag.OctetString, 'ff'],
    ],
  );
  assert.equal(node.children[1]!.whole.toString('hex'), '0401ff');
});

const deep = (levels: number) => {
  let value = hex('05 00');
  for (let level = 1; level < levels; level += 1) {
    const length =
      value.length < 0x80
        ? Buffer.of(value.length)
        : Buffer.of(0x82, value.length >> 8, value.length & 0xff);
    value = Buffer.concat([Buffer.of(0x30), length, value]);
  }
  return value;
};

const refused: readonly (readonly [string, Buffer, RegExp])[] = [
  ['nothing', hex(''), /missing/],
  ['a tag alone', hex('30'), /before its length/],
  ['bytes after the value', hex('05 00 00'), /1 bytes after/],
  ['an indefinite length', hex('30 80 05 00 00 00'), /indefinite/],
  ['a length in more bytes than it needs', hex('04 81 01 00'), /padded/],
  [
    'a length with a leading zero',
    Buffer.concat([hex('04 82 00 80'), Buffer.alloc(128)]),
    /padded/,
  ],
  ['a length of eight bytes', hex('04 88 00 00 00 00 00 00 00 01 00'), /length of 8 bytes/],
  ['a length that ends too early', hex('04 82 01'), /within its length/],
  ['a value that ends too early', hex('04 05 01 02'), /5 bytes where 2 are left/],
  ['a child past the end of its parent', hex('30 03 04 05 01 02 03 04 05'), /5 bytes where 1/],
  ['a tag number above 30', hex('1f 81 01 00'), /above 30/],
  ['an end-of-contents mark', hex('30 02 00 00'), /end-of-contents/],
  ['17 levels', deep(17), /deeper than 16/],
  ['2000 levels', deep(2_000), /deeper than 16/],
  ['more than 8 KiB', Buffer.alloc(identityLimits.derBytesMax + 1), /at most 8192/],
];

for (const [what, bytes, pattern] of refused) {
  test(`${what} is refused`, () => {
    assert.throws(() => readDer(bytes), { name: 'DerError', message: pattern });
  });
}

test('16 levels are read', () => {
  assert.equal(readDer(deep(16)).tag, Tag.Sequence);
});

test('an object identifier has one spelling', () => {
  const read = (text: string) => readObjectIdentifier(readDer(hex(text)), 'it');
  assert.equal(read('06 03 55 1d 11'), '2.5.29.17');
  assert.equal(read('06 07 2a 86 48 ce 3d 02 01'), '1.2.840.10045.2.1');
  assert.throws(() => read('06 04 55 80 1d 11'), /padded/);
  assert.throws(() => read('06 03 55 1d 91'), /cut short/);
  assert.throws(() => read('06 00'), /empty/);
  assert.throws(() => read('06 0b 55 ff ff ff ff ff ff ff ff ff 7f'), /too large/);
});

test('a bit string whose unused bits are set is refused', () => {
  const read = (text: string) => readBits(readDer(hex(text)), 'it');
  assert.deepEqual(read('03 02 07 80'), { bytes: hex('80'), unused: 7 });
  assert.throws(() => read('03 02 07 81'), /not zero/);
  assert.throws(() => read('03 02 08 80'), /unused/);
  assert.throws(() => read('03 00'), /unused/);
  assert.throws(() => read('03 01 01'), /unused/);
});

test('every cut and every flipped bit of a certificate ends in a verdict, never in another error', async () => {
  const { makeLeaf, makeRoot } = await import('../support/mesh-material.ts');
  const { readSvid } = await import('../../src/identity/svid.ts');
  const { der } = makeLeaf(makeRoot(), { serviceAccount: 'web' });
  for (let length = 0; length < der.length; length += 1) {
    assert.ok('problem' in readSvid(der.subarray(0, length)));
  }
  for (let bit = 0; bit < der.length * 8; bit += 1) {
    const torn = Buffer.from(der);
    torn[bit >> 3]! ^= 1 << (bit & 7);
    const svid = readSvid(torn);
    assert.ok('problem' in svid || svid.id.startsWith('spiffe://'));
  }
});
