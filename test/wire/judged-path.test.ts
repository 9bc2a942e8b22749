/**
 * The form of a path that policies judge: one spelling for every text that servers take for the same path.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { judgedForm, settleJudgedPath } from '../../src/wire/http1/judged-path.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { printRequestHead } from '../../src/wire/http1/print.ts';
import { normalise } from '../../src/wire/http1/target.ts';

const letters = Array.from({ length: 0x7e - 0x20 }, (_, index) =>
  String.fromCharCode(0x21 + index),
);
/** `%` begins an escape, `#` and `?` end a path, the others part it. */
const parting = '%#?/\\';
const single = letters.filter((letter) => !parting.includes(letter));

function escapeOf(letter: string): string {
  return `%${letter.charCodeAt(0).toString(16)}`;
}

test('of a character and its escape one form is judged, `;` alone has two', () => {
  const different = single.filter(
    (letter) =>
      judgedForm(normalise(`/${letter}`)) !== judgedForm(normalise(`/${escapeOf(letter)}`)),
  );
  // A dot that makes a segment is resolved in both spellings.
  assert.deepEqual(different, [';']);
});

test('the judged form is a normal one, and its own', () => {
  for (const letter of [
    ...single,
    ...letters.map(escapeOf),
    '%20',
    '%C3%A9',
    '%252F',
    '%25%33%41',
  ]) {
    const judged = judgedForm(normalise(`/a${letter}b/${letter}/c`));
    assert.equal(judgedForm(judged), judged, letter);
    assert.equal(normalise(judged), judged, letter);
  }
});

test('a path has no character that RFC 3986 keeps out of it', () => {
  const judged = judgedForm(normalise(`/${single.join('')}`));
  assert.match(judged, /^(?:[A-Za-z0-9._~!$&'()*+,:=@;/-]|%[0-9A-F]{2})+$/);
});

test('a path that is longer in its judged form is forwarded whole', () => {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  const rest = ' HTTP/1.1\r\nHost: a\r\n\r\n';
  const sent = Buffer.from(`GET /${'|'.repeat(2_000)}${rest}`, 'latin1');
  assert.equal(reader.read(sent, 0), HeadState.Done);
  settleJudgedPath(head);
  assert.equal(printRequestHead(head, ''), `GET /${'%7C'.repeat(2_000)}${rest}`);
});
