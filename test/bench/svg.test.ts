/**
 * Plots: well-formed, the same bytes each time, with everything that was measured inside the picture.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaleOf, showNumber } from '../../bench/draw/scale.ts';
import type { Plot, PlotPoint } from '../../bench/draw/section.ts';
import { drawPlot } from '../../bench/draw/svg.ts';
import { wrapText } from '../../bench/draw/svg-text.ts';

function bars(points: readonly PlotPoint[], more: Partial<Plot> = {}): Plot {
  return {
    name: 'x',
    title: 'Costs',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us per request' },
    series: [{ label: 'all', points }],
    ...more,
  };
}

function lines(points: readonly PlotPoint[], more: Partial<Plot> = {}): Plot {
  return bars(points, { kind: 'lines', x: { label: 'connections', log: true }, ...more });
}

/** Throws where elements are not nested or attributes not quoted; good enough for what we write. */
function assertWellFormed(text: string): void {
  const open: string[] = [];
  for (const [tag] of text.matchAll(/<[^>]*>/g)) {
    assert.match(tag, /^<\/?[a-z]+( [A-Za-z0-9-]+="[^"<]*")*\/?>$/);
    if (tag.startsWith('</')) assert.equal(open.pop(), tag.slice(2, -1));
    else if (!tag.endsWith('/>')) open.push(/[a-z]+/.exec(tag)![0]);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(text, /&(?!amp;|lt;|gt;|quot;)/);
  assert.doesNotMatch(text, /NaN|Infinity|undefined/);
}

/** The x of every rectangle and line of a class, to the right end. */
function numbersOf(text: string, attribute: string): number[] {
  return [...text.matchAll(new RegExp(` ${attribute}="(-?[0-9.]+)"`, 'g'))].map((found) =>
    Number(found[1]),
  );
}

const few: readonly PlotPoint[] = [
  { x: 0, y: 20, low: 18, high: 23, label: 'Tracecar' },
  { x: 1, y: 48, low: 46, high: 50, label: 'Envoy <router> & "tuned"' },
];
const ladder: readonly PlotPoint[] = [2, 4, 8, 16, 32, 64].map((x) => ({
  x,
  y: 100 + x,
  low: 90,
  high: 130 + x,
}));

test('a plot is well-formed, whatever its labels are, and has its title, units and numbers', () => {
  const text = drawPlot(bars(few, { title: 'a < b & "c"\u0000' }));
  assertWellFormed(text);
  assert.match(text, /<title>a &lt; b &amp; &quot;c&quot;<\/title>/);
  assert.match(text, /Envoy &lt;router&gt; &amp; &quot;tuned&quot;/);
  assert.match(text, />us per request</);
  assert.match(text, />20\.0</);
});

test('the same plot gives the same bytes', () => {
  assert.equal(drawPlot(lines(ladder)), drawPlot(structuredClone(lines(ladder))));
});

test('it brings its own background, for light and for dark pages', () => {
  const text = drawPlot(bars(few));
  assert.match(text, /<rect class="back"/);
  assert.match(text, /prefers-color-scheme:dark/);
});

test('Tracecar is in colour beside its rivals, and all bars are where only Tracecar is', () => {
  assert.equal([...drawPlot(bars(few)).matchAll(/class="beside"/g)].length, 1);
  assert.doesNotMatch(drawPlot(bars([few[0]!])), /class="beside"/);
});

test('a longer bar is for a larger number, and one below zero goes to the left', () => {
  const text = drawPlot(bars([...few, { x: 2, y: -5, label: 'less' }]));
  const found = [
    ...text.matchAll(/<rect class="\w+" stroke-width="0" x="([\d.]+)" .*width="([\d.]+)"/g),
  ];
  const [own, rival, less] = found.map((each) => ({ x: Number(each[1]), width: Number(each[2]) }));
  assert.ok(Math.abs(rival!.width / own!.width - 2.4) < 0.02);
  assert.ok(Math.abs(less!.x + less!.width - own!.x) < 0.2, 'it ends where the others begin');
});

test('an interval far beyond the medians is cut at the edge and does not squeeze the bars', () => {
  const wild = drawPlot(bars([few[0]!, { ...few[1]!, high: 5000 }]));
  assertWellFormed(wild);
  assert.ok(Math.max(...numbersOf(wild, 'x2')) <= 760);
  const widths = numbersOf(wild, 'width').filter((width) => width > 16 && width < 700);
  assert.ok(Math.max(...widths) > 250, 'the longest bar is still long');
});

test('several series have a legend, and lines differ by more than colour', () => {
  const series = ['one', 'two', 'three', 'four'].map((label) => ({ label, points: ladder }));
  const text = drawPlot(lines([], { series }));
  assertWellFormed(text);
  for (const { label } of series) assert.match(text, new RegExp(`>${label}<`));
  assert.equal(new Set([...text.matchAll(/stroke-dasharray="[^"]+"/g)].map(String)).size, 3);
  assert.match(text, /<circle/);
});

test('steps of a ladder are the ticks, at equal distances on a logarithmic axis', () => {
  const text = drawPlot(lines(ladder));
  const circles = numbersOf(text, 'cx');
  const gaps = circles.slice(1).map((x, index) => x - circles[index]!);
  assert.ok(Math.max(...gaps) - Math.min(...gaps) < 0.3, String(gaps));
  for (const { x } of ladder) assert.match(text, new RegExp(`>${x}</text>`));
});

test('a plot without a point, or with numbers that are none, is drawn and says so', () => {
  for (const plot of [
    bars([]),
    lines([]),
    bars([], { series: [] }),
    bars([{ x: 0, y: Number.NaN, label: 'a' }]),
    lines([{ x: 1, y: Number.POSITIVE_INFINITY }]),
  ]) {
    const text = drawPlot(plot);
    assertWellFormed(text);
    assert.match(text, /nothing was measured/);
  }
});

test('one point, zeros and equal numbers are drawn', () => {
  for (const plot of [
    bars([{ x: 0, y: 0, low: 0, high: 0, label: 'none' }]),
    lines([{ x: 5, y: 7 }]),
    lines([{ x: 0, y: 0 }], { y: { label: 'us', log: true } }),
    lines([
      { x: 1, y: 3 },
      { x: 2, y: 3 },
    ]),
  ]) {
    assertWellFormed(drawPlot(plot));
  }
});

test('ticks are round numbers that hold the values', () => {
  const texts = (axis: object, values: number[]) =>
    scaleOf({ label: '', ...axis }, values).ticks.map((tick) => tick.text);
  assert.deepEqual(texts({ from: 0 }, [48.4]), ['0', '10', '20', '30', '40', '50']);
  assert.deepEqual(texts({}, [-3, 17.5]), ['\u22125', '0', '5', '10', '15', '20']);
  assert.deepEqual(texts({ log: true }, [2, 64]), ['2', '5', '10', '20', '50', '100']);
  assert.deepEqual(texts({ log: true }, [1, 10_000]), ['1', '10', '100', '1000', '10\u202f000']);
  assert.deepEqual(texts({ from: 0 }, [0.004]), ['0', '0.001', '0.002', '0.003', '0.004']);
});

test('large numbers have their digits in groups', () => {
  assert.equal(showNumber(1_234_567), '1\u202f234\u202f567');
  assert.equal(showNumber(9999), '9999');
});

test('long names are broken at spaces', () => {
  assert.deepEqual(wrapText('heads read, checked', 12), ['heads read,', 'checked']);
  assert.deepEqual(wrapText('unbreakable-name x', 5), ['unbreakable-name', 'x']);
});
