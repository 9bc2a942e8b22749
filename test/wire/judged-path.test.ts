/**
 * The form of a path that policies judge: one spelling for every text that servers take for the same path.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgedForm } from '../../src/wire/http1/judged-path.ts';
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
