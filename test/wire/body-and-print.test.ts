/**
 * The body reader's contract with its caller, and the printers' cases that the corpus does not reach.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { BodyKind } from '../../src/wire/http1/body-kind.ts';
import { BodyReader, BodyState } from '../../src/wire/http1/body-reader.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import {
  lastChunk,
  printChunkHead,
  printLocalReply,
  printRequestHead,
  printResponseHead,
} from '../../src/wire/http1/print.ts';
import { reasonName } from '../../src/wire/http1/refusal.ts';

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function readHead(text: string, role: 'request' | 'response'): MessageHead {
  const head = new MessageHead();
  const reader = new HeadReader(head, role, trafficLimits);
  assert.equal(reader.read(latin1(text), 0), HeadState.Done, reader.refusal.detail);
  return head;
}

function beginBody(fields: string): BodyReader {
  const reader = new BodyReader(trafficLimits);
  reader.begin(readHead(`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, 'request'));
  return reader;
}

class Recorder {
  readonly runs: string[] = [];

  onBody(chunk: Buffer, start: number, end: number): void {
    this.runs.push(chunk.toString('latin1', start, end));
  }
}

test('a body by length ends where it ends, and the rest is left', () => {
  const reader = beginBody('Content-Length: 6\r\n');
  const sink = new Recorder();
  assert.equal(reader.read(latin1('..abc'), 2, sink), BodyState.More);
  assert.equal(reader.read(latin1('defGET'), 0, sink), BodyState.Done);
  assert.equal(reader.position, 3);
  assert.deepEqual(sink.runs, ['abc', 'def']);
});

test('a message without a body is done without a byte', () => {
  const reader = beginBody('');
  const sink = new Recorder();
  assert.equal(reader.read(latin1('xGET'), 1, sink), BodyState.Done);
  assert.equal(reader.position, 1);
  assert.equal(reader.end(), BodyState.Done);
  assert.deepEqual(sink.runs, []);
});

test('a chunked body gives one run per chunk and piece, and its declared trailers', () => {
  const reader = beginBody(
    'Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTrailer: grpc-status\r\n',
  );
  const sink = new Recorder();
  assert.equal(reader.read(latin1('3\r\nabc\r\n4\r\nde'), 0, sink), BodyState.More);
  const end = 'fg\r\n0\r\nx-sum: 1\r\nOther: 2\r\nGrpc-Status: 0\r\n\r\n';
  assert.equal(reader.read(latin1(`${end}GET`), 0, sink), BodyState.Done);
  assert.equal(reader.position, end.length);
  assert.deepEqual(sink.runs, ['abc', 'de', 'fg']);
  assert.equal(reader.trailers, 'x-sum: 1\r\nGrpc-Status: 0\r\n');
});

test('a defect in a chunked body is refused where it is, behind the data before it', () => {
  const reader = beginBody('Transfer-Encoding: chunked\r\n');
  const sink = new Recorder();
  assert.equal(reader.read(latin1('3\r\nab'), 0, sink), BodyState.More);
  assert.equal(reader.read(latin1('c\r\nzz'), 0, sink), BodyState.Refused);
  assert.deepEqual(sink.runs, ['ab', 'c']);
  assert.equal(reasonName(reader.refusal.reason), 'ChunkSize');
  assert.equal(reader.refusal.offset, '3\r\nabc\r\n'.length);
  assert.equal(reader.read(latin1('0\r\n\r\n'), 0, sink), BodyState.Refused);
});

for (const [title, fields, bytes] of [
  ['a body by length', 'Content-Length: 4\r\n', 'abc'],
  ['a chunk', 'Transfer-Encoding: chunked\r\n', '4\r\nabc'],
  ['a chunk that lacks its CRLF', 'Transfer-Encoding: chunked\r\n', '3\r\nabc'],
  ['a body that lacks its last chunk', 'Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n'],
  ['a body that lacks its last CRLF', 'Transfer-Encoding: chunked\r\n', '0\r\n'],
  ['a body of which nothing came', 'Content-Length: 4\r\n', ''],
] as const) {
  test(`${title} that is cut is never complete`, () => {
    const reader = beginBody(fields);
    assert.equal(reader.read(latin1(bytes), 0, new Recorder()), BodyState.More);
    assert.equal(reader.end(), BodyState.Refused);
    assert.equal(reader.refusal.cause, 'client-gone');
  });
}

test('a response without a length is complete when the connection ends', () => {
  const head = readHead('HTTP/1.1 200 OK\r\n\r\n', 'response');
  assert.equal(head.persistent, false);
  const reader = new BodyReader(trafficLimits);
  reader.begin(head);
  const sink = new Recorder();
  assert.equal(reader.read(latin1('abc'), 0, sink), BodyState.More);
  assert.equal(reader.end(), BodyState.Done);
  assert.deepEqual(sink.runs, ['abc']);
});

test('a request is printed with what the proxy adds, and without what it drops', () => {
  const head = readHead(
    'GET /a//b?c HTTP/1.1\r\nHost: a\r\nX-Old: 1\r\nAccept: */*\r\nx-old: 2\r\n\r\n',
    'request',
  );
  head.drop('x-old');
  assert.equal(
    printRequestHead(head, 'X-New: 3\r\n'),
    'GET /a/b?c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-New: 3\r\n\r\n',
  );
});

const chunkedHead = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n';

test('a chunked response to an HTTP/1.0 downstream ends with the connection', () => {
  const head = readHead(chunkedHead, 'response');
  assert.equal(
    printResponseHead(head, '', BodyKind.Chunked, 0, true),
    'HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\n',
  );
  assert.equal(
    printResponseHead(head, 'Via: z\r\n', BodyKind.Chunked, 1, true),
    'HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\nVia: z\r\n\r\n',
  );
  assert.equal(
    printResponseHead(head, '', BodyKind.Chunked, 1, false),
    'HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
  );
});

test('a response by length keeps an HTTP/1.0 downstream, and says so', () => {
  const head = readHead('HTTP/1.0 200 OK\r\nContent-Length: 02\r\n\r\n', 'response');
  assert.equal(
    printResponseHead(head, '', head.bodyKind, 0, true),
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n',
  );
});

test('a close-delimited response may become chunked', () => {
  const head = readHead('HTTP/1.1 200 OK\r\nX: y\r\n\r\n', 'response');
  assert.equal(
    printResponseHead(head, '', BodyKind.Chunked, 1, true),
    'HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  assert.match(printResponseHead(head, '', BodyKind.UntilClose, 1, true), /Connection: close/);
});

test('an interim response carries no Connection', () => {
  const head = readHead('HTTP/1.1 100 Continue\r\n\r\n', 'response');
  assert.equal(
    printResponseHead(head, '', BodyKind.None, 1, false),
    'HTTP/1.1 100 Continue\r\n\r\n',
  );
});

test('a local reply is whole', () => {
  assert.equal(
    printLocalReply(431, [['Connection', 'close']], 'too big\n'),
    'HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n' +
      'Content-Length: 8\r\n\r\ntoo big\n',
  );
});

test('every status that is answered here has its phrase', () => {
  const answered = Object.values(failure).map(({ httpStatus }) => httpStatus);
  for (const status of [301, ...answered]) {
    if (status === 0 || status === 499) continue;
    assert.match(printLocalReply(status, [], ''), /^HTTP\/1\.1 \d{3} [A-Z][A-Za-z ]+\r\n/);
  }
});

test('chunks are printed in hexadecimal', () => {
  assert.equal(printChunkHead(26), '1a\r\n');
  assert.equal(lastChunk, '0\r\n\r\n');
});
