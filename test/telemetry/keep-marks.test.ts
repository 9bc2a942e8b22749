/** Marks of traces: what holds for how long, and that nothing grows or is mistaken. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import { KeepMarks, Verdict } from '../../src/telemetry/keep/keep-marks.ts';

const { Keep, Refused, None } = Verdict;

test('a mark is news once, and found by all four words of the id', () => {
  const marks = new KeepMarks(7);
  assert.equal(marks.isEmpty, true);
  assert.equal(marks.mark(1, 2, 3, 4, Keep, 0), true);
  assert.equal(marks.isEmpty, false);
  assert.equal(marks.mark(1, 2, 3, 4, Keep, 1), false);
  assert.equal(marks.verdictOf(1, 2, 3, 4), Keep);
  for (const [id0, id1, id2, id3] of [
    [0, 2, 3, 4],
    [1, 0, 3, 4],
    [1, 2, 0, 4],
    [1, 2, 3, 0],
  ] as const) {
    assert.equal(marks.verdictOf(id0, id1, id2, id3), None);
  }
});

test('a trace that was refused may be kept, and one that is kept is never refused', () => {
  const marks = new KeepMarks(7);
  assert.equal(marks.mark(1, 2, 3, 4, Refused, 0), true);
  assert.equal(marks.mark(1, 2, 3, 4, Refused, 0), false);
  assert.equal(marks.verdictOf(1, 2, 3, 4), Refused);
  assert.equal(marks.mark(1, 2, 3, 4, Keep, 0), true);
  assert.equal(marks.mark(1, 2, 3, 4, Refused, 0), false);
  assert.equal(marks.verdictOf(1, 2, 3, 4), Keep);
});

test('a mark holds for one to two generations', () => {
  const { markMs } = keepLimits;
  const marks = new KeepMarks(7);
  marks.mark(1, 1, 1, 1, Keep, 0);
  marks.mark(2, 2, 2, 2, Keep, markMs - 1);
  marks.expire(markMs);
  assert.equal(marks.verdictOf(1, 1, 1, 1), Keep);
  marks.mark(3, 3, 3, 3, Keep, markMs);
  marks.expire(2 * markMs);
  assert.equal(marks.verdictOf(1, 1, 1, 1), None);
  assert.equal(marks.verdictOf(2, 2, 2, 2), None);
  assert.equal(marks.verdictOf(3, 3, 3, 3), Keep);
  marks.expire(3 * markMs);
  assert.equal(marks.isEmpty, true);
});

test('after a silence every mark is gone at the first look', () => {
  const marks = new KeepMarks(7);
  marks.mark(1, 1, 1, 1, Keep, 0);
  marks.expire(1_000_000);
  assert.equal(marks.isEmpty, true);
  assert.equal(marks.verdictOf(1, 1, 1, 1), None);
});

test('as many marks as one generation has room for are all found, whatever ids share', () => {
  const marks = new KeepMarks(seededRandom(3).u32());
  for (let id = 1; id <= keepLimits.marksMax; id++) {
    assert.equal(marks.mark(id, 5, id << 20, 7, Keep, 0), true);
  }
  for (let id = 1; id <= keepLimits.marksMax; id++) {
    assert.equal(marks.verdictOf(id, 5, id << 20, 7), Keep);
    assert.equal(marks.verdictOf(id, 5, id << 20, 8), None);
  }
  assert.equal(marks.lost, 0);
});

test('too many marks drive out the oldest, counted, and the newest are found', () => {
  const { marksMax } = keepLimits;
  const marks = new KeepMarks(11);
  const total = marksMax * 4 + 10;
  for (let id = 1; id <= total; id++) marks.mark(id, 0, 0, id, Keep, 0);
  assert.equal(marks.lost, marksMax * 3);
  assert.equal(marks.verdictOf(1, 0, 0, 1), None);
  for (let id = total - marksMax; id <= total; id++) {
    assert.equal(marks.verdictOf(id, 0, 0, id), Keep);
  }
});
