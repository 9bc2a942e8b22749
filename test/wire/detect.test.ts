/**
 * Detection of a protocol by its first bytes: every verdict is the same for every split.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Patience, Protocol, ProtocolDetector } from '../../src/wire/detect.ts';

const targetBytesMax = 8 * 1024;

function judge(text: string): number {
  return new ProtocolDetector(targetBytesMax).feed(Buffer.from(text, 'latin1'));
}

/** The verdict, and after how many bytes it came, one byte at a time. */
function judgeBytewise(text: string): { verdict: number; bytes: number } {
  const detector = new ProtocolDetector(targetBytesMax);
  for (let at = 0; at < text.length; at++) {
    const verdict = detector.feed(Buffer.from(text[at]!, 'latin1'));
    if (verdict !== Protocol.Undecided) return { verdict, bytes: at + 1 };
  }
  return { verdict: Protocol.Undecided, bytes: text.length };
}

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** What is spoken, and the bytes after which that is known. */
const cases: readonly (readonly [text: string, verdict: number, bytes: number])[] = [
  ...[
    'GET / HTTP/1.1\r\n',
    'HEAD / HTTP/1.0\r\n',
    'POST /path?query HTTP/1.1\r\n',
    'PUT * HTTP/1.1\r\n',
    'PATCH /p HTTP/1.1\r\n',
    'DELETE /p HTTP/1.1\r\n',
    'QUERY /p HTTP/1.1\r\n',
    'OPTIONS * HTTP/1.1\r\n',
    'TRACE / HTTP/1.1\r\n',
    '\r\nGET / HTTP/1.1\r\n',
    'GET http://reviews:9080/ HTTP/1.1\r\n',
    'GET /\xc3\xa9 HTTP/1.1\r\n',
  ].map((text) => [text, Protocol.Http1, text.indexOf('HTTP/1.') + 7] as const),
  // Of a method that is not known the line must be whole.
  ...[
    'PROPFIND /folder HTTP/1.1\r\n',
    'M-SEARCH * HTTP/1.1\r\n',
    'UPDATEREDIRECTREF / HTTP/1.1\r\n',
    'GETS / HTTP/1.1\r\n',
    'PR / HTTP/1.1\r\n',
    'get / HTTP/1.1\r\n',
    "a!#$%&'*+-.^_`|~bcdefghi / HTTP/1.1\r\n",
    '\r\nPROPFIND / HTTP/1.0\r\n',
    `${'A'.repeat(24)} / HTTP/1.1\r\n`,
  ].map((text) => [text, Protocol.Http1, text.length] as const),
  ['PROPFIND / HTTP/1.1\n\r\n', Protocol.Other, 20],
  ['PROPFIND / HTTP/1.x\r\n', Protocol.Other, 19],
  ['PROPFIND / HTTP/1.1 \r\n', Protocol.Other, 20],
  [preface, Protocol.Http2, 24],
  [`${preface}\x00\x00\x12\x04`, Protocol.Http2, 24],
  ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', Protocol.Tls, 6],
  ['\x16\x03\x03\x00\x01\x01\x16\x03\x03', Protocol.Tls, 6],
  // A ServerHello, SSL 4, an alert.
  ['\x16\x03\x01\x02\x00\x02', Protocol.Other, 6],
  ['\x16\x04\x01\x02\x00\x01', Protocol.Other, 2],
  ['\x15\x03\x01\x00\x02\x02\x28', Protocol.Other, 1],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r ', Protocol.Other, 24],
  ['PRI / HTTP/1.1\r\n', Protocol.Other, 5],
  [`\r\n${preface}`, Protocol.Other, 6],
  ['\r\n\r\nGET / HTTP/1.1\r\n', Protocol.Other, 3],
  ['\r\n\x16\x03\x01', Protocol.Other, 3],
  ['\rGET / HTTP/1.1\r\n', Protocol.Other, 2],
  ['\nGET / HTTP/1.1\r\n', Protocol.Other, 1],
  [`${'A'.repeat(25)} / HTTP/1.1`, Protocol.Other, 25],
  ['PING\r\n', Protocol.Other, 5],
  ['*1\r\n$4\r\nPING\r\n', Protocol.Other, 3],
  ['SET a b\r\n', Protocol.Other, 7],
  ['set a 0 0 1\r\n', Protocol.Other, 7],
  ['EHLO mail.example\r\n', Protocol.Other, 18],
  ['USER a 0 * :b\r\n', Protocol.Other, 8],
  ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', Protocol.Other, 12],
  ['CONNECT {"verbose":false}\r\n', Protocol.Other, 8],
  ['GET key\r\n', Protocol.Other, 8],
  ['GET / HTTP/2.0\r\n', Protocol.Other, 12],
  ['GET  / HTTP/1.1\r\n', Protocol.Other, 5],
  ['GET / FTP/1.1\r\n', Protocol.Other, 7],
  ['CONNECT reviews:443 HTTP/1.1\r\n', Protocol.Other, 8],
  ['\x00\x00\x00\x08\x04\xd2\x16\x2f', Protocol.Other, 1],
  ['SSH-2.0-OpenSSH_9.2 Debian-2\r\n', Protocol.Other, 29],
  ['OPTIONS rtsp://a/ RTSP/1.0\r\n', Protocol.Other, 19],
];

