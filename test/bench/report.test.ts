/**
 * What people read: drawn from complete results or not at all, and README holds what was drawn.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { drawBenchPart } from '../../bench/draw/readme.ts';
import { joinReports, readReports, reportOf } from '../../bench/draw/reports.ts';
import { printReports } from '../../bench/draw/terminal.ts';
import { drawFiles, publishedPictures, readPublished, reportRun } from '../../bench/report.ts';
import { findHoles, writeResult } from '../../bench/result/result.ts';
import type { Result } from '../../bench/result/row.ts';
import { targets } from '../../bench/result/targets.ts';
import { changeRow, makeResult } from './result-case.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-report-'));
after(() => rmSync(folder, { recursive: true }));

function print(result: Result): string {
  return printReports(joinReports([reportOf(result, 'x.json')], false));
}

function withoutRow(result: Result): Result {
  const isHole = ({ arm, point, round }: Result['rows'][number]) =>
    arm === 'envoy' && point === 'single' && round === 1;
  return { ...result, rows: result.rows.filter((row) => !isHole(row)) };
}

test('the report of the plain hop ends with the two numbers and their ratios to Envoy', () => {
  const lines = print(makeResult()).trimEnd().split('\n');
  assert.match(lines.at(-2)!, /^cpu_us_per_request +20\.0 \[18\.0\.\.30\.0\] +0\.40 .* x Envoy$/);
  assert.match(lines.at(-1)!, /^added_p50_us +80 \[7\d\.\.1\d\d\] +0\.50 .* x Envoy$/);
});

test('a result with a missing row is refused, and the row is named', () => {
  const holed = withoutRow(makeResult());
  assert.deepEqual(findHoles(holed), ['round 2, envoy, single']);
  assert.throws(() => reportOf(holed, 'x.json'), /rows are missing: round 2, envoy, single/);
});

test('a row that is there twice is a hole too', () => {
  const whole = makeResult();
  const doubled = { ...whole, rows: [...whole.rows, whole.rows[0]!] };
  assert.throws(() => reportOf(doubled, 'x.json'), /2 times/);
});

test('an arm that is not installed is named with the command that installs it', () => {
  const text = print(makeResult());
  assert.match(text, /HAProxy is missing: not installed; to have it: npm run peers haproxy/);
  assert.match(text, /HAProxy: missing/);
});

test('too many dropped rounds print UNPROVEN in place of a number', () => {
  const noisy = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation' && row.round < 2,
    { faults: ['others: 50 %'] },
  );
  const text = print(noisy);
  assert.match(text, /cpu_us_per_request +UNPROVEN \(2\/3\)/);
  assert.match(text, /2 of \d+ rows have a fault: others \(2\)/);
});

test('a run that tolerated noise says that it is no measurement', () => {
  const noisy = reportOf(makeResult({ tolerateNoise: true }), 'x.json');
  assert.match(drawBenchPart(joinReports([noisy], false), ''), /NOISE WAS TOLERATED/);
});

test('a proxy that did not fill its core is marked as limited by the load', () => {
  const result = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation',
    { values: { elapsedSeconds: 2 } },
  );
  assert.match(print(result), /^tracecar .*50000 \[[^\]]+\] \*/m);
});

test('Tracecar from its sources, or without a span collected, is said so', () => {
  const withProgram = (program: string) => makeResult().arms.map((arm) => ({ ...arm, program }));
  const sources = makeResult({ arms: withProgram('src/cli/tracecar.ts') });
  assert.match(print(sources), /Tracecar ran as src\/cli\/tracecar\.ts: slower/);
  const text = print(makeResult({ arms: withProgram('dist/tracecar'), spansCollected: 0 }));
  assert.doesNotMatch(text, /Tracecar ran as/);
  assert.match(text, /NO SPAN REACHED THE COLLECTOR/);
});

test('a folder names what it lacks, what is unfinished and what is no result', () => {
  writeResult(join(folder, 'hop.json'), makeResult());
  writeResult(join(folder, 'prices.json'), withoutRow(makeResult({ scenario: 'prices' })));
  writeFileSync(join(folder, 'other.json'), '{"schema": "something/1"}');
  const reports = readReports([folder], '/');
  assert.deepEqual(
    reports.list.map(({ result }) => result.scenario),
    ['hop'],
  );
  const text = printReports(reports);
  assert.match(text, /prices\.json is not drawn: rows are missing: round 2, envoy, single\.$/m);
  assert.match(text, /other\.json is not drawn: not a result of this bench/);
  assert.match(text, /^Not measured: B5 tracing/m);
  for (const { what } of targets) assert.ok(text.includes(what), what);
});

test('one file has only the targets of its own scenario', () => {
  writeResult(join(folder, 'hop.json'), makeResult());
  const reports = readReports([join(folder, 'hop.json')], '/');
  assert.deepEqual(reports.gaps, []);
  assert.doesNotMatch(printReports(reports), /10 000 routes/);
});

test('the report of a run leaves its plots beside the results', () => {
  const path = join(folder, 'hop.json');
  writeResult(path, makeResult());
  assert.match(reportRun([path], true), /^Plots in .*: hop-cpu\.svg/m);
  assert.match(readFileSync(join(folder, 'hop-cpu.svg'), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);
});

test("the READMEs and pictures are what the published run draws, and nobody's typing", () => {
  const drawn = drawFiles(readPublished());
  for (const [path, text] of drawn) {
    assert.equal(readFileSync(path, 'utf8'), text, 'run: node bench/report.ts --readme');
  }
  for (const path of publishedPictures()) assert.ok(drawn.has(path), `${path} is drawn by nothing`);
});
