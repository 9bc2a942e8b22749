/**
 * The HTTP/1.1 corpus: every case whole, byte by byte and at each split point, one verdict.
 *
 * Cases are data (test/conformance/http1); a case of more than 4 KiB is split at places around every
 * line end and at some hundred others instead of all.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { Method } from '../../src/wire/http1/method.ts';
import { type CorpusCase, readCorpus } from '../conformance/http1/corpus.ts';
import { byteByByte, type DriveOptions, drive, type Outcome, splitAt, whole } from './drive.ts';

const files = readCorpus();

function optionsOf({ role, requestMethod }: CorpusCase): DriveOptions {
  return { role, requestMethod: requestMethod === 'HEAD' ? Method.Head : Method.Get };
}

function checkOutcome({ expect }: CorpusCase, outcome: Outcome): void {
  if (expect.refused !== undefined) {
    const { cause, reason, at, status, field } = expect.refused;
    const { refused } = outcome;
    assert.deepEqual(
      { cause: refused?.cause, reason: refused?.reason, at: refused?.at },
      { cause, reason, at },
    );
    assert.equal(Object.values(failure).find((each) => each.cause === cause)?.httpStatus, status);
    if (field !== undefined) assert.equal(refused?.field, field);
    assert.equal(
      outcome.messages.some((message) => message.complete),
      false,
      'a complete message would have gone on',
    );
    if (at === 'head') assert.equal(outcome.messages.length, 0);
    return;
  }
  const expected = expect.pass ?? expect.sanitise ?? [];
  assert.deepEqual(outcome, {
    messages: expected.map(({ head, body, trailers }) => ({
      head,
      body: body ?? '',
      trailers: trailers ?? '',
      complete: true,
    })),
    refused: undefined,
    unread: expect.unread ?? 0,
    held: 0,
    heldMax: outcome.heldMax,
  });
}

/** What must be equal for every split. */
function verdictOf({ messages, refused, unread }: Outcome): unknown {
  return { messages, refused, unread };
}

function splitPoints(bytes: Buffer): number[] {
  const places: number[] = [];
  const step = bytes.length <= 4096 ? 1 : Math.ceil(bytes.length / 200);
  for (let at = 1; at < bytes.length; at++) {
    const isNearLineEnd = step > 1 && at < 4096 && (bytes[at] === 0x0d || bytes[at - 1] === 0x0d);
    if (at % step === 0 || isNearLineEnd) places.push(at);
  }
  return places;
}

for (const { section, cases } of files) {
  for (const each of cases) {
    test(`${section} ${each.id}: ${each.title}`, () => {
      const options = optionsOf(each);
      const outcome = drive(whole(each.bytes), options);
      checkOutcome(each, outcome);
      const verdict = verdictOf(outcome);
      assert.deepEqual(verdictOf(drive(byteByByte(each.bytes), options)), verdict, 'byte by byte');
      for (const place of splitPoints(each.bytes)) {
        const split = drive(splitAt(each.bytes, [place]), options);
        assert.deepEqual(verdictOf(split), verdict, `split at ${place}`);
      }
    });
  }
}

test('the corpus has every row of 2.1 to 2.7', () => {
  const rows = new Set(files.flatMap(({ cases }) => cases.map(({ row }) => row)));
  const missing = Array.from({ length: 151 }, (_, index) => index + 1).filter(
    (row) => !rows.has(row),
  );
  assert.deepEqual(missing, []);
});

test('ids are unique', () => {
  const ids = files.flatMap(({ cases }) => cases.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length);
});
