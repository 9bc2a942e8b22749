/**
 * The answer that came last as a measure for the next: only what is right byte for byte passes.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsualAnswer } from '../../bench/load/usual-answer.ts';

const body = Buffer.from('0123456789', 'latin1');
const ids = ['00000000000000a1', '00000000000000a2', '00000000000000a3'] as const;

function answer(id: string, change: (text: string) => string = (text) => text): Buffer {
  const head = 'HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 10\r\n';
  return Buffer.from(
    change(`${head}x-request-id: ${id}\r\n\r\n${body.toString('latin1')}`),
    'latin1',
  );
}

function learned(): UsualAnswer {
  const usual = new UsualAnswer();
  usual.learn(answer(ids[0]), ids[0], body);
  return usual;
}

function matches(usual: UsualAnswer, bytes: Buffer, id: string, expected = body): boolean {
  const chunk = Buffer.concat([bytes, Buffer.from('of an earlier reading')]);
  return usual.matches(chunk, bytes.length, id, expected);
}

test('before any answer nothing matches', () => {
  assert.equal(matches(new UsualAnswer(), answer(ids[0]), ids[0]), false);
  assert.equal(matches(new UsualAnswer(), Buffer.alloc(0), ids[0]), false);
});

test('the same answer with the id of its own request matches, again and again', () => {
  const usual = learned();
  for (const id of ids) assert.equal(matches(usual, answer(id), id), true, id);
});

test('an answer that carries the id of another request does not match', () => {
  assert.equal(matches(learned(), answer(ids[0]), ids[1]), false);
});

test('an answer that differs in any byte, or is cut or longer, does not match', () => {
  const text = answer(ids[1]).toString('latin1');
  for (let at = 0; at < text.length; at++) {
    const spoiled = answer(ids[1], () => `${text.slice(0, at)}~${text.slice(at + 1)}`);
    assert.equal(matches(learned(), spoiled, ids[1]), false, `byte ${at}`);
  }
  assert.equal(matches(learned(), answer(ids[1]).subarray(0, -1), ids[1]), false);
  assert.equal(
    matches(
      learned(),
      answer(ids[1], (whole) => `${whole}0`),
      ids[1],
    ),
    false,
  );
});

test('an answer with the body of another path does not match', () => {
  assert.equal(matches(learned(), answer(ids[1]), ids[1], Buffer.from('9876543210')), false);
});
