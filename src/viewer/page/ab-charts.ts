/**
 * The pictures of the A/B page, as SVG: intervals of the error share, shapes of the latency, lines
 * over time. Colors are classes (`ab0`...) by the subset's place in the answer.
 */

import { subsetName } from '../ab-verdict.ts';
import { printShare } from '../share-text.ts';
import { printDuration } from '../time-bar.ts';
import type { AbStep, AbSubset } from '../view-answers.ts';
import { svg } from './dom.ts';
import { printClock } from './format.ts';

const width = 640;
const height = 180;
const left = 56;
const right = 14;
const bottom = 24;
const top = 12;

function picture(label: string, high: number, ...children: readonly (Node | readonly Node[])[]) {
  return svg(
    'svg',
    { viewBox: `0 0 ${width} ${high}`, role: 'img', 'aria-label': label, class: 'chart' },
    children,
  );
}

/** A line from the lower to the upper bound of each subset's error share, a dot at the share. */
export function errorIntervals(subsets: readonly AbSubset[]): SVGSVGElement {
  const known = subsets.flatMap((subset, index) => {
    const { errorShare: share, errorShareLow: low, errorShareHigh: high } = subset;
    return share === null || low === null || high === null
      ? []
      : [{ name: subsetName(subset), share, low, high, index }];
  });
  const max = roundUp(Math.max(0.001, ...known.map(({ high }) => high)));
  // As high as the other pictures, unless there are many.
  const rowHeight = Math.max(34, (height - top - bottom) / Math.max(1, known.length));
  const high = top + known.length * rowHeight + bottom;
  const x = (share: number): number => left + (share / max) * (width - left - right);
  const grid = [0, 0.5, 1].map((part) => [
    svg('line', {
      class: 'grid',
      x1: x(part * max),
      x2: x(part * max),
      y1: top,
      y2: high - bottom,
    }),
    svg(
      'text',
      {
        class: 'axis',
        x: x(part * max),
        y: high - 8,
        'text-anchor': part === 1 ? 'end' : 'middle',
      },
      printShare(part * max),
    ),
  ]);
  const rows = known.map(({ name, share, low, high: upper, index }, row) => {
    const y = top + row * rowHeight + rowHeight / 2;
    return svg(
      'g',
      { class: `ab${index % 6}` },
      svg('title', {}, `${name}: ${printShare(share)}, ${printShare(low)} to ${printShare(upper)}`),
      svg('text', { class: 'axis', x: left - 10, y: y + 4, 'text-anchor': 'end' }, name),
      svg('line', { class: 'interval', x1: x(low), x2: x(upper), y1: y, y2: y }),
      svg('circle', { class: 'point', cx: x(share), cy: y, r: 5 }),
    );
  });
  return picture('error share by subset', high, grid.flat(), rows);
}

/** Share of the requests in each bucket, buckets of one width: their bounds grow by steps. */
export function latencyShapes(subsets: readonly AbSubset[]): SVGSVGElement {
  const bounds = subsets.find(({ buckets }) => buckets.length > 0)?.buckets ?? [];
  const shares = subsets.map(({ buckets, requests }) => {
    const sum = Math.max(1, requests);
    return bounds.map((_, index) => (buckets[index]?.requests ?? 0) / sum);
  });
  const seen = bounds.map((_, index) => shares.some((each) => each[index]! > 0));
  const first = Math.max(0, seen.indexOf(true) - 1);
  const last = Math.min(bounds.length - 1, Math.max(first + 3, seen.lastIndexOf(true) + 1));
  const columns = last - first + 1;
  const max = roundUp(Math.max(0.01, ...shares.flat()));
  const step = (width - left - right) / Math.max(1, columns);
  const y = (share: number): number => height - bottom - (share / max) * (height - bottom - top);
  const shapes = shares.map((each, index) => {
    const points = [`M${left},${y(0)}`];
    for (let column = 0; column < columns; column++) {
      const at = y(each[first + column] ?? 0);
      points.push(`L${left + column * step},${at}`, `L${left + (column + 1) * step},${at}`);
    }
    points.push(`L${left + columns * step},${y(0)}Z`);
    return svg('path', { class: `shape ab${index % 6}`, d: points.join('') });
  });
  const every = Math.ceil(columns / 8);
  const labels = bounds.slice(first, last + 1).flatMap(({ toMs }, column) => {
    const x = left + (column + 1) * step;
    if (column % every !== 0 || toMs === null || x > width - 30) return [];
    const text = printDuration(toMs * 1e6, false)
      .replace(/(\.\d*?)0+ /, '$1 ')
      .replace('. ', ' ');
    return [svg('text', { class: 'axis', x, y: height - 8, 'text-anchor': 'middle' }, text)];
  });
  return picture('latency by subset', height, levels(max, y, printShare), shapes, labels);
}

/** One line a subset over the steps; a step without a value breaks it. */
export function stepLines(
  subsets: readonly AbSubset[],
  read: (step: AbStep, seconds: number) => number | null,
  print: (value: number) => string,
): SVGSVGElement {
  const times = subsets.flatMap(({ steps }) => steps.map(({ startUs }) => startUs));
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const values = subsets.map(({ steps, stepSeconds }) =>
    steps.map((each) => ({ us: each.startUs, value: read(each, stepSeconds) })),
  );
  const max = roundUp(Math.max(1e-9, ...values.flat().map(({ value }) => value ?? 0)));
  const x = (us: number): number =>
    left + ((us - from) / Math.max(1, to - from)) * (width - left - right);
  const y = (value: number): number => height - bottom - (value / max) * (height - bottom - top);
  const lines = values.map((each, index) => {
    let path = '';
    let isBroken = true;
    for (const { us, value } of each) {
      if (value !== null)
        path += `${isBroken ? 'M' : 'L'}${x(us).toFixed(1)},${y(value).toFixed(1)}`;
      isBroken = value === null;
    }
    return svg('path', { class: `line ab${index % 6}`, d: path });
  });
  const ends =
    times.length === 0
      ? []
      : [
          svg('text', { class: 'axis', x: left, y: height - 8 }, printClock(from).slice(0, 8)),
          svg(
            'text',
            { class: 'axis', x: width - right, y: height - 8, 'text-anchor': 'end' },
            printClock(to).slice(0, 8),
          ),
        ];
  return picture('over time', height, levels(max, y, print), lines, ends);
}

/** Three horizontal lines with what they stand for. */
function levels(
  max: number,
  y: (value: number) => number,
  print: (value: number) => string,
): Node[] {
  return [0, 0.5, 1].flatMap((part) => [
    svg('line', {
      class: 'grid',
      x1: left,
      x2: width - right,
      y1: y(part * max),
      y2: y(part * max),
    }),
    svg(
      'text',
      { class: 'axis', x: left - 8, y: y(part * max) + 4, 'text-anchor': 'end' },
      part === 0 ? '0' : print(part * max),
    ),
  ]);
}

/** The next 1, 2, 4 or 5 times a power of ten: halves of it are round too. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((times) => times * power).find((each) => each >= value * 0.9999)!;
}
