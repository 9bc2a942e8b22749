/**
 * The drawn parts of the READMEs: every scenario with its pictures, and what is missing said.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawBenchPart, drawHeadline, drawPlots, replaceSection } from '../../bench/draw/readme.ts';
import { joinReports, reportOf } from '../../bench/draw/reports.ts';
import type { Result } from '../../bench/result/row.ts';
import { scenarios } from '../../bench/scenarios/scenarios.ts';
import { makeResult } from './result-case.ts';
import { latencyRow, resultOf } from './scenario-case.ts';

const hop = makeResult();
/** Every scenario with nothing that it would look for: all of it is absent. */
const strangers: readonly Result[] = scenarios.map(({ name, title }) =>
  makeResult({
    scenario: name,
    title,
    arms: hop.arms.map((arm) => ({ ...arm, program: 'dist/tracecar' })),
  }),
);

function joined(...results: readonly Result[]) {
  return joinReports(
    results.map((result) => reportOf(result, `${result.scenario}.json`)),
    true,
  );
}

test('each scenario has its section, its tables, its pictures and its conditions', () => {
  const text = drawBenchPart(joined(hop), 'pictures');
  assert.match(text, /^### One plain hop$/m);
  assert.match(text, /^!\[CPU of one plain hop\]\(pictures\/hop-cpu\.svg\)$/m);
  assert.match(text, /hop\.json: 2026-01-02T03:04Z, commit abc1234, 3 rounds/);
  assert.match(text, /^- HAProxy is missing: not installed/m);
  assert.match(text, /^- Not measured: B5 tracing/m);
  assert.match(text, /^- envoy \(1\): made up$/m);
});

test('the machine is said once where it is one, and with each scenario where there are two', () => {
  const count = (text: string) => text.split('a processor, ').length - 1;
  const other = makeResult({ scenario: 'memory', backend: 'another' });
  assert.equal(count(drawBenchPart(joined(hop), '')), 1);
  assert.equal(count(drawBenchPart(joined(hop, makeResult({ scenario: 'memory' })), '')), 1);
  assert.equal(count(drawBenchPart(joined(hop, other), '')), 2);
});

test('every scenario is drawn where nothing of what it asks for was measured', () => {
  const reports = joined(...strangers);
  const text = drawBenchPart(reports, 'pictures');
  for (const { title } of scenarios) assert.ok(text.includes(`### ${title}`), title);
  assert.doesNotMatch(text, /NaN|undefined|\[object/);
  drawHeadline(reports, 'pictures');
});

test('no two plots have one file, and every picture of the text is drawn', () => {
  const reports = joined(...strangers);
  const names = reports.list.flatMap(({ section }) => section.plots.map(({ name }) => name));
  assert.equal(new Set(names).size, names.length);
  const text = drawBenchPart(reports, 'p') + drawHeadline(reports, 'p');
  const drawn = drawPlots(reports);
  const shown = [...text.matchAll(/\]\(p\/([^)]+)\)/g)].map((found) => found[1]!);
  assert.ok(shown.length > 2);
  for (const name of shown) assert.ok(drawn.has(name), name);
});

test('the front page has the arms that people know, the targets and at most two pictures', () => {
  const text = drawHeadline(joined(...strangers), 'pictures');
  assert.match(text, /^\| tracecar \| 20\.0 \[18\.0\.\.30\.0\] \| 0\.40 \| 50000 .* \| 80 /m);
  assert.match(text, /^\| HAProxy: missing \| - /m);
  assert.match(text, /^\| CPU per request, one plain hop \| <= 0\.45 x Envoy/m);
  assert.ok([...text.matchAll(/!\[/g)].length <= 2);
});

test('the front page names the commits that were measured, each once', () => {
  const other = { ...hop, commit: 'def5678' };
  assert.match(drawHeadline(joined(hop, hop), ''), /, measured at commit abc1234\. /);
  assert.match(drawHeadline(joined(hop, other), ''), /, measured at commit abc1234 and def5678\. /);
});

test("the front page has Tracecar's memory beside that of its rivals, as multiples of it", () => {
  const of = (rssKb: number, privateKb: number) => ({ requests: 1, errors: 0, rssKb, privateKb });
  const rows = [0, 1, 2].flatMap((round) => [
    latencyRow('tracecar', 'load', round, 100, of(80_000, 40_000)),
    latencyRow('envoy', 'load', round, 100, of(60_000, 60_000)),
  ]);
  const memory = resultOf('memory', ['tracecar', 'envoy', 'nginx'], rows);
  const text = drawHeadline(joined(memory), 'pictures');
  assert.match(
    text,
    /^Memory at .*: tracecar 81\.9 and 41\.0 MB; envoy 61\.4 and 61\.4 MB \(0\.75 and 1\.50 x Tracecar's\)\.$/m,
  );
  assert.doesNotMatch(drawHeadline(joined(hop), 'pictures'), /^Memory at/m);
});

test('without a result both parts say how to get one', () => {
  const none = joinReports([], true);
  for (const text of [drawBenchPart(none, ''), drawHeadline(none, '')]) {
    assert.match(text, /No result is published yet: `npm run bench -- --full/);
  }
});

test('only the part between the marks is replaced, and lost marks are an error', () => {
  const mark = (which: string) => `<!-- drawn by node bench/report.ts --readme: ${which} -->`;
  const text = `before\n${mark('begin')}\nold\n${mark('end')}\nafter`;
  const once = replaceSection(text, 'new $& text');
  assert.equal(once, `before\n${mark('begin')}\n\nnew $& text\n\n${mark('end')}\nafter`);
  assert.equal(replaceSection(once, 'new $& text'), once);
  assert.throws(() => replaceSection('nothing', 'new'), /lost the marks/);
});
