/**
 * The lenient reader and its printer: heads that go on as they were sent, and laws over all of them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { trafficLimits } from '../../src/model/limits.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { Dropped, MessageHead } from '../../src/wire/http1/message-head.ts';
import { reasonName } from '../../src/wire/http1/refusal.ts';
import { readCorpus } from '../conformance/http1/corpus.ts';
import { byteByByte, drive, type Outcome, splitAt, whole } from './drive.ts';
import { brokenStream, request, response } from './generate.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');

function readLenient(text: string, role: 'request' | 'response' = 'request'): MessageHead {
  const head = new MessageHead();
  const reader = new HeadReader(head, role, trafficLimits);
  reader.isLenient = true;
  assert.equal(reader.read(latin1(text), 0), HeadState.Done, reader.refusal.detail);
  return head;
}

for (const [target, fault, at] of [
  ['/a#b', 'TargetFragment', 6],
  ['/a?b#c', 'TargetFragment', 8],
  ['/a\\b', 'TargetByte', 6],
  ['/\u00e9', 'TargetByte', 5],
  ['/a%2fb', 'TargetHiddenByte', 10],
  ['/a%zz', 'TargetEscape', 9],
  ['cgi-bin/x', 'TargetForm', 13],
  ['?k=v', 'TargetForm', 8],
  ['https://a/', 'TargetForm', 14],
  ['http://b/', 'TargetAuthority', 24],
] as const) {
  test(`${target} is taken with a fault, at a fixed byte`, () => {
    const text = `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const head = readLenient(text);
    assert.equal(reasonName(head.fault), fault);
    assert.equal(head.faultAt, at);
    const [message] = drive(byteByByte(latin1(text)), { isLenient: true }).messages;
    assert.equal(message!.head, text);
  });
}

test('a target over its limit is taken with a fault, found where the limit is', () => {
  const { targetBytesMax } = trafficLimits;
  for (const target of [`/${'a'.repeat(targetBytesMax)}`, `/?${'a'.repeat(targetBytesMax)}`]) {
    const text = `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const head = readLenient(text);
    assert.equal(reasonName(head.fault), 'TargetLong');
    assert.deepEqual([head.faults, head.faultAt], [1, 4 + targetBytesMax]);
    const [message] = drive(byteByByte(latin1(text)), { isLenient: true }).messages;
    assert.equal(message!.head, text);
  }
  assert.equal(readLenient(`GET /${'a'.repeat(targetBytesMax - 1)} HTTP/1.0\r\n\r\n`).fault, 0);
});

test('an empty line before a request goes on with it, and with it alone', () => {
  const requests = ['\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /b HTTP/1.1\r\nHost: a\r\n\r\n'];
  const bytes = latin1(requests.join(''));
  for (const { messages } of [
    drive(whole(bytes), { isLenient: true }),
    drive(byteByByte(bytes), { isLenient: true }),
  ]) {
    assert.deepEqual(
      messages.map(({ head }) => head),
      requests,
    );
  }
});

test('the first fault is the one that is told', () => {
  assert.equal(
    reasonName(readLenient('BREW /a#b HTTP/1.1\r\nHost: \r\n\r\n').fault),
    'MethodUnknown',
  );
  assert.equal(
    reasonName(readLenient('GET /a#b HTTP/1.1\r\nHost: \r\n\r\n').fault),
    'TargetFragment',
  );
});

test('an odd Host is no name to be routed by', () => {
  for (const host of ['', 'a b', 'user@a', 'a/b', 'a:99999']) {
    const head = readLenient(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal(reasonName(head.fault), 'HostInvalid');
    assert.equal(head.hostname(), '');
  }
});

test('a fault of one message is not the next one', () => {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  reader.isLenient = true;
  reader.read(latin1('GET a HTTP/1.1\r\nHost: a\r\n\r\n'), 0);
  assert.notEqual(head.fault, 0);
  reader.read(latin1('GET /a HTTP/1.1\r\nHost: a\r\n\r\n'), 0);
  assert.equal(head.fault, 0);
});

for (const text of [
  'PRI * HTTP/2.0\r\n\r\n',
  'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n\r\n',
  'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n',
  'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n',
  'TRACE / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
  'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET  /a HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a HTTP/1.1\r\n\r\n',
  `${'M'.repeat(33)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
  'GET /a HTTP/1.1\nHost: a\r\n\r\n',
  'GET /a HTTP/1.1\r\nHost: a\n\r\n',
  'GET /a HTTP/1.1\r\nHost: a\r\n\n',
]) {
  test(`a lenient reader refuses ${JSON.stringify(text.slice(0, 50))}`, () => {
    assert.notEqual(drive(whole(latin1(text)), { isLenient: true }).refused, undefined);
  });
}

test('a status of no known class goes on with its body', () => {
  const text = 'HTTP/1.1 999 Odd\r\nContent-Length: 4\r\n\r\n';
  for (const cut of [whole, byteByByte]) {
    const options = { role: 'response', isLenient: true } as const;
    const { messages } = drive(cut(latin1(`${text}body`)), options);
    assert.equal(messages[0]!.head, text);
    assert.equal(messages[0]!.body, 'body');
    const { refused } = drive(cut(latin1(text)), { role: 'response' });
    assert.notEqual(refused, undefined, 'a strict reader refuses it');
  }
  for (const status of ['099', '000', '1000']) {
    const bytes = latin1(`HTTP/1.1 ${status} Odd\r\n\r\n`);
    assert.notEqual(drive(whole(bytes), { role: 'response', isLenient: true }).refused, undefined);
  }
});

test('lines of a response may end in LF and be folded, and are printed so', () => {
  const text = 'HTTP/1.0 200\nA: one\n  two\r\n\tthree \nTransfer-Encoding: chunked\nB:\n\nrest';
  const { messages } = drive(byteByByte(latin1(text)), { role: 'response', isLenient: true });
  assert.equal(messages[0]!.head, text.slice(0, -4));
  assert.equal(messages[0]!.body, 'rest', 'HTTP/1.0 knows no coding: until the end');
  const head = readLenient(text.slice(0, -4), 'response');
  assert.deepEqual([head.count, head.value(0), head.value(2)], [3, 'one\n  two\r\n\tthree', '']);
});

test('two lengths and a length that is none are refused in any kind of lines', () => {
  for (const fields of [
    'Content-Length: 1\nContent-Length: 2\n',
    'Content-Length: 1\n 2\n',
    'Content-Length: 1\nTransfer-Encoding: chunked\n',
    'Transfer-Encoding: gzip\n chunked\n',
    ' X: y\n',
  ]) {
    const text = `HTTP/1.1 200 OK\n${fields}\n`;
    const { refused } = drive(whole(latin1(text)), { role: 'response', isLenient: true });
    assert.notEqual(refused, undefined, fields);
  }
});

test('fields of the hop are kept for what goes on as sent, nominated ones for nobody', () => {
  const marks = (fields: string) => {
    const head = readLenient(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    return Array.from(head.dropped.subarray(1, head.count));
  };
  const { Kept, Normalised, Never } = Dropped;
  assert.deepEqual(marks('Connection: keep-alive\r\nKeep-Alive: 5\r\n'), [Normalised, Normalised]);
  assert.deepEqual(marks('Connection: close, TE\r\nTE: trailers\r\n'), [Normalised, Normalised]);
  assert.deepEqual(marks('TE: gzip\r\nX: y\r\n'), [Never, Kept]);
  assert.deepEqual(marks('Connection: close, x\r\nX: y\r\nconnection: close\r\n'), [
    Never,
    Never,
    Never,
  ]);
  assert.deepEqual(marks('Connection: Upgrade\r\nUpgrade: a\r\nupgrade: b\r\n'), [
    Normalised,
    Kept,
    Kept,
  ]);
  assert.deepEqual(marks('Upgrade: a\r\n'), [Normalised]);
});

function verdictOf({ messages, refused, unread }: Outcome): unknown {
  return { messages, refused, unread };
}

for (const [role, message] of [
  ['request', request],
  ['response', response],
] as const) {
  const options = { role, isLenient: true } as const;

  test(`a lenient verdict on a ${role} does not depend on how its bytes are split`, () => {
    const places = fc.array(fc.nat(), { maxLength: 6 });
    fc.assert(
      fc.property(brokenStream(message), places, (bytes, points) => {
        const verdict = verdictOf(drive(whole(bytes), options));
        const split = points.map((point) => point % (bytes.length + 1));
        assert.deepEqual(verdictOf(drive(splitAt(bytes, split), options)), verdict);
        assert.deepEqual(verdictOf(drive(byteByByte(bytes), options)), verdict);
      }),
      { numRuns: 1500 },
    );
  });

  test(`what a strict reader takes of a ${role} a lenient one takes with the same body`, () => {
    fc.assert(
      fc.property(brokenStream(message), (bytes) => {
        const strict = drive(whole(bytes), { role });
        if (strict.refused !== undefined) return;
        const lenient = drive(whole(bytes), options);
        assert.equal(lenient.refused, undefined);
        const bodies = ({ messages }: Outcome) =>
          messages.map(({ body, complete }) => [body, complete]);
        assert.deepEqual(bodies(lenient), bodies(strict));
      }),
      { numRuns: 1500 },
    );
  });
}

test('the corpus: what is refused of a strict reader for its framing is refused of a lenient one', () => {
  const lenientOnly =
    /^(Target|MethodRefused|MethodUnknown|SwitchUnasked|Host(Invalid)|BareLf|Fold|CodingOnHttp10|BareCr)/;
  for (const each of readCorpus().flatMap(({ cases }) => cases)) {
    const reason = each.expect.refused?.reason;
    if (reason === undefined || lenientOnly.test(reason)) continue;
    // A status of no known class is the client's to understand.
    if (/^HTTP\/1\.1 [6-9]\d\d /.test(each.bytes.toString('latin1'))) continue;
    const { role } = each;
    const { refused } = drive(whole(each.bytes), { role, isLenient: true });
    assert.notEqual(refused, undefined, `${each.id} ${each.title}`);
  }
});

test('the corpus: a head without nominated fields or a dropped offer goes on byte for byte', () => {
  let same = 0;
  for (const each of readCorpus().flatMap(({ cases }) => cases)) {
    if (each.expect.pass === undefined && each.expect.sanitise === undefined) continue;
    const text = each.bytes.toString('latin1');
    if (/connection:.*(x-|forwarded|expect|content|transfer|host)/i.test(text)) continue;
    if (/^te: *[^t]/im.test(text)) continue;
    if (/^upgrade:/im.test(text) && /^(content-length|transfer-encoding):/im.test(text)) continue;
    const { role } = each;
    for (const { head } of drive(whole(each.bytes), { role, isLenient: true }).messages) {
      assert.ok(text.includes(head), `${each.id}: ${head}`);
      same++;
    }
  }
  assert.ok(same > 50, String(same));
});
