/**
 * Tables as text: columns that stand under each other, Markdown that shows what was meant.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alignTable, escapeMarkdown, markdownTable } from '../../bench/draw/table.ts';

test('columns are as wide as their widest cell, and lines end with text', () => {
  const rows = [
    ['arm', 'us'],
    ['Tracecar', '20.0'],
    ['x', ''],
  ];
  assert.deepEqual(alignTable(rows), ['arm       us', 'Tracecar  20.0', 'x']);
});

test('a row that is shorter than the head is filled up', () => {
  assert.deepEqual(markdownTable([['a', 'b'], ['1']]), ['| a | b |', '| --- | --- |', '| 1 |  |']);
  assert.deepEqual(alignTable([['a', 'b'], ['1']]), ['a  b', '1']);
});

test('no table is no lines', () => {
  assert.deepEqual(alignTable([]), []);
  assert.deepEqual(markdownTable([]), []);
});

test('what Markdown reads as its own is escaped, and ranges and limits are not', () => {
  assert.equal(escapeMarkdown('1 * 2 `x` <b> <= 3 [1..2]'), '1 \\* 2 \\`x\\` \\<b> <= 3 [1..2]');
  assert.equal(escapeMarkdown('[a](b)'), '\\[a](b)');
  assert.match(markdownTable([['a|b']])[0]!, /^\| a\\\|b \|$/);
});
