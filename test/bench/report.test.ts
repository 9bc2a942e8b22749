/**
 * What people read: drawn from complete results or not at all, and README holds what was drawn.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { intervalsOf } from '../../bench/draw/about.ts';
import { drawBenchPart } from '../../bench/draw/readme.ts';
import { joinReports, readReports, reportOf } from '../../bench/draw/reports.ts';
import { showCount } from '../../bench/draw/section.ts';
import { printReports } from '../../bench/draw/terminal.ts';
import { drawFiles, publishedPictures, readPublished, reportRun } from '../../bench/report.ts';
import { findHoles, writeResult } from '../../bench/result/result.ts';
import type { Result } from '../../bench/result/row.ts';
import type { Figure } from '../../bench/result/summary.ts';
import { targets } from '../../bench/result/targets.ts';
import { noStrace } from '../../bench/rounds/work-count.ts';
import { changeRow, makeResult } from './result-case.ts';

const reportFile = join(import.meta.dirname, '../../bench/report.ts');
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
  assert.match(lines.at(-1)!, /^added_p50_us +80 \[7\d\.\.1\d\d\] +0\.50 x Envoy$/);
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

test('what could not be counted is named once, with the command that helps', () => {
  const whole = makeResult();
  const rows = whole.rows.map((row) => ({ ...row, lacks: [noStrace] }));
  const lines = print({ ...whole, rows }).split('\n');
  assert.deepEqual(
    lines.filter((line) => line.includes('strace')),
    ['missing: strace, for system calls; to have it: npm run peers strace'],
  );
});

test('wrong answers have a line of their own, and the arm is named', () => {
  assert.doesNotMatch(print(makeResult()), /WRONG ANSWERS/);
  const wrong = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'many' && row.round < 2,
    { faults: ['wrong answers: 1 body'], values: { errors: 1 } },
  );
  assert.match(print(wrong), /^WRONG ANSWERS OR FAILURES: tracecar in 2 rows\.$/m);
});

test('a run that tolerated noise says that it is no measurement', () => {
  const noisy = reportOf(makeResult({ tolerateNoise: true }), 'x.json');
  assert.match(drawBenchPart(joinReports([noisy], false), ''), /NOISE WAS TOLERATED/);
});

test('a proxy that did not fill its core, or whose load did, is marked as limited by the load', () => {
  const result = changeRow(
    makeResult(),
    (row) => row.arm === 'tracecar' && row.point === 'saturation',
    { values: { elapsedSeconds: 2 } },
  );
  assert.match(print(result), /^tracecar .*50000 \[[^\]]+\] \*/m);
  const loadBusy = (loadCoreBusy: number) =>
    print(changeRow(makeResult(), ({ arm }) => arm === 'tracecar', { values: { loadCoreBusy } }));
  assert.match(loadBusy(0.96), /^tracecar .*50000 \[[^\]]+\] \*/m);
  assert.doesNotMatch(loadBusy(0.94), /50000 \[[^\]]+\] \*/);
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

test('what the intervals are worth is computed from the rounds of the results', () => {
  assert.match(print(makeResult()), /of 3 rounds it is their range and covers about 75 % at best/);
  assert.match(
    print(makeResult()),
    /; of 2 rounds it is their range and covers about 50 % at best\]/,
  );
  const of = (rounds: number) => intervalsOf([makeResult({ rounds, cells: [] })]);
  assert.equal(of(3), '');
  const cells = [{ arm: 'a', point: 'b' }];
  const texts = [1, 5, 21].map((rounds) => intervalsOf([makeResult({ rounds, cells })]));
  assert.equal(texts[0], 'of one round there is none');
  assert.equal(texts[1], 'of 5 rounds it is their range and covers about 94 % at best');
  assert.match(texts[2]!, /^of 21 rounds it covers about 9\d % at best$/);
  // Of five rounds one or two were dropped; with two a figure is unproven, and has no interval.
  const row = { ...makeResult().rows[0]!, arm: 'a', point: 'b', faults: ['others: 9 %'] };
  const [one, two] = [[row], [row, row]].map((rows) =>
    intervalsOf([makeResult({ rounds: 5, cells, rows })]),
  );
  assert.match(
    one!,
    /^of 5 rounds .*; of 4 rounds it is their range and covers about 88 % at best$/,
  );
  assert.equal(two, texts[1]);
});