const words = Object.keys(Protocol);

for (const [text, verdict, bytes] of cases) {
  test(`${JSON.stringify(text)} is ${words[verdict]} after byte ${bytes}, whole and bytewise`, () => {
    assert.equal(judge(text), verdict);
    assert.deepEqual(judgeBytewise(text), { verdict, bytes });
  });
}

test('the verdict is the same for every split in three', () => {
  for (const [text, verdict] of cases) {
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const detector = new ProtocolDetector(targetBytesMax);
        for (const part of [text.slice(0, first), text.slice(first, second), text.slice(second)]) {
          detector.feed(Buffer.from(part, 'latin1'));
        }
        assert.equal(detector.verdict, verdict, `${text} at ${first} and ${second}`);
      }
    }
  }
});

test('the beginning of a request line, a preface or a ClientHello is undecided', () => {
  const hello = '\x16\x03\x01\x02\x00\x01';
  for (const line of ['OPTIONS /path HTTP/1.', '\r\nPROPFIND / HTTP/1.', preface, hello]) {
    for (let length = 0; length < line.length; length++) {
      assert.equal(judge(line.slice(0, length)), Protocol.Undecided, line.slice(0, length));
    }
  }
});

test('what cannot be a method that is known is not worth waiting for as long', () => {
  const { None, Word, Line } = Patience;
  for (const [text, patience] of [
    ['G', Line],
    ['GET /path', Line],
    ['PRI *', Line],
    ['\x16\x03\x01', Line],
    ['GETS', Word],
    ['PRO', Word],
    ['GE ', Word],
    ['PROPFIND / HT', Word],
    ['BASELINE-', Word],
    ['\r\nGET', Word],
    ['ruok', None],
    ['GETs', None],
    ['JDWP-Handshake', None],
    ['get / HTTP', None],
  ] as const) {
    const whole = new ProtocolDetector(targetBytesMax);
    assert.equal(whole.feed(Buffer.from(text, 'latin1')), Protocol.Undecided, text);
    assert.equal(whole.patience, patience, text);
    const bytewise = new ProtocolDetector(targetBytesMax);
    for (const byte of text) bytewise.feed(Buffer.from(byte, 'latin1'));
    assert.equal(bytewise.patience, patience, text);
  }
});

test('a target over the limit counts as HTTP where the method is known', () => {
  assert.equal(judge(`GET /${'a'.repeat(targetBytesMax)}`), Protocol.Http1);
  assert.equal(judge(`GETS /${'a'.repeat(targetBytesMax)}`), Protocol.Other);
  assert.equal(judge(`GET ${'a'.repeat(targetBytesMax)}`), Protocol.Undecided);
});
