/**
 * The head reader and the header list, where the corpus does not look: earliness, holding, the view.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failures } from '../../src/model/failure.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import type { RequestView } from '../../src/model/request-view.ts';
import { BodyKind } from '../../src/wire/http1/body-kind.ts';
import { FieldId, fieldIdOf, fieldNames, UNDERSCORED } from '../../src/wire/http1/field-id.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { isIdempotent, Method, methodName } from '../../src/wire/http1/method.ts';
import { Reason, reasonName, refuse } from '../../src/wire/http1/refusal.ts';

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function readRequest(text: string): MessageHead {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  assert.equal(reader.read(latin1(text), 0), HeadState.Done, reader.refusal.detail);
  return head;
}

const early: readonly (readonly [text: string, reason: string])[] = [
  ['\x16', 'TlsHello'],
  ['PRI ', 'Http2Preface'],
  ['PROXY ', 'ProxyLine'],
  [' ', 'Junk'],
  ['\0', 'Junk'],
  ['OPTIONSX', 'MethodUnknown'],
  ['GET /\n', 'Version'],
  ['GET / HTTP/1.1\n', 'BareLf'],
  ['GET / HTTP/1.1\r\nHost: a\n', 'BareLf'],
  ['GET / HTTP/1.1\r\nHost: a\r\n ', 'Fold'],
  ['GET / HTTP/1.1\r\nX ', 'FieldNameSpace'],
];

for (const [text, reason] of early) {
  test(`${JSON.stringify(text)} is refused at its last byte, without waiting for more`, () => {
    const reader = new HeadReader(new MessageHead(), 'request', trafficLimits);
    if (text.length > 1) assert.equal(reader.read(latin1(text.slice(0, -1)), 0), HeadState.More);
    assert.equal(reader.read(latin1(text.slice(-1)), 0), HeadState.Refused);
    assert.equal(reasonName(reader.refusal.reason), reason);
  });
}

test('a refusal names the byte and the field', () => {
  const reader = new HeadReader(new MessageHead(), 'request', trafficLimits);
  const text = 'GET / HTTP/1.1\r\nHost: a\r\nX-Bad: a\0b\r\n\r\n';
  assert.equal(reader.read(latin1(`..${text}`), 2), HeadState.Refused);
  const { offset, field, cause, detail } = reader.refusal;
  assert.deepEqual(
    { offset, field, cause, detail },
    {
      offset: text.indexOf('\0'),
      field: 'X-Bad',
      cause: 'protocol-error',
      detail: 'a control byte in a field value',
    },
  );
});

test('a refused reader refuses until it is reset', () => {
  const reader = new HeadReader(new MessageHead(), 'request', trafficLimits);
  assert.equal(reader.read(latin1('\x16'), 0), HeadState.Refused);
  const good = latin1('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(reader.read(good, 0), HeadState.Refused);
  reader.reset();
  assert.equal(reader.read(good, 0), HeadState.Done);
});

test('an unfinished head is copied, counted and let go', () => {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  const first = latin1('GET /x HTTP/1.1\r\nHost: a\r\nX: o');
  assert.equal(reader.read(first, 0), HeadState.More);
  assert.equal(reader.position, first.length);
  assert.equal(reader.heldBytes, first.length);
  first.fill(0);
  const second = latin1('ne\r\n\r\nrest');
  assert.equal(reader.read(second, 0), HeadState.Done);
  assert.equal(reader.position, second.length - 'rest'.length);
  assert.equal(reader.heldBytes, 0);
  assert.equal(head.text, 'GET /x HTTP/1.1\r\nHost: a\r\nX: one\r\n\r\n');
});

test('an empty line before a request is nothing begun', () => {
  const reader = new HeadReader(new MessageHead(), 'request', trafficLimits);
  assert.equal(reader.read(latin1('\r'), 0), HeadState.More);
  assert.equal(reader.read(latin1('\n'), 0), HeadState.More);
  assert.equal(reader.heldBytes, 0);
  assert.equal(reader.read(latin1('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 0), HeadState.Done);
});

test('a head of exactly the limit is taken, one byte more is not', () => {
  const base = 'GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n'.length;
  for (const [extra, state] of [
    [0, HeadState.Done],
    [1, HeadState.Refused],
  ] as const) {
    const reader = new HeadReader(new MessageHead(), 'request', trafficLimits);
    const value = 'v'.repeat(trafficLimits.headBytesMax - base + extra);
    assert.equal(reader.read(latin1(`GET / HTTP/1.1\r\nHost: a\r\nX: ${value}\r\n\r\n`), 0), state);
  }
});

test('a value has no white space around it', () => {
  const head = readRequest('GET / HTTP/1.1\r\nHost:\t a \t\r\nX: \t \r\n\r\n');
  assert.deepEqual([head.value(0), head.value(1), head.hostname()], ['a', '', 'a']);
});

test('a request without a body expects no 100', () => {
  const head = readRequest('GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n');
  assert.equal(head.expectsContinue, false);
});

test('256 fields are taken', () => {
  const head = readRequest(`GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(255)}\r\n`);
  assert.equal(head.count, 256);
  assert.equal(head.value(255), 'y');
  assert.equal(head.name(0), 'Host');
});

test('nothing of one message is left in the next', () => {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  const full =
    'POST http://a/x?y HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: foo\r\n\r\n';
  assert.equal(reader.read(latin1(full), 0), HeadState.Done);
  assert.deepEqual([head.hasUpgrade, head.persistent, head.target()], [true, false, '/x?y']);
  const expecting =
    'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 007\r\n\r\n';
  assert.equal(reader.read(latin1(expecting), 0), HeadState.Done);
  assert.deepEqual(
    [head.hasUpgrade, head.persistent, head.expectsContinue, head.contentLength],
    [false, true, true, 7],
  );
  assert.equal(reader.read(latin1('GET /z HTTP/1.0\r\n\r\n'), 0), HeadState.Done);
  assert.deepEqual(
    [head.target(), head.authority(), head.hostname(), head.bodyKind, head.contentLength],
    ['/z', '', '', BodyKind.None, 0],
  );
  assert.deepEqual([head.expectsContinue, head.lengthIndex, head.persistent], [false, -1, false]);
});

test('the view answers what routing asks', () => {
  const head = readRequest(
    'GET /a/./b?x=%2F&y HTTP/1.1\r\nHost: Reviews.Default.:9080\r\nEnd-User: jason\r\n' +
      'end-user: bob\r\nX-Gone: 1\r\nConnection: x-gone\r\n\r\n',
  );
  const view: RequestView = head.view;
  assert.equal(view.method, 'GET');
  assert.equal(view.hostname, 'reviews.default');
  assert.equal(view.path, '/a/b');
  assert.equal(view.query, 'x=%2F&y');
  assert.equal(view.field('end-user'), 'jason,bob');
  assert.equal(view.field('x-absent'), undefined);
  assert.equal(view.field('x-gone'), undefined);
  assert.equal(view.field('connection'), undefined);
  assert.equal(head.authority(), 'Reviews.Default.:9080');
});

test('the host name is the one of this message, however alike the last one was', () => {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  for (const [host, expected] of [
    ['Ab', 'ab'],
    ['ab', 'ab'],
    ['cd', 'cd'],
    ['abc', 'abc'],
    ['ab:80', 'ab'],
    ['AB.', 'ab'],
    ['[::1]:80', '[::1]'],
    ['x', 'x'],
  ]) {
    reader.read(latin1(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 0);
    assert.equal(head.view.hostname, expected);
  }
});

test('an absent query is undefined and an empty one is empty', () => {
  assert.equal(readRequest('GET /a HTTP/1.1\r\nHost: a\r\n\r\n').view.query, undefined);
  assert.equal(readRequest('GET /a? HTTP/1.1\r\nHost: a\r\n\r\n').view.query, '');
});

test('every known name is recognised in any case, and nothing else is', () => {
  for (const [id, name] of fieldNames.entries()) {
    if (id === 0) continue;
    for (const written of [name, name.toUpperCase()]) {
      assert.equal(fieldIdOf(latin1(written), 0, written.length), id);
    }
    for (const other of [`${name}x`, `x${name}`, name.slice(1) || 'q', `${name.slice(0, -1)}~`]) {
      assert.equal(fieldIdOf(latin1(other), 0, other.length), FieldId.Other, other);
    }
  }
  assert.equal(Object.keys(FieldId).length, fieldNames.length);
});

test('a name with underscores is only taken for a known one where that would do harm', () => {
  for (const name of ['x_request_id', 'content_length', 'X_Forwarded_Other']) {
    assert.equal(fieldIdOf(latin1(name), 0, name.length), UNDERSCORED, name);
  }
  for (const name of ['x_correlation_id', 'x_b3_traceid', 'server_timing']) {
    assert.equal(fieldIdOf(latin1(name), 0, name.length), FieldId.Other, name);
  }
});

test('methods know their names and whether they may be repeated', () => {
  for (const [name, id] of Object.entries(Method)) assert.equal(methodName(id), name.toUpperCase());
  const repeatable = Object.values(Method).filter(isIdempotent).map(methodName);
  assert.deepEqual(repeatable, ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY']);
  assert.equal(isIdempotent(0), false);
});

test('every reason leads to a failure of the table, on either side', () => {
  const causes = new Set<string>(failures.map(({ cause }) => cause));
  for (const reason of Object.values(Reason)) {
    assert.ok(causes.has(refuse(reason, 'request', 0, '').cause), reasonName(reason));
    const { cause } = refuse(reason, 'response', 0, '');
    assert.ok(
      causes.has(cause) && (cause.startsWith('upstream-') || cause.startsWith('response-')),
    );
  }
});