test('cross-checks stand in a table of their scenario beside our own figures', () => {
  const check = {
    tool: 'wrk',
    version: '4.1.0',
    requestsPerSecond: 51_234.4,
    cpuUsPerRequest: 19.26,
  };
  const crossChecks = [
    { ...check, arm: 'direct', cpuUsPerRequest: 0 },
    { ...check, arm: 'tracecar' },
    { ...check, arm: 'tracecar', tool: 'h2load', version: 'h2load 1.52' },
    { ...check, arm: 'envoy', requestsPerSecond: 0, cpuUsPerRequest: 0, failed: 'it ended' },
  ];
  const text = print(makeResult({ crossChecks }));
  assert.match(
    text,
    /^arm +requests\/s, ours +requests\/s, wrk 4\.1\.0 +requests\/s, h2load 1\.52$/m,
  );
  assert.match(text, /^direct +- +51234 +-$/m);
  assert.match(text, /^tracecar +50000 \[[^\]]+\] +51234 +51234$/m);
  assert.match(text, /^envoy +20000 \[[^\]]+\] +- +-$/m);
  assert.match(text, /^tracecar +20\.0 \[[^\]]+\] +0\.40 +- +19\.3 +- +- +19\.3 +- +-$/m);
  assert.match(text, /^envoy +50\.0 \[[^\]]+\] +1\.00 +- +- +- +- +- +- +-$/m);
  assert.match(text, /^direct +- +- +- +- +- +- +- +- +-$/m);
  assert.match(text, /^wrk, envoy: no figure, it ended$/m);
  assert.doesNotMatch(print(makeResult()), /Cross-check/);
});

test('where a load generator disagrees with our ratio is said in a sentence', () => {
  const check = (arm: string, tool: string, cpuUsPerRequest: number) => ({
    ...{ arm, tool, version: '1', requestsPerSecond: 1, cpuUsPerRequest },
  });
  // Ours is 0.40 x Envoy in every round.
  const wrk = [check('tracecar', 'wrk', 20), check('envoy', 'wrk', 50)];
  const h2load = [check('tracecar', 'h2load', 30), check('envoy', 'h2load', 50)];
  const both = print(makeResult({ crossChecks: [...wrk, ...h2load] }));
  assert.match(
    both,
    /against its rivals: h2load 1 has 0\.60 x Envoy where ours is 0\.40 \[0\.40\.\.0\.40\]: out/,
  );
  assert.doesNotMatch(both, /wrk 1 has/);
  const inside = print(makeResult({ crossChecks: wrk }));
  assert.match(inside, /every tool's ratio lies inside the interval of ours/);
});

test('a result of an older bench says how its noise was judged', () => {
  const isOld = /older bench: stolen time was judged as the mean of both cores/;
  const old = changeRow(makeResult(), () => true, { values: { stolen: 0 } });
  assert.match(print(old), isOld);
  const now = changeRow(makeResult(), () => true, { values: { stolen: 0, loadStolen: 0 } });
  assert.doesNotMatch(print(now), isOld);
});

test('a count is shown with its range only where its rounds differ', () => {
  const of = (low: number, high: number): Figure => ({
    ...{ state: 'measured', dropped: 0, rounds: 3 },
    spread: { median: 6, low, high, least: low, most: high, rounds: 3 },
  });
  assert.equal(showCount(of(6, 6.001), 2), '6.00');
  assert.equal(showCount(of(6, 6.02), 2), '6.00 [6.00..6.02]');
  assert.equal(showCount({ state: 'absent' }, 2), '-');
});

test('a path that is no result is one line with the next command, and status 2', () => {
  const half = join(folder, 'half.json');
  writeResult(half, makeResult());
  writeFileSync(half, readFileSync(half, 'utf8').slice(0, 900));
  const none = mkdtempSync(join(folder, 'none-'));
  const said: readonly (readonly [readonly string[], RegExp])[] = [
    [['/nonexist'], /^report: \/nonexist: there is no such file or folder \(/],
    [[half], /^report: .*half\.json is not drawn: not whole, or no JSON \(/],
    [[none], /^report: .*: there is no result in it \(/],
    [['--fast'], /^report: Unknown option '--fast' \(/],
    [['--readme', none], /^report: --readme draws bench\/results\/published only \(/],
  ];
  for (const [args, line] of said) {
    const run = spawnSync(process.execPath, [reportFile, ...args], { encoding: 'utf8' });
    assert.match(run.stderr, line);
    assert.match(run.stderr, / \(npm run bench makes results; node bench\/report\.ts --help\)\n$/);
    assert.equal(run.stderr.split('\n').length, 2, run.stderr);
    assert.deepEqual([run.status, run.stdout], [2, ''], args.join(' '));
  }
  // What can be drawn beside it is drawn, and the status says that it is not all.
  const whole = join(folder, 'whole.json');
  writeResult(whole, makeResult());
  const run = spawnSync(process.execPath, [reportFile, whole, half], { encoding: 'utf8' });
  assert.match(run.stdout, /half\.json is not drawn: not whole/);
  assert.match(run.stdout, /^One plain hop$/m);
  assert.equal(run.status, 2);
});

test("the READMEs and pictures are what the published run draws, and nobody's typing", () => {
  const drawn = drawFiles(readPublished());
  for (const [path, text] of drawn) {
    assert.equal(readFileSync(path, 'utf8'), text, 'run: node bench/report.ts --readme');
  }
  for (const path of publishedPictures()) assert.ok(drawn.has(path), `${path} is drawn by nothing`);
});
