/**
 * The PROXY protocol: what is said in both versions, and what is refused, however the bytes are split.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyHeaderReader, ProxyHeaderState } from '../../src/wire/proxy-header.ts';

const signature = '0d0a0d0a000d0a515549540a';
/** 192.0.2.10:4711 to 10.0.0.1:443. */
const inet = 'c000020a0a000001126701bb';

function binary(verb: string, family: string, body: string): Buffer {
  const length = (body.length / 2).toString(16).padStart(4, '0');
  return Buffer.from(`${signature}${verb}${family}${length}${body}`, 'hex');
}

const good: readonly (readonly [what: string, bytes: Buffer, address: string, port: number])[] = [
  ['TCP4', Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n'), '192.0.2.7', 4711],
  ['TCP6', Buffer.from('PROXY TCP6 2001:DB8:0::7 ::1 4711 443\r\n'), '2001:db8::7', 4711],
  ['mapped TCP6', Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n'), '192.0.2.7', 1],
  ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), '', 0],
  ['UNKNOWN with more', Buffer.from('PROXY UNKNOWN ff:: ff:: 1 2\r\n'), '', 0],
  ['version 2, IPv4', binary('21', '11', inet), '192.0.2.10', 4711],
  ['version 2, IPv4 with more', binary('21', '11', `${inet}0400010a`), '192.0.2.10', 4711],
  [
    'version 2, IPv6',
    binary('21', '21', `20010db8${'0'.repeat(22)}07${'0'.repeat(32)}126701bb`),
    '2001:db8::7',
    4711,
  ],
  [
    'version 2, mapped IPv6',
    binary('21', '21', `${'0'.repeat(20)}ffffc0000207${'0'.repeat(32)}126701bb`),
    '192.0.2.7',
    4711,
  ],
  [
    'version 2, translated IPv6, which is not a mapped one',
    binary('21', '21', `${'0'.repeat(16)}ffff00000a000005${'0'.repeat(32)}126701bb`),
    '::ffff:0:a00:5',
    4711,
  ],
  ['version 2, LOCAL', binary('20', '00', ''), '', 0],
  ['version 2, a Unix socket', binary('21', '31', '00'.repeat(216)), '', 0],
];

for (const [what, bytes, address, port] of good) {
  test(`${what} says ${address || 'nothing'}, and what follows is not its own`, () => {
    for (let end = 0; end < bytes.length; end++) {
      const reader = new ProxyHeaderReader();
      assert.equal(reader.read(bytes.subarray(0, end)), ProxyHeaderState.More, `${end} bytes`);
    }
    const reader = new ProxyHeaderReader();
    const all = Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1')]);
    assert.equal(reader.read(all), ProxyHeaderState.Done);
    assert.deepEqual([reader.address, reader.port, reader.length], [address, port, bytes.length]);
  });
}

const bad: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['a request', Buffer.from('GET / HTTP/1.1\r\n')],
  ['a ClientHello', Buffer.from('16030100', 'hex')],
  ['lower case', Buffer.from('proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n')],
  ['no address', Buffer.from('PROXY TCP4 nobody 10.0.0.1 1 2\r\n')],
  ['an address of the other family', Buffer.from('PROXY TCP4 ::1 10.0.0.1 1 2\r\n')],
  ['a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
  ['a port beyond 65535', Buffer.from('PROXY TCP4 1.2.3.4 10.0.0.1 65536 2\r\n')],
  ['a port with a sign', Buffer.from('PROXY TCP4 1.2.3.4 10.0.0.1 +1 2\r\n')],
  ['a word too many', Buffer.from('PROXY TCP4 1.2.3.4 10.0.0.1 1 2 3\r\n')],
  ['a word too few', Buffer.from('PROXY TCP4 1.2.3.4 10.0.0.1 1\r\n')],
  ['another family', Buffer.from('PROXY UDP4 1.2.3.4 10.0.0.1 1 2\r\n')],
  ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(100)}`)],
  ['version 1 in binary', binary('11', '11', inet)],
  ['an unknown command', binary('22', '11', inet)],
  ['addresses that are cut', binary('21', '11', inet.slice(0, -2))],
  ['more than 4 KiB', Buffer.from(`${signature}2111ffff`, 'hex')],
];

for (const [what, bytes] of bad) {
  test(`${what} is refused`, () => {
    assert.equal(new ProxyHeaderReader().read(bytes), ProxyHeaderState.Refused);
  });
}
