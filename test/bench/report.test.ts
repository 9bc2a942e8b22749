/**
 * What people read: drawn from a complete result or not at all, and README holds what was drawn.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  currentHeadline,
  currentSection,
  drawSection,
  newestPublished,
  printReport,
  replaceSection,
} from '../../bench/report.ts';
import { findHoles } from '../../bench/result/result.ts';
import { changeRow, makeResult } from './result-case.ts';

const readme = join(import.meta.dirname, '../../bench/README.md');

test('the report ends with the two numbers and their ratios to Envoy', () => {
  const lines = printReport(makeResult(), 'x.json').trimEnd().split('\n');
  assert.match(lines.at(-2)!, /^cpu_us_per_request +20\.0 \[18\.0\.\.30\.0\] +0\.40 .* x Envoy$/);
  assert.match(lines.at(-1)!, /^added_p50_us +80 \[7\d\.\.1\d\d\] +0\.50 .* x Envoy$/);
});

test('a result with a missing row is refused, and the row is named', () => {
  const whole = makeResult();
  const holed = {
    ...whole,
    rows: whole.rows.filter(
      (row) => !(row.arm === 'envoy' && row.point === 'single' && row.round === 1),
    ),
  };
  assert.deepEqual(findHoles(holed), ['round 2, envoy, single']);
  assert.throws(() => printReport(holed, 'x.json'), /rows are missing: round 2, envoy, single/);
  assert.throws(() => drawSection(holed, 'x.json'), /rows are missing/);
});

test('a row that is there twice is a hole too', () => {
  const whole = makeResult();
  const doubled = { ...whole, rows: [...whole.rows, whole.rows[0]!] };
  assert.throws(() => printReport(doubled, 'x.json'), /2 times/);
});

test('an arm that is not installed is named with the command that installs it', () => {
  const text = printReport(makeResult(), 'x.json');
  assert.match(text, /HAProxy is missing: not installed; to have it: npm run peers haproxy/);
  assert.match(text, /HAProxy: missing/);
});

test('too many dropped rounds print UNPROVEN in place of a number', () => {
  const noisy = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation' && row.round < 2,
    { faults: ['others: 50 %'] },
  );
  const text = printReport(noisy, 'x.json');
  assert.match(text, /cpu_us_per_request +UNPROVEN \(2\/3\)/);
  assert.match(text, /2 of \d+ rows have a fault: others \(2\)/);
});

test('a run that tolerated noise says that it is no measurement', () => {
  assert.match(drawSection(makeResult({ tolerateNoise: true }), 'x.json'), /NOISE WAS TOLERATED/);
});

test('a proxy that did not fill its core is marked as limited by the load', () => {
  const result = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation',
    { values: { elapsedSeconds: 2 } },
  );
  assert.match(printReport(result, 'x.json'), /^tracecar .*50000 \[[^\]]+\] \*/m);
});

test('Tracecar from its sources, or without a span collected, is said so', () => {
  const withProgram = (program: string) => makeResult().arms.map((arm) => ({ ...arm, program }));
  const sources = makeResult({ arms: withProgram('src/cli/tracecar.ts') });
  assert.match(printReport(sources, 'x.json'), /Tracecar ran as src\/cli\/tracecar\.ts: slower/);
  const built = makeResult({ arms: withProgram('dist/tracecar'), spansCollected: 0 });
  const text = printReport(built, 'x.json');
  assert.doesNotMatch(text, /Tracecar ran as/);
  assert.match(text, /NO SPAN REACHED THE COLLECTOR/);
});

test("the READMEs hold what the newest published result draws, and nobody's typing", () => {
  const drawn = [
    [readme, currentSection(newestPublished())],
    [join(import.meta.dirname, '../../README.md'), currentHeadline(newestPublished())],
  ] as const;
  for (const [file, section] of drawn) {
    const text = readFileSync(file, 'utf8');
    assert.equal(text, replaceSection(text, section), 'run: node bench/report.ts --readme');
  }
});
