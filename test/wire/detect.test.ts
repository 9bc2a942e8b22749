/**
 * Detection of HTTP/1.x by its first bytes: every verdict is the same for every split.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Protocol, ProtocolDetector } from '../../src/wire/detect.ts';

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

const http = [
  'GET / HTTP/1.1\r\n',
  'HEAD / HTTP/1.0\r\n',
  'POST /path?query HTTP/1.1\r\n',
  'PUT * HTTP/1.1\r\n',
  'PATCH /p HTTP/1.1\r\n',
  'DELETE /p HTTP/1.1\r\n',
  'QUERY /p HTTP/1.1\r\n',
  'OPTIONS * HTTP/1.1\r\n',
  'TRACE / HTTP/1.1\r\n',
  'GET http://reviews:9080/ HTTP/1.1\r\n',
  'GET /\xc3\xa9 HTTP/1.1\r\n',
];

const opaque: readonly (readonly [text: string, bytes: number])[] = [
  ['\x16\x03\x01\x02\x00', 1],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 2],
  ['PING\r\n', 2],
  ['*1\r\n$4\r\nPING\r\n', 1],
  ['GET key\r\n', 8],
  ['get / HTTP/1.1\r\n', 1],
  ['GET / HTTP/2.0\r\n', 12],
  ['GET  / HTTP/1.1\r\n', 5],
  ['GETS / HTTP/1.1\r\n', 4],
  ['GET / FTP/1.1\r\n', 7],
  ['CONNECT reviews:443 HTTP/1.1\r\n', 1],
  ['\r\nGET / HTTP/1.1\r\n', 1],
  ['\x00\x00\x00\x08\x04\xd2\x16\x2f', 1],
  ['SSH-2.0-OpenSSH\r\n', 1],
];

for (const text of http) {
  test(`${JSON.stringify(text)} is HTTP, whole and byte by byte`, () => {
    assert.equal(judge(text), Protocol.Http1);
    const { verdict, bytes } = judgeBytewise(text);
    assert.equal(verdict, Protocol.Http1);
    assert.equal(bytes, text.indexOf('HTTP/1.') + 7);
  });
}

for (const [text, bytes] of opaque) {
  test(`${JSON.stringify(text)} is opaque after byte ${bytes}`, () => {
    assert.equal(judge(text), Protocol.Opaque);
    assert.deepEqual(judgeBytewise(text), { verdict: Protocol.Opaque, bytes });
  });
}

test('the beginning of a request line is undecided', () => {
  const line = 'OPTIONS /path HTTP/1.';
  for (let length = 0; length < line.length; length++) {
    assert.equal(judge(line.slice(0, length)), Protocol.Undecided, line.slice(0, length));
  }
});

test('a target over the limit counts as HTTP, so that it is answered 414', () => {
  assert.equal(judge(`GET /${'a'.repeat(targetBytesMax)}`), Protocol.Http1);
  assert.equal(judge(`GET ${'a'.repeat(targetBytesMax)}`), Protocol.Undecided);
});
