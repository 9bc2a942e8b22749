/**
 * Laws of the readers and printers, over generated messages (fast-check).
 *
 * Seeds are fast-check's own: a failure prints the seed and the smallest counter-example.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { trafficLimits } from '../../src/model/limits.ts';
import { normalise } from '../../src/wire/http1/target.ts';
import { byteByByte, type DriveOptions, drive, type Outcome, splitAt, whole } from './drive.ts';
import { bodyOf, brokenStream, printMessage, request, response } from './generate.ts';

const roles = [
  { role: 'request', message: request },
  { role: 'response', message: response },
] as const;

function verdictOf({ messages, refused, unread }: Outcome): unknown {
  return { messages, refused, unread };
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

for (const { role, message } of roles) {
  const options: DriveOptions = { role };

  test(`a lawful ${role} is taken, and its body is the one that was sent`, () => {
    fc.assert(
      fc.property(message, (sent) => {
        const { messages, refused } = drive(whole(latin1(printMessage(sent))), options);
        assert.equal(refused, undefined);
        assert.equal(messages.length, 1);
        assert.equal(messages[0]!.complete, true);
        assert.equal(messages[0]!.body, bodyOf(sent));
      }),
      { numRuns: 1000 },
    );
  });

  test(`the verdict on a ${role} does not depend on how its bytes are split`, () => {
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

  test(`a printed ${role} parses to itself`, () => {
    fc.assert(
      fc.property(message, (sent) => {
        const first = drive(whole(latin1(printMessage(sent))), options).messages[0]!;
        const second = drive(whole(latin1(framedAgain(first))), options).messages[0]!;
        assert.equal(second.head, first.head);
        assert.equal(second.body, first.body);
        assert.equal(second.trailers, first.trailers);
      }),
      { numRuns: 1000 },
    );
  });

  test(`a refused ${role} stays refused, whatever follows`, () => {
    fc.assert(
      fc.property(brokenStream(message), fc.uint8Array({ maxLength: 40 }), (bytes, more) => {
        const open = { ...options, closes: false };
        const { refused } = drive(whole(bytes), open);
        fc.pre(refused !== undefined);
        const longer = Buffer.concat([bytes, more]);
        assert.deepEqual(drive(whole(longer), open).refused, refused);
        assert.deepEqual(drive([bytes, Buffer.from(more)], open).refused, refused);
      }),
      { numRuns: 1000 },
    );
  });

  test(`bytes held of a ${role} stay below the head's limit`, () => {
    const limits = {
      ...trafficLimits,
      headBytesMax: 128,
      targetBytesMax: 40,
      fieldNameBytesMax: 16,
      headFieldsMax: 6,
      trailerBytesMax: 32,
    };
    const bytes = fc.oneof(
      brokenStream(message),
      fc.uint8Array({ maxLength: 400 }).map((random) => Buffer.from(random)),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 6 }), (stream, points) => {
        const split = points.map((point) => point % (stream.length + 1));
        const outcome = drive(splitAt(stream, split), { ...options, limits });
        assert.ok(outcome.heldMax <= limits.headBytesMax, `${outcome.heldMax} bytes held`);
        const verdict = verdictOf(drive(whole(stream), { ...options, limits }));
        assert.deepEqual(verdictOf(outcome), verdict);
      }),
      { numRuns: 1500 },
    );
  });
}

/** A message that was read, as it would be written: the body in one chunk, if it is so framed. */
function framedAgain(message: { head: string; body: string; trailers: string }): string {
  if (!message.head.includes('\r\nTransfer-Encoding: chunked\r\n'))
    return message.head + message.body;
  const size = message.body.length;
  const chunk = size === 0 ? '' : `${size.toString(16)}\r\n${message.body}\r\n`;
  return `${message.head}${chunk}0\r\n${message.trailers}\r\n`;
}

test('a normal path is its own normal form, without dots, empty segments or plain escapes', () => {
  const part = fc.constantFrom(
    '/',
    '.',
    '..',
    'a',
    '%2e',
    '%2E',
    '%61',
    '%c3%a9',
    ';',
    '%20',
    '//',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const normal = normalise(`/${parts.join('')}`);
      assert.equal(normalise(normal), normal);
      assert.doesNotMatch(normal, /\/\/|\/\.\.?(\/|$)|%2[eE]|%61|%c3/);
      assert.ok(normal.startsWith('/'));
    }),
    { numRuns: 2000 },
  );
});
