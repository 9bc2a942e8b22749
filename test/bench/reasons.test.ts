/**
 * What is said of targets that are missed or open: for each one of the published run, by its id, and
 * never a figure that could go stale.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomesOf } from '../../bench/draw/reports.ts';
import { reasonLines, targetRows } from '../../bench/draw/targets-table.ts';
import { readPublished } from '../../bench/report.ts';
import { reasons } from '../../bench/result/reasons.ts';
import { type TargetOutcome, targets } from '../../bench/result/targets.ts';

function outcomeOf(id: string, more: Partial<TargetOutcome>): TargetOutcome {
  const target = { ...targets.find((each) => each.id === 'memory-rss')!, id };
  return { target, measured: { state: 'absent' }, verdict: 'missed', ...more };
}

const published = outcomesOf(readPublished());

test('every target that the published run missed has a reason', () => {
  const missed = published.filter(({ verdict }) => verdict === 'missed');
  for (const { target } of missed) {
    assert.ok(reasons[target.id], `bench/result/reasons.ts says nothing of ${target.id}`);
  }
  for (const line of reasonLines(published)) {
    assert.doesNotMatch(line, /No reason is written down/);
  }
});

test('every reason is of a target that there is', () => {
  const ids = new Set(targets.map(({ id }) => id));
  for (const id of Object.keys(reasons)) assert.ok(ids.has(id), id);
});

test('a reason has no figure of a run, but for one with its date', () => {
  for (const [id, reason] of Object.entries(reasons)) {
    for (const sentence of reason.split(/(?<=[.;]) /)) {
      const hasUnit = /\d ?(?:us|ms|s|MB|MiB|KiB|bytes|%|x)\b|\d %|\d\.\d/.test(sentence);
      const isDated = /20\d\d-\d\d-\d\d/.test(sentence) || /its 700 ms/.test(sentence);
      assert.ok(!hasUnit || isDated, `${id}: ${sentence}`);
    }
  }
});

test('reasons are told of what is missed or open, once for all that share one', () => {
  const lines = reasonLines([
    outcomeOf('memory-rss', {}),
    outcomeOf('memory-private', {
      verdict: 'open',
      openBecause: '2 of 5 rounds had to be dropped',
    }),
    outcomeOf('start', { verdict: 'met' }),
    outcomeOf('first-requests', { verdict: 'not measured' }),
  ]);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^RSS .* <= 90 MB \(missed\); RSS .* \(open: 2 of 5 rounds had to be dr/);
  assert.ok(lines[0]!.endsWith(`. ${reasons['memory-rss']}`));
});

test('a missed target without a reason is said to have none', () => {
  const [line] = reasonLines([outcomeOf('nobody-knows', {})]);
  assert.match(
    line!,
    /\(missed\)\. No reason is written down yet \(bench\/result\/reasons\.ts\)\.$/,
  );
  const [open] = reasonLines([outcomeOf('nobody-knows', { verdict: 'open', openBecause: 'x' })]);
  assert.match(open!, /\(open: x\)\.$/);
});

test('the limit of a target with a band is the end of the band that was measured', () => {
  const dead = targets.find(({ id }) => id === 'dead-collector-p99')!;
  const limitOf = (more: Partial<TargetOutcome>) =>
    targetRows([{ ...outcomeOf('x', more), target: dead }])[1]![1];
  assert.equal(limitOf({ bandMost: 1.034 }), '<= 1.03 x collector up');
  assert.equal(limitOf({}), '<= the A/A band');
});
