/** Warnings: one a period about each subject, and never more subjects than the limit says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import type { ProxyScope } from '../../src/proxy/scope/proxy-scope.ts';
import { WarningLimits } from '../../src/proxy/scope/warning-limit.ts';

function limitsOf(warnedSubjectsMax: number) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = (_level: string, text: string) => lines.push(text);
  const limits = { refusalWarningMs: 1_000, warnedSubjectsMax };
  // The three that it asks a scope for.
  const warnings = new WarningLimits({ clock, limits, log } as unknown as ProxyScope);
  return { clock, lines, warnings };
}

test('a line about one subject hides no other, and what was left out is counted', () => {
  const { clock, lines, warnings } = limitsOf(2);
  for (const subject of ['a', 'b', 'a', 'a', 'b']) warnings.warn(subject, subject);
  assert.deepEqual(lines, ['a', 'b']);
  clock.advance(1_000);
  for (const subject of ['a', 'b']) warnings.warn(subject, subject);
  assert.deepEqual(lines.slice(2), [
    'a (and 2 more since the last line)',
    'b (and 1 more since the last line)',
  ]);
});

test('subjects beyond the limit share one line a period, until one of the others is silent', () => {
  const { clock, lines, warnings } = limitsOf(2);
  for (const subject of ['a', 'b', 'c', 'd', 'e']) warnings.warn(subject, subject);
  assert.deepEqual(lines, ['a', 'b', 'c']);
  clock.advance(1_000);
  for (const subject of ['f', 'g', 'h', 'i']) warnings.warn(subject, subject);
  assert.deepEqual(lines.slice(3), ['f', 'g', 'h (and 2 more since the last line)']);
});
